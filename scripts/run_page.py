"""Run a page of the documentation as it is written: python scripts/run_page.py PAGE FOLDER.

Python blocks share their names; of console blocks the lines after "$ " are run by bash, with what
continues them (a backslash at the end, or a document up to END). The figures of tutorials are those
that their pages write.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block that is run, in order."""
    for found in re.finditer(
        r"^```(python|console)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        yield found[1], found[2]


def commands(text: str) -> Iterator[str]:
    """Commands of a console block, without what they answer."""
    pattern = r"^\$ ((?:[^\n]*\\\n)*[^\n]*<<'END'\n.*?^END$|(?:[^\n]*\\\n)*[^\n]*)"
    for found in re.finditer(pattern, text, re.DOTALL | re.MULTILINE):
        yield found[1]


def main(page: str, folder: str) -> None:
    """Run the page in a folder, which is made."""
    pieces = list(blocks(Path(page)))
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    names: dict = {"__name__": "__main__"}
    for language, text in pieces:
        if language == "python":
            exec(compile(text, page, "exec"), names)
            continue
        for command in commands(text):
            print("$", command, flush=True)
            subprocess.run(
                ["bash", "-c", command], check=True, env={**os.environ, "CELLFLOW": str(ROOT)}
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
