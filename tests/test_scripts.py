"""The scripts that measure what the documents say can be imported."""

import os
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_script_can_be_imported(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setitem(os.environ, "CELLFLOW_DATA", "/none")
    try:
        runpy.run_path(str(path), run_name="imported")
    except ModuleNotFoundError as error:
        # Those beside other tools run in environments of these.
        if str(error.name).split(".")[0] in ("cellflow", "tests"):
            raise
        pytest.skip(f"it needs {error.name}")
