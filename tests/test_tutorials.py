"""The notebooks of docs/tutorials run from top to bottom."""

import json
import os
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

import cellflow as cf
from cellflow.methods import recipes

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

#: Notebooks that take minutes on larger data; `make tutorials` runs them.
LONG = ("clones",)


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def run(path, **parameters):
    """Run the cells of a notebook; parameters replace what its tagged cell sets."""
    names = {"__name__": "__main__"}
    for number, cell in enumerate(cells_of(path)):
        if cell["cell_type"] != "code":
            continue
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert parameters.keys() <= names.keys()
            names |= parameters
    return names


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


# Flows of a few steps take cells anywhere, and verbs say so.
@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.filterwarnings("ignore:More than 20 figures:RuntimeWarning")
@pytest.mark.slow
def test_the_course_runs_from_cells_to_a_report(tmp_path, monkeypatch):
    narrow = cf.recipe("default", net={"width": 16})
    monkeypatch.setitem(recipes._RECIPES, "default", narrow)
    names = run(FOLDER / "course.ipynb", N_STEPS=20)
    assert names["flow"].recipe.n_steps == 20
    page = (tmp_path / "report.html").read_text()
    for section in ("accuracy", "velocity", "fates", "growth", "trust"):
        assert f'id="{section}"' in page


@pytest.mark.skipif("CELLFLOW_LONG" not in os.environ, reason="takes minutes: make tutorials")
def test_fates_are_scored_against_clones(shared_data):
    names = run(FOLDER / "clones.ipynb")
    scores = names["scores"]
    assert scores.loc["shares of day 6", "AUROC"] == 0.5
    assert scores.loc["flow", "AUROC"] > scores.loc["own state", "AUROC"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_what_they_showed(path):
    for cell in cells_of(path):
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
