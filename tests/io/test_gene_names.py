"""Genes are found by symbol and identifier, and shown by symbol."""

import pandas as pd
import pytest

import cellflow as cf
from cellflow.io import GeneNames

IDS = ["ENSG00000141510.16", "ENSG00000148773.12", "ENSG00000280987.1", "ENSG00000015479.20"]
SYMBOLS = ["TP53", "MKI67", "MATR3", "MATR3"]


def names(chosen=None, index=IDS, **columns):
    return GeneNames.read(pd.DataFrame(columns, index=index), chosen)


@pytest.mark.parametrize(
    "column",
    ["feature_name", "gene_symbols", "gene_symbol", "gene_name", "Gene Symbol", "SYMBOL", "names"],
)
def test_a_column_of_a_usual_name_is_guessed_and_reported(column, capsys):
    found = names(**{"n_cells": [1, 2, 3, 4], column: pd.Categorical(SYMBOLS)})
    assert found.column == column
    assert f"gene symbols are read from var[{column!r}]" in capsys.readouterr().err
    assert found.find("MKI67") == [1]


@pytest.mark.parametrize(
    ("index", "column", "values"),
    [
        (SYMBOLS[:2], "gene_ids", IDS[:2]),  # scanpy.read_10x
        (SYMBOLS[:2], "gene_name", ["tp53", "MKI67"]),
        (SYMBOLS[:2], "gene_symbols", IDS[:2]),
        (["geneA", "geneB"], "names", ["A", "B"]),
        (IDS[:2], "name", ["tumor protein p53", "marker of proliferation Ki-67"]),
        (IDS[:2], "gene_name", [None, ""]),
        (IDS[:2], "symbol", [1, 2]),
        ([], "feature_name", []),
    ],
)
def test_columns_that_are_not_plainly_symbols_are_left(index, column, values, capsys):
    found = names(index=index, **{column: values})
    assert found.column is None
    assert found.labels.tolist() == index
    assert not capsys.readouterr().err


@pytest.mark.parametrize("index", [["7157", "4288"], ["gene:1a", "gene:1b"], ["FBgn0000001"] * 2])
def test_names_that_are_not_those_of_ensembl_have_symbols_too(index):
    assert names(index=index, feature_name=["TP53", "MKI67"]).labels.tolist() == ["TP53", "MKI67"]


@pytest.mark.parametrize(
    "name",
    ["{}_{}", "{1}_{0}", "{}|{}", "{1}:{0}"],
)
def test_names_of_symbol_and_identifier_are_split(name, capsys):
    index = [name.format(*each) for each in zip(SYMBOLS, IDS, strict=True)]
    found = names(index=index)
    assert found.find("TP53") == found.find(index[0]) == [0]
    assert found.find("MATR3") == [2, 3]
    assert found.labels[:2].tolist() == ["TP53", "MKI67"]
    assert "gene symbols are read from var_names" in capsys.readouterr().err
    table = found.add_ids(pd.DataFrame({"gene": ["MKI67"]}))
    assert table["gene_id"].tolist() == [index[1]]
    assert names(index=["TP53", "MATR3_ENSG00000280987"]).has_symbols is False


def test_genes_are_found_by_symbol_identifier_version_and_label():
    found = names(symbol=SYMBOLS)
    assert found.find("TP53") == found.find("ENSG00000141510.16") == [0]
    assert found.find("ENSG00000141510") == found.find("ENSG00000141510.3") == [0]
    assert found.find("MATR3") == [2, 3]
    assert found.find("MATR3_ENSG00000015479.20") == [3]
    assert found.find("GAPDH") == []
    assert found.find_all(["MATR3", "TP53", "ENSG00000141510"]).tolist() == [2, 3, 0]
    assert found.find_all("MKI67").tolist() == [1]
    assert found.find_all(None).tolist() == [0, 1, 2, 3]


def test_labels_are_symbols_and_tell_genes_apart():
    found = names(symbol=["TP53", None, "MATR3", "MATR3"])
    matr3 = [f"MATR3_{name}" for name in IDS[2:]]
    assert found.labels.tolist() == ["TP53", IDS[1], *matr3]
    table = found.add_ids(pd.DataFrame({"gene": found.labels[[3, 0]], "x": 1}))
    assert table.columns.tolist() == ["gene", "gene_id", "x"]
    assert table["gene_id"].tolist() == [IDS[3], IDS[0]]
    assert list(names().add_ids(pd.DataFrame({"gene": IDS}))) == ["gene"]


def test_some_genes_keep_their_symbols_in_the_order_asked():
    some = names(symbol=SYMBOLS).of([IDS[3], "other", IDS[0]])
    assert some.labels.tolist() == ["MATR3", "other", "TP53"]
    assert some.find("MATR3") == [0]
    with pytest.raises(cf.InputError, match=r"genes of the data that are not in X: MKI67; it has"):
        some.find_all(["MKI67"], "X")


def test_what_is_wrong_with_names_is_said_with_the_way_out():
    with pytest.raises(
        cf.InputError, match=r"unknown var column of gene symbols 'symbolx' .did you"
    ):
        names("symbolx", symbol=SYMBOLS)
    with pytest.raises(cf.InputError, match=r"var\['n'\] does not hold gene symbols but int64"):
        names("n", n=[1, 2, 3, 4])
    with pytest.raises(
        cf.InputError, match=r"not in the data: mki67 .did you mean MKI67\?.; it has"
    ):
        names(symbol=SYMBOLS).find_all("mki67")
    with pytest.raises(cf.InputError, match=r"gene_symbols= \(--gene-symbols\), there are: what$"):
        names(what=SYMBOLS, n=[1, 2, 3, 4]).find_all("TP53")
    with pytest.raises(cf.InputError, match="var has no column with symbols; add one"):
        names().find_all("TP53")
    with pytest.raises(cf.InputError, match="no genes were given; None uses all"):
        names().find_all([])
