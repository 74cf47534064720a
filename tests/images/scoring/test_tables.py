"""Tables of scores to JSON and back."""

import json

import numpy as np
import pandas as pd
import pytest

from cellflow import FileError
from cellflow.images.scoring.scores import read_table, write_table

TABLE = pd.DataFrame(
    {
        "of": ["generated", "test images"],
        "by": ["euler:2", None],
        "nfe": [2.0, np.nan],
        "measure": ["Frechet-10", "Frechet-10"],
        "n": [10, 10],
        "frechet": [1.25, 0.1 + 0.2],
    }
)


def test_a_table_comes_back_as_it_was(tmp_path):
    write_table(TABLE, tmp_path / "t.json")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.json"), TABLE)


def test_what_is_missing_is_null_for_other_programs(tmp_path):
    write_table(TABLE, tmp_path / "t.json")
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["format"] == "cellflow-image-scores"
    assert document["rows"][1]["nfe"] is None
    assert document["rows"][1]["by"] is None
    assert document["rows"][0]["n"] == 10


def test_nothing_is_overwritten_unasked(tmp_path):
    write_table(TABLE, tmp_path / "t.json")
    with pytest.raises(FileError, match="exists already"):
        write_table(TABLE[:1], tmp_path / "t.json")
    write_table(TABLE[:1], tmp_path / "t.json", overwrite=True)
    assert len(read_table(tmp_path / "t.json")) == 1


def test_numbers_that_are_none_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_table(TABLE.assign(frechet=np.inf), tmp_path / "t.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "cannot be read"),
        ("[]", "holds no scores of images"),
        ("{}", "holds no scores of images"),
        ('{"format": "cellflow-image-scores"}', "holds no scores of images"),
        ('{"format": "cellflow-image-scores", "rows": 3}', "holds no scores of images"),
        ('{"format": "cellflow-image-scores", "rows": [3]}', "holds no scores of images"),
        ('{"format": "cellflow-image-scores", "rows": []}', "holds no scores of images"),
    ],
)
def test_files_of_another_kind_are_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "t.json").write_text(content)
    with pytest.raises(FileError, match=f"t.json {message}"):
        read_table(tmp_path / "t.json")
