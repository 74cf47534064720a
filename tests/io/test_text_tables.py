"""Tables as text files, and back."""

import numpy as np
import pandas as pd
import pytest

from cellflow import FileError, InputError
from cellflow.io import read_table, write_table


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_names_stay_text_and_missing_numbers_missing(tmp_path, name):
    table = pd.DataFrame(
        {"groups": "kind", "source": ["1", "NA", ""], "target": ["2.0", "a,b", "x\ty"],
         "mass": [0.5, np.nan, 1.0]}
    )  # fmt: skip
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), table, check_dtype=False)


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"tables are written as .csv or .tsv; name it t.csv"):
        write_table(pd.DataFrame(), tmp_path / "t.xlsx")
    with pytest.raises(FileError, match=r"t\.csv does not exist"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").touch()
    with pytest.raises(FileError, match=r"t\.csv is not a table"):
        read_table(tmp_path / "t.csv")
