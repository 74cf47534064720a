"""Bundle the parts of deck.gl that the page of `cellflow explore` carries, from pinned versions.

    python scripts/build_deck.py           # writes cellflow/report/deck
    python scripts/build_deck.py --check   # builds anew and compares

Needs Node.js and npm, and the packages of scripts/deck/package-lock.json, whose digests npm checks.
Written are the bundle `deck.min.js`; `LICENSE`, the licences of all packages in it and the notices
of single files; and `deck.json` with versions, licences and the digest of the bundle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, TARGET = ROOT / "scripts" / "deck", ROOT / "cellflow" / "report" / "deck"
BUNDLE, LICENCES, RECORD = "deck.min.js", "LICENSE", "deck.json"

#: Licences that code in the package may be under.
ALLOWED = {"MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"}

#: Packages with code adapted from another package whose notice they lack, and that package.
ADAPTED = {"mjolnir.js": "hammerjs"}


def build(folder: Path) -> dict[str, str]:
    """Build in an empty folder; return the text of each file to write."""
    for name in ("package.json", "package-lock.json", "entry.js", "no_loaders.js"):
        shutil.copy(SOURCE / name, folder)
    # Scripts of packages are not run; the program of esbuild is a package of its own.
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True
    )
    command = ["npx", "--no-install", "esbuild", "entry.js", "--bundle", "--minify"]
    # Code that could fetch anything is left out.
    aliases = [f"--alias:@loaders.gl/{name}=./no_loaders.js" for name in ("core", "images")]
    options = ["--format=iife", "--global-name=deck", "--target=es2020", "--legal-comments=none"]
    results = [f"--outfile={BUNDLE}", "--metafile=meta.json", "--log-level=warning"]
    subprocess.run([*command, *aliases, *options, *results], cwd=folder, check=True)
    bundle = (folder / BUNDLE).read_text(encoding="utf-8")
    inputs = json.loads((folder / "meta.json").read_text())["outputs"][BUNDLE]["inputs"]
    # Files whose code is all dropped stay in the list, with no bytes.
    used = sorted(name for name, each in inputs.items() if each["bytesInOutput"])
    record: dict[str, dict] = {"packages": {}, "sha256": {}}
    texts: dict[str, list[str]] = {}
    for name in sorted({_package(name) for name in inputs if name.startswith("node_modules/")}):
        place = folder / "node_modules" / name
        files = [folder / file for file in used if _package(file) == name]
        about = json.loads((place / "package.json").read_text())
        licences = _licences(about["license"], files)
        if not licences <= ALLOWED:
            sys.exit(f"{name} is under {', '.join(sorted(licences - ALLOWED))}")
        record["packages"][name] = {
            "version": about["version"], "licence": " AND ".join(sorted(licences, reverse=True))
        }  # fmt: skip
        texts.setdefault(_licence(place), []).append(f"{name} {about['version']}")
        for file in files:
            for notice in _notices(file):
                texts.setdefault(notice, []).append(f"{name}, {file.name}")
        if name in ADAPTED:
            text = _licence(place.parent / ADAPTED[name])
            texts.setdefault(text, []).append(f"{name}, code adapted from {ADAPTED[name]}")
    record["sha256"][BUNDLE] = hashlib.sha256(bundle.encode()).hexdigest()
    licences = "\n\n".join(f"{', '.join(names)}\n\n{text}" for text, names in texts.items())
    return {
        BUNDLE: bundle,
        LICENCES: licences + "\n",
        RECORD: json.dumps(record, indent=1) + "\n",
    }


def _package(path: str) -> str:
    """Name of the package that a file belongs to."""
    words = path.rpartition("node_modules/")[2].split("/")
    return "/".join(words[: 2 if words[0].startswith("@") else 1])


def _licences(package: str, files: list[Path]) -> set[str]:
    """SPDX identifiers of a package and of single files of it."""
    found = {package}
    for file in files:
        for line in re.findall(r"SPDX-License-Identifier: *(.+)", file.read_text(encoding="utf-8")):
            found |= set(re.split(r" and ", line.strip(), flags=re.IGNORECASE))
    return found


def _notices(file: Path) -> list[str]:
    """Comments of a file that are a licence of their own, without their marks."""
    text = file.read_text(encoding="utf-8")
    comments = re.findall(r"/\*.*?\*/|(?:^[ \t]*//[^\n]*\n)+", text, re.DOTALL | re.MULTILINE)
    return [
        "\n".join(
            re.sub(r"^\s*(//|/?\*+/?)?\s*", "", line) for line in comment.splitlines()
        ).strip()
        for comment in comments
        if "copyright" in comment.lower() and "permission" in comment.lower()
    ]


def _licence(place: Path) -> str:
    """Text of the licence of a package; of one without a file, that of its sibling `core`."""
    for folder in (place, place.parent / "core"):
        for file in sorted(folder.glob("LICENSE*")):
            lines = file.read_text(encoding="utf-8").strip().splitlines()
            return "\n".join(line.rstrip() for line in lines)
    sys.exit(f"{place.name} has no licence file")


def main() -> None:
    """Build, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="compare with the files that are there"
    )
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        files = build(Path(folder))
    for name, text in files.items():
        path = TARGET / name
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.relative_to(ROOT)} is not what is built")
    print(f"{'the same' if check else 'wrote'}: {len(files[BUNDLE]):,} characters")


if __name__ == "__main__":
    main()
