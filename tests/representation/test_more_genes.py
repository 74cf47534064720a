"""Genes outside a representation are decoded by least squares on its points."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import cellflow as cf
from cellflow.representation import (
    LinearMap,
    Representation,
    RepresentationSettings,
    extend_to_genes,
    fit_representation,
)


@pytest.fixture
def cells(rng):
    """Six genes, of which a representation is made of the first four."""
    x = rng.poisson(3.0, (90, 6)).astype(float)
    return AnnData(x, var=pd.DataFrame(index=list("ABCDEF")))


@pytest.fixture
def fitted(cells):
    """Two whitened dimensions of the first four genes, of counts of all six."""
    whole = fit_representation(cells, RepresentationSettings(n_dims=2, whiten=True))
    linear = whole.linear
    part = LinearMap(linear.genes[:4], *(a[:4] for a in (linear.mean, linear.scale)),
                     np.linalg.qr(linear.loadings[:4])[0])  # fmt: skip
    settings = vars(whole) | {"linear": part}
    return Representation(**settings)


def in_chunks(x):
    """The matrix as a Dask array."""
    return pytest.importorskip("dask.array").from_array(x, (40, 6))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, in_chunks])
def test_new_genes_are_regressed_on_the_points(form, cells, fitted):
    points = fitted.transform(cells)
    x = np.log1p(cells.X * fitted.target_sum / cells.X.sum(axis=1, keepdims=True))
    design = np.c_[np.ones(90), points]
    expected = design @ np.linalg.lstsq(design, x[:, [5, 4]], rcond=None)[0]
    cells.X = form(cells.X)
    extended, explained = extend_to_genes(fitted, cells, ["F", "A", "E", "F"], points)
    assert extended.linear.genes == (*"ABCD", "F", "E")
    decoded = extended.decode(points)
    np.testing.assert_allclose(decoded[:, 4:], expected, atol=1e-8)
    np.testing.assert_array_equal(decoded[:, :4], fitted.decode(points))
    shares = expected.var(axis=0) / x[:, [5, 4]].var(axis=0)
    assert explained == pytest.approx({"F": shares[0], "E": shares[1]})


def test_genes_that_are_there_change_nothing_and_unknown_ones_are_named(cells, fitted):
    points = fitted.transform(cells)
    assert extend_to_genes(fitted, cells, ["A", "D"], points) == (fitted, {})
    with pytest.raises(cf.InputError, match=r"1 of the 2 genes .* missing: Q"):
        extend_to_genes(fitted, cells, ["E", "Q"], points)


def test_a_gene_of_one_value_is_that_value(cells, fitted):
    cells.X[:, 5] = 0
    points = fitted.transform(cells)
    extended, explained = extend_to_genes(fitted, cells, ["F"], points)
    np.testing.assert_allclose(extended.decode(points)[:, 4], 0, atol=1e-12)
    assert explained == {"F": 0}
