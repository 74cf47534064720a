"""List the licences of cellflow's dependencies, from what they say of themselves.

    python scripts/list_licences.py docs/licences.md

Run it where the extras `dev`, `images` and `torchcfm` are installed; packages that are not are left
out, and a package that says nothing stops the script.
"""

from __future__ import annotations

import re
import sys
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import cast

_ROOT = "cellflow-snapshots"
_HEAD = """# Licences

cellflow is under the BSD 3-Clause License (`LICENSE`). The sdist and the wheel contain work of
others as well, so their metadata says `BSD-3-Clause AND MIT AND ISC`:

- BSD-3-Clause: the counts of `cellflow/datasets/data/semrau2017.h5ad`, as distributed with cardamom
  0.0.3. The notice is `semrau2017.LICENSE` beside them.
- MIT: `cellflow/report/deck/deck.min.js`, parts of deck.gl 9.4.0 and of packages that it needs. The
  notices are `LICENSE` beside it.
- ISC: 0.4 kB of that file, from `lineclip` by Mapbox as adapted in @math.gl/polygon. The notice is
  in the same `LICENSE`.

Pages written by `cellflow explore` include `deck.min.js` and these notices. The notices of math.gl
also name files of Cesium under Apache-2.0; they belong to a module that is not part of
`deck.min.js`. `deck.json` has the version and licence of each package and the digest of the bundle;
`python scripts/build_deck.py --check` builds it again and compares.

## Dependencies

The packages below are installed beside cellflow and are not part of its files. `make licences`
lists them, with all that they need, as they are pinned in `constraints.txt`. *Run* are those of a
plain install, *optional* those of extras and of development.

| package | version | licence | for |
|---|---|---|---|
"""


def needs(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """Names of the direct dependencies of an installed package."""
    found = set()
    for line in distribution(name).requires or ():
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        if extra and extra[1] not in extras:
            continue
        if re.search(r"win32|Windows|darwin|python_version\s*<\s*['\"]3\.(\d|10|11)['\"]", marker):
            continue
        match = re.match(r"[\w.-]+", requirement)
        assert match is not None, line
        found.add(re.sub(r"[-_.]+", "-", match[0]).lower())
    return found - {_ROOT}


def closure(names: set[str]) -> dict[str, Distribution]:
    """These packages and all that they need, as far as they are installed."""
    known: dict[str, Distribution] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        try:
            known[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting |= needs(name) - set(known)
    return known


def licence(package: Distribution) -> str:
    """What a package says of its licence: an expression, a classifier, or a line of text."""
    data = cast("Message", package.metadata)
    if expression := data.get("License-Expression"):
        return str(expression)
    classes = [each.split("::")[-1].strip() for each in data.get_all("Classifier") or ()
               if each.startswith("License ::") and each.count("::") > 1]  # fmt: skip
    text = str(data.get("License") or "").strip()
    if classes:
        return ", ".join(classes)
    if text and text != "UNKNOWN":
        return text.splitlines()[0]
    for file in package.files or ():
        if re.search(r"licen[cs]e|copying", file.name, re.IGNORECASE):
            lines = Path(str(file.locate())).read_text(encoding="utf-8").split("\n")
            return next(line.strip() for line in lines if line.strip()) + " (its licence file)"
    sys.exit(f"{package.name} does not say its licence")


def main(target: Path) -> None:
    """Write the table."""
    run = closure(needs(_ROOT))
    every = closure(needs(_ROOT, ("test", "dev", "images", "torchcfm", "workflow", "docs")))
    rows = [
        f"| {package.name} | {package.version} | {licence(package).replace('|', '/')} | "
        f"{'run' if name in run else 'optional'} |"
        for name, package in sorted({**every, **run}.items())
    ]
    target.write_text(_HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(run)} packages to run, {len(rows)} in all")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
