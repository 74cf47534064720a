"""Cells and times as people write them, on the command line: the same as in Python."""

import re

import anndata
import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow.cli.fates import _read_end_times
from cellflow.methods import recipes

STAGES = ["early", "mid, first", "mid", "late"]
ORDER = 'early,"mid, first",mid,late'
TYPES = ["CD8-positive, alpha-beta T cell", "T & NK cell"]
FAST = ["--use-rep", "X_pca", "--n-steps", "10", "--time-key"]


@pytest.fixture(autouse=True)
def _narrow_nets(monkeypatch):
    monkeypatch.setitem(recipes._RECIPES, "default", cf.recipe("default", net={"width": 16}))


@pytest.fixture
def cells(course):
    course.obs["stage"] = pd.Categorical(np.repeat(STAGES, 60))
    course.obs["cell_type"] = pd.Categorical(np.tile(TYPES, 120))
    return course


@pytest.fixture
def file(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return "cells.h5ad"


def test_stages_are_ordered_on_the_command_line(run, file, tmp_path):
    code, _, err = run("fit", file, "--output", "flow", *FAST, "stage")
    assert code == 2
    assert "--time-order early,mid,late" in err
    for words in (
        ["fit", file, "--output", "flow", *FAST, "stage", "--time-order", ORDER],
        ["push", file, "--flow", "flow", "--time", "late", "--output", "push.h5ad",
         "--cells", 'cell_type="T & NK cell" & stage="mid, first"'],
        ["interpolate", file, "--flow", "flow", "--time", "mid", "--output", "i.h5ad"],
        ["plot", "interpolation", file, "--predicted", "i.h5ad", "--time-key", "stage",
         "--output", "i.png"],
        ["holdout", file, "--flow", "flow", "--output", "f.json", "--time", "mid",
         "--n-steps", "10"],
        ["holdout", file, "--output", "s.json", *FAST, "stage", "--time-order", ORDER,
         "--time", "mid", "--n-dims", "2"],
        ["embed", file, "--output", "e.h5ad", "--use-rep", "X_pca", "--time-key", "stage",
         "--time-order", ORDER],
        ["fit", "e.h5ad", "--output", "again", "--n-steps", "10"],
    ):  # fmt: skip
        code, _, err = run(*words)
        assert code == 0, (words, err)
    assert anndata.read_h5ad("push.h5ad").n_obs == 30
    assert cf.Flow.load("flow").axis.times == cf.Flow.load("again").axis.times == (0, 1, 2, 3)
    code, _, err = run("fit", file, "--output", "f2", *FAST, "stage", "--time-order", "early,mid")
    assert code == 2
    assert "order (--time-order) lacks values of obs['stage']: 'mid, first', 'late'" in err


def test_times_are_left_out_as_in_python(run, file, cells):
    cells.obs["when"] = [f"PCW{day + 8:g}" for day in cells.obs["day"]]
    cells.write_h5ad(file)
    words = ["fit", file, "--output", "flow", *FAST, "when", "--leave-out", "9 pcw"]
    assert run(*words)[0] == 0
    short = cf.recipe("default", n_steps=10)
    settings = {"time_key": "when", "use_rep": "X_pca", "recipe": short, "progress": False}
    flow = cf.tl.fit(cells, leave_out="PCW9", **settings)
    assert flow.axis.times == (8, 10, 12)
    assert flow.fingerprint == cf.Flow.load("flow").fingerprint
    rest = cells[cells.obs["when"] != "PCW9"].copy()
    assert cf.tl.fit(rest, **settings).inputs.data == flow.inputs.data
    made = cf.tl.interpolate(cells, flow, "PCW9")
    assert made.n_obs == 120
    assert cf.tl.fit(cells, leave_out=["PCW9", 10], **settings).axis.times == (8, 12)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["7"], "no cells were measured at time 7; times in the data: 0, 1, 2, 4"),
        (["0", "1", "2"], "leaves 1 of the times 0, 1, 2, 4"),
        (["soon"], "'soon' is not a time"),
    ],
)
def test_times_that_cannot_be_left_out_are_one_line(run, file, times, message):
    options = [word for time in times for word in ("--leave-out", time)]
    code, _, err = run("fit", file, "--output", "flow", *FAST, "day", *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_time_beyond_all_numbers_is_refused_before_the_fit(run, cells, tmp_path):
    cells.obs["day"] = pd.Categorical(np.repeat(["0", "1", "2", "1e400"], 60))
    cells.write_h5ad(tmp_path / "inf.h5ad")
    code, out, err = run("fit", "inf.h5ad", "--output", "flow", "--use-rep", "X_pca")
    assert code == 2
    assert "obs['day'] has values that are not times: '1e400'" in err
    assert not out
    assert run("info", "inf.h5ad", "--time-key", "day")[0] == 2


@pytest.mark.parametrize("absent", ["unknown", "NA", None])
def test_cells_without_a_time_are_left_out_of_the_copy(run, cells, tmp_path, absent):
    cells.obs["when"] = np.repeat(["8 pcw", "9 pcw", absent, "11 pcw"], 60)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    words = [
        "embed",
        "cells.h5ad",
        "--time-key",
        "when",
        "--use-rep",
        "X_pca",
        "--output",
        "e.h5ad",
    ]
    code, _, err = run(*words)
    assert code == 2
    assert "has no time for 60 of 240 cells" in err
    option, value = re.search(r"(--cells) '(.*)'", err).groups()
    code, out, _ = run(*words, option, value)
    assert code == 0
    assert "180 of 240 cells are chosen" in out
    assert "times from obs['when']: 8, 9, 11 (weeks)" in out
    assert anndata.read_h5ad("e.h5ad").obs_names.equals(cells.obs_names[cells.obs["day"] != 2])


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((), None),
        (("t=4h",), "t=4h"),
        (('"t=4h"',), "t=4h"),
        (("day 4", "6"), ["day 4", "6"]),
        (("Meg=4", "Meg=6"), {"Meg": ["4", "6"]}),
        (("Meg=t=4h",), {"Meg": ["t=4h"]}),
        (("A=B=4", '"C=D"=4'), {"A=B": ["4"], "C=D": ["4"]}),
        (("T & NK cell=day 4",), {"T & NK cell": ["day 4"]}),
        (('"B, x"="late, 2"',), {"B, x": ["late, 2"]}),
    ],
)
def test_end_times_of_groups(given, read):
    assert _read_end_times(None, None, given) == read


def test_unix_times_can_be_told_apart(run, cells, tmp_path):
    cells.obs["seconds"] = 1_700_000_000 + 3600 * cells.obs["day"].astype(int)
    cells.write_h5ad(tmp_path / "unix.h5ad")
    code, out, _ = run("info", "unix.h5ad", "--time-key", "seconds")
    assert code == 0
    for time in (1700000000, 1700003600, 1700007200, 1700014400):
        assert str(time) in "".join(out.split())
    _, _, err = run("fit", "unix.h5ad", "--output", "f", *FAST, "seconds", "--leave-out", "5")
    assert "1700000000, 1700003600, 1700007200, 1700014400" in err


def test_a_fit_warns_of_batches_that_lie_apart(run, course, tmp_path):
    second = np.arange(course.n_obs) % 2 == 1
    course.obs["rep"] = np.where(second, "two", "one")
    course.obsm["X_pca"][second] += 9
    course.write_h5ad(tmp_path / "cells.h5ad")
    words = ["fit", "cells.h5ad", "--use-rep", "X_pca", "--n-steps", "2", "--output", "flow"]
    code, out, err = run(*words)
    assert code == 0, err
    assert "have the same obs['rep'], by chance" in out
