"""Pack what a run brings along, for a machine without a network.

    python -m tests.benchmarks.gpu.pack FOLDER --images CIFAR --inception FILE.pth --cells FOLDER

FOLDER/1, FOLDER/2 and so on hold at most --megabytes each. Copy the files of all of them into one
folder of the other machine; `unpack.sh` there extracts them and prints the command of the run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.gpu.carried import CELLS
from tests.benchmarks.gpu.settings import add_inputs

ROOT = Path(__file__).parents[3]

#: Bytes of a piece that are left to unpack.sh.
_ROOM = 4096

_UNPACK = """#!/usr/bin/env bash
# Joins and extracts the pieces beside it, with PYTHON or python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
pieces=()
for i in $(seq @COUNT@); do
  pieces+=("$here/pack.$i")
  [ -e "$here/pack.$i" ] || { echo "$here/pack.$i is missing: copy it from folder $i" >&2; exit 1; }
done
cat "${pieces[@]}" | "$python" -c 'import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as pack:
    pack.extractall(sys.argv[1], filter="data")' "$here"
echo "In a checkout of the same commit:"
echo
printf 'export PYTHONPATH=$PWD'
[ ! -e "$here/site" ] || printf ':%q' "$here/site"
for name in IMAGES INCEPTION DATA; do
  for path in "$here/$name"/*; do
    if [ "$name" = DATA ]; then path=$here/DATA; fi
    [ ! -e "$path" ] || printf ' CELLFLOW_%s=%q' "$name" "$path"
  done
done
printf '\\n%q -m tests.benchmarks.gpu results/gpu\\n' "$python"
"""


def main() -> None:
    """Write the pieces."""
    parser = _parser()
    given = parser.parse_args()
    if given.folder.exists():
        parser.error(f"{given.folder} exists: name another folder, or remove it")
    limit = int(given.megabytes * 1e6) - _ROOM
    if limit <= 0:
        parser.error(f"--megabytes {given.megabytes} is too small: {_ROOM} bytes are for unpack.sh")
    cells = given.cells and given.cells / CELLS
    inputs = {"IMAGES": given.images, "INCEPTION": given.inception, "DATA": cells}
    for name, path in inputs.items():
        if path is not None and not path.exists():
            parser.error(f"{path} does not exist")
        print(f"{name.lower()}: {path or 'not packed, none is given'}")
    contents = {f"{name}/{path.absolute().name}": path for name, path in inputs.items() if path}
    with TemporaryDirectory() as temporary:
        if given.packages:
            contents["site"] = Path(temporary) / "site"
            _install(contents["site"], given)
        archive = Path(temporary) / "pack"
        # xz takes minutes where gzip takes one.
        with tarfile.open(archive, "w:gz", compresslevel=6, dereference=True) as pack:
            for name, path in contents.items():
                pack.add(path, name)
        count = _split(archive, given.folder, limit)
    script = given.folder / "1" / "unpack.sh"
    script.write_text(_UNPACK.replace("@COUNT@", str(count)), encoding="utf-8")
    print(f"pieces: {count}, in {given.folder}")


def _install(site: Path, given: argparse.Namespace) -> None:
    """Install what the other Python needs and does not have."""
    never = site.with_name("never.txt")
    # An override also keeps away what only these need; a `pip list --format freeze` has versions.
    names = [name.partition("==")[0] for name in given.has]
    never.write_text("".join(f'{name}; python_version < "0"\n' for name in names))
    target = ["--target", site, "--python-version", given.python]
    target += ["--python-platform", given.platform, "--only-binary", ":all:"]
    pins = ["--constraint", "constraints.txt", "--build-constraint", "constraints.txt"]
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", *target, *pins]
    command += ["--no-binary", "cellflow-snapshots", "--override", never]
    subprocess.run([*command, ".[torchcfm,images,test]"], cwd=ROOT, check=True)
    # The checkout's is measured; its version is asked of the metadata, which stay.
    shutil.rmtree(site / "cellflow")


def _split(archive: Path, folder: Path, limit: int) -> int:
    """Cut a file into pieces, and return how many there are."""
    count = 0
    with archive.open("rb") as stream:
        while data := stream.read(limit):
            count += 1
            piece = folder / str(count) / f"pack.{count}"
            piece.parent.mkdir(parents=True)
            piece.write_bytes(data)
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu.pack", fromfile_prefix_chars="@"
    )
    parser.add_argument("folder", type=Path, help="new folder of the pieces")
    parser.add_argument("--megabytes", type=float, default=60, help="at most, of a piece")
    parser.add_argument("--python", default="3.12", help="version of the other Python")
    parser.add_argument("--platform", default="x86_64-manylinux_2_28", help="as uv names it")
    parser.add_argument(
        "--has", nargs="+", default=["torch", "torchvision"], metavar="PACKAGE",
        help="what the other Python has already; @FILE, of `pip list --format freeze`",
    )  # fmt: skip
    parser.add_argument(
        "--no-packages", dest="packages", action="store_false", help="pack the data alone"
    )
    add_inputs(parser)
    return parser


if __name__ == "__main__":
    main()
