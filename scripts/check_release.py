"""Check the sdist and the wheel of a folder: what is in them, and that each works when installed.

    python scripts/check_release.py dist

A version of a tag must also be the one that CHANGELOG.md and CITATION.cff tell. `make
release-check` builds the two and runs this; it needs a clone, since what git tracks is what must be
in the sdist.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMOKE = ROOT / "scripts" / "smoke.py"


def version_of(sdist: Path, wheel: Path) -> str:
    """The version that both files are of."""
    versions = {sdist.name.removesuffix(".tar.gz").split("-")[1], wheel.name.split("-")[1]}
    if len(versions) != 1:
        raise SystemExit(f"{sdist.name} and {wheel.name} are of different versions")
    return versions.pop()


def told_version() -> dict[str, str | None]:
    """The version of the last release, by the files that tell it."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    found = {
        "CHANGELOG.md": re.search(r"^## (\S+)", changes, re.MULTILINE),
        "CITATION.cff": re.search(r"^version: (\S+)", citation, re.MULTILINE),
    }
    return {name: match[1] if match else None for name, match in found.items()}


def check_told(version: str) -> None:
    """A release is told of as such."""
    if ".dev" in version:
        return
    for name, told in told_version().items():
        if told != version:
            raise SystemExit(f"{name} tells of {told}, not of {version}")


def check_content(sdist: Path, wheel: Path) -> None:
    """The sdist holds what git tracks, the wheel what of it is the package, and no more."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = set(listing.stdout.split("\0")) - {""}
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    check_same(sdist, held - {"PKG-INFO"}, tracked)
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    check_same(wheel, held, {name for name in tracked if name.startswith("cellflow/")})


def check_same(file: Path, held: set[str], wanted: set[str]) -> None:
    """No file too few and none too many."""
    if held != wanted:
        raise SystemExit(
            f"{file.name} lacks {sorted(wanted - held)} and should not have {sorted(held - wanted)}"
        )


def check_install(file: Path, version: str) -> None:
    """The file, installed in a new venv, works from another folder."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", file], check=True)
        installed = time.monotonic()
        subprocess.run([python, SMOKE, version], cwd=folder, check=True)
    done = time.monotonic()
    print(f"{file.name}: installed in {installed - start:.0f} s, tried in {done - installed:.0f} s")


def main(folder: str) -> None:
    """Check the one sdist and the one wheel of the folder."""
    (sdist,), (wheel,) = (list(Path(folder).resolve().glob(end)) for end in ("*.tar.gz", "*.whl"))
    version = version_of(sdist, wheel)
    check_told(version)
    check_content(sdist, wheel)
    for file in (wheel, sdist):
        check_install(file, version)


if __name__ == "__main__":
    main(*sys.argv[1:])
