"""Try an installed cellflow in the working folder: its data, settings and page, and the commands.

    python smoke.py VERSION

`make release-check` runs it with the Python of a venv that holds nothing else.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anndata

import cellflow as cf
from cellflow.images.settings import CONFIGS, config_of
from cellflow.pp._growth import gene_names

SHORT = ["--n-steps", "20", "--quiet"]


def command(*words: str) -> str:
    """What the command `cellflow` of this Python prints; it must end well."""
    program = Path(sys.executable).with_name("cellflow")
    result = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"cellflow {' '.join(words)}: {result.stderr}")
    return result.stdout


def try_install(version: str) -> None:
    """The package is that of this Python, of the version that was built."""
    home = Path(cf.__file__).resolve()
    assert Path(sys.prefix).resolve() in home.parents, home
    assert cf.__version__ == version, cf.__version__
    assert version in command("--version")
    assert "Usage" in command("--help")
    assert "wfr-fm" in command("methods")


def try_files() -> None:
    """What is no Python came along: gene sets, settings, the licence of the data."""
    assert len(gene_names("mouse", "S", "G2M")) > 90
    for name in CONFIGS:
        config_of(name, (1, 8, 8))
    assert cf.datasets.semrau2017().shape[1] == 41


def try_cells() -> None:
    """A short fit from file to report."""
    cf.datasets.semrau2017()[::4].copy().write_h5ad("cells.h5ad")
    command("embed", "cells.h5ad", "--output", "embedded.h5ad", "--n-dims", "5", "--quiet")
    command("fit", "embedded.h5ad", "--output", "flow", *SHORT)
    command(
        "interpolate", "embedded.h5ad", "--flow", "flow", "--time", "30", "--output", "30h.h5ad"
    )
    command("report", "embedded.h5ad", "--flow", "flow", "--output", "report.html", "--quiet")
    command("explore", "embedded.h5ad", "--flow", "flow", "--output", "explore.html", "--quiet")
    assert anndata.read_h5ad("30h.h5ad").n_vars == 41
    assert cf.__version__ in Path("report.html").read_text(encoding="utf-8")
    # The library of the page and its notices are files of the package.
    page = Path("explore.html").read_text(encoding="utf-8")
    assert "deck.gl" in page
    assert "ISC License" in page


def try_images() -> None:
    """A short training and a picture."""
    command("image", "train", "--data", "digits", "--output", "digits", *SHORT)
    command(
        "image", "sample", "--flow", "digits", "--n", "4", "--solver", "euler", "--n-steps", "2",
        "--output", "grid.png", "--quiet",
    )  # fmt: skip
    assert Path("grid.png").stat().st_size > 0


if __name__ == "__main__":
    try_install(sys.argv[1])
    try_files()
    try_cells()
    try_images()
    print(f"cellflow {cf.__version__} works from {Path(cf.__file__).parent}")
