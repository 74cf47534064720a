"""Columns, keys and values that the shell completes."""

import numpy as np
import pandas as pd
import pytest
from click.shell_completion import ShellComplete

from cellflow.cli.app import app

TYPES = ["CD8-positive, alpha-beta T cell", "T & NK cell", "B cell", 'the "new" one']


@pytest.fixture
def file(course, tmp_path):
    course.obs["cell_type"] = pd.Categorical(np.tile(TYPES, 60))
    course.obs["x=y"] = np.arange(240) % 3
    course.write_h5ad(tmp_path / "cells.h5ad")
    return str(tmp_path / "cells.h5ad")


def complete(*words):
    found = ShellComplete(app, {}, "cellflow", "_X").get_completions(list(words[:-1]), words[-1])
    return [each.value for each in found]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("", ["day=", "cell_type=", '"x=y"=']),
        ("cell", ["cell_type="]),
        ("cell_type=B", ["cell_type=B cell"]),
        ("cell_type=T", ["cell_type=T & NK cell"]),
        ('cell_type="T', ['cell_type="T & NK cell"']),
        ("cell_type='T", ["cell_type='T & NK cell'"]),
        ('cell_type="the ""', ['cell_type="the ""new"" one"']),
        ("cell_type=B cell,CD", ["cell_type=B cell,CD8-positive, alpha-beta T cell"]),
        ('cell_type="T & NK cell" & da', ['cell_type="T & NK cell" & day=']),
        ('"x=y"=', [f'"x=y"={k}' for k in range(3)]),
        ("nope=", []),
    ],
)
def test_selections_are_completed(file, typed, completed):
    assert complete("push", file, "--flow", "f", "--cells", typed) == completed


def test_values_are_offered_in_quotes(file):
    offered = complete("push", file, "--cells", "cell_type=")
    assert 'cell_type="T & NK cell"' in offered
    assert len(offered) == len(TYPES)


def test_columns_and_keys_are_completed(file):
    assert complete("fit", file, "--time-key", "d") == ["day"]
    assert complete("fates", file, "--groups", "c") == ["cell_type"]
    assert complete("fit", file, "--use-rep", "") == ["X_pca"]


def test_files_that_cannot_be_read_complete_nothing(tmp_path):
    (tmp_path / "text.h5ad").write_text("no")
    for name in ("text.h5ad", "missing.h5ad"):
        assert complete("fit", str(tmp_path / name), "--time-key", "") == []
