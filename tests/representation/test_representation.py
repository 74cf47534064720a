"""Representations: what they are fitted to, and the way back."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from cellflow import CellflowWarning, InputError
from cellflow.representation import RepresentationSettings, fit_representation


def test_counts_go_the_way_of_scanpy(semrau):
    fitted = fit_representation(semrau, RepresentationSettings(n_dims=5))
    work = semrau.copy()
    sc.pp.normalize_total(work)
    sc.pp.log1p(work)
    sc.pp.pca(work, n_comps=5)
    ours = fitted.transform(semrau)
    assert fitted.kind == "counts"
    signs = np.sign((ours * work.obsm["X_pca"]).sum(axis=0))
    np.testing.assert_allclose(ours * signs, work.obsm["X_pca"], atol=1e-3)


def test_dense_and_sparse_give_the_same(semrau):
    dense = semrau.copy()
    dense.X = dense.X.toarray()
    for kind in ("counts", "other"):
        first, second = (
            fit_representation(a, RepresentationSettings(n_dims=4, kind=kind)).transform(a)
            for a in (semrau, dense)
        )
        signs = np.sign((first * second).sum(axis=0))
        np.testing.assert_allclose(first, second * signs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["normalised", "other"])
def test_expression_of_low_rank_comes_back_whole(kind, rng):
    adata = AnnData(rng.normal(size=(60, 3)) @ rng.normal(size=(3, 8)) * 5 + 2)
    fitted = fit_representation(adata, RepresentationSettings(kind=kind, n_dims=3, whiten=True))
    np.testing.assert_allclose(fitted.decode(fitted.transform(adata)), adata.X, atol=1e-5)


def test_decoding_is_the_nearest_point_of_the_plane(semrau):
    fitted = fit_representation(semrau, RepresentationSettings(n_dims=3))
    work = semrau.copy()
    sc.pp.normalize_total(work)
    sc.pp.log1p(work)
    x = work.X.toarray()
    rest = x - fitted.decode(fitted.transform(semrau))
    np.testing.assert_allclose(rest @ fitted.linear.loadings, 0, atol=1e-3)


def test_whitening_gives_mean_zero_and_variance_one_of_the_fitted_cells(course):
    fitted = fit_representation(course[:100], RepresentationSettings(use_rep="X_pca", whiten=True))
    cells = fitted.transform(course)[:100]
    np.testing.assert_allclose(cells.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(cells.std(axis=0), 1)
    assert abs(fitted.transform(course)[100:].mean()) > 0.1


def test_a_layer_can_hold_the_counts(semrau):
    expected = fit_representation(semrau, RepresentationSettings(n_dims=3)).transform(semrau)
    semrau.layers["raw"] = semrau.X.copy()
    semrau.X = np.zeros(semrau.shape)
    fitted = fit_representation(semrau, RepresentationSettings(layer="raw", n_dims=3))
    np.testing.assert_allclose(fitted.transform(semrau), expected)


def test_many_genes_are_reduced_to_the_most_variable(rng):
    counts = rng.poisson(1.0, size=(80, 2500)).astype(np.float32)
    adata = AnnData(sparse.csr_matrix(counts))
    fitted = fit_representation(adata, RepresentationSettings(n_dims=3))
    work = adata.copy()
    sc.pp.normalize_total(work)
    sc.pp.log1p(work)
    sc.pp.highly_variable_genes(work, n_top_genes=2000)
    assert fitted.linear.genes == tuple(adata.var_names[work.var["highly_variable"]])
    assert fitted.transform(adata).shape == (80, 3)


def test_cells_without_counts_have_no_part_in_the_embedding(semrau):
    semrau.X = semrau.X.toarray()
    semrau.X[:3] = 0
    settings = RepresentationSettings(n_dims=5, whiten=True)
    with pytest.warns(CellflowWarning, match="3 of 2434 cells have no counts"):
        fitted = fit_representation(semrau, settings)
    points = fitted.transform(semrau)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(points[0], points[1])
    expected = fit_representation(semrau[3:].copy(), settings)
    np.testing.assert_allclose(np.abs(points), np.abs(expected.transform(semrau)), atol=1e-4)


def test_dimensions_default_to_what_there_is(semrau, course):
    assert fit_representation(semrau, RepresentationSettings()).n_dims == 40
    assert fit_representation(course, RepresentationSettings(use_rep="X_pca")).n_dims == 3
    assert (
        fit_representation(course, RepresentationSettings(use_rep="X_pca", max_dims=2)).n_dims == 2
    )
    assert (
        fit_representation(course, RepresentationSettings(use_rep="X_pca", max_dims=9)).n_dims == 3
    )


def test_loadings_of_scanpy_decode_its_pca(semrau):
    sc.pp.normalize_total(semrau)
    sc.pp.log1p(semrau)
    sc.pp.pca(semrau, n_comps=40)
    fitted = fit_representation(semrau, RepresentationSettings(use_rep="X_pca", n_dims=40))
    again = fitted.linear.encode(fitted.decode(fitted.transform(semrau)))
    np.testing.assert_allclose(again, semrau.obsm["X_pca"], atol=1e-3)
    semrau.X = semrau.X * 2
    assert fit_representation(semrau, RepresentationSettings(use_rep="X_pca")).linear is None


def test_a_gene_that_never_varies_does_no_harm(rng):
    x = np.c_[rng.normal(size=(30, 3)), np.ones(30)]
    points = fit_representation(
        AnnData(x), RepresentationSettings(whiten=True, n_dims=2)
    ).transform(AnnData(x))
    assert np.isfinite(points).all()


BAD = {
    "missing obsm": (
        RepresentationSettings(use_rep="X_pac"),
        "no obsm key 'X_pac'; there are: X_pca",
    ),
    "missing layer": (RepresentationSettings(layer="raw"), "no layer 'raw'; there are: none"),
    "no expression": (RepresentationSettings(), "no expression matrix.*use_rep.*X_pca"),
    "too many dims": (
        RepresentationSettings(use_rep="X_pca", n_dims=4),
        "n_dims 4 is more than the 3 dim",
    ),
    "no dims": (
        RepresentationSettings(use_rep="X_pca", n_dims=0),
        "n_dims must be positive, got 0",
    ),
    "unknown kind": (
        RepresentationSettings(kind="count"),
        "unknown kind of expression 'count'.*'counts'",
    ),
    "both": (RepresentationSettings(use_rep="X_pca", layer="raw"), "layer and kind do not apply"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_named(case, course):
    settings, message = BAD[case]
    with pytest.raises(InputError, match=message):
        fit_representation(course, settings)


def test_bad_values_are_named(semrau, course):
    course.obsm["X_pca"][3, 1] = np.nan
    with pytest.raises(InputError, match=r"'X_pca'.* NaN .* 1 of 240 cells \(first: cell3\)"):
        fit_representation(course, RepresentationSettings(use_rep="X_pca"))
    semrau.X = semrau.X.toarray()
    semrau.X[5, 5] = np.inf
    with pytest.raises(InputError, match="expression matrix has NaN or infinite values in 1"):
        fit_representation(semrau, RepresentationSettings())
    semrau.X[5, 5] = -1
    with pytest.raises(InputError, match="'counts' requires values of zero or more"):
        fit_representation(semrau, RepresentationSettings(kind="counts"))
    with pytest.raises(InputError, match="n_dims 41 is more than the 40"):
        fit_representation(semrau, RepresentationSettings(kind="other", n_dims=41))
    semrau.X[:] = 0
    with pytest.raises(InputError, match="no cell has any counts"):
        fit_representation(semrau, RepresentationSettings())


def test_missing_and_repeated_genes_are_named(semrau):
    fitted = fit_representation(semrau, RepresentationSettings(n_dims=3))
    with pytest.raises(InputError, match=r"2 of the 41 genes .* are missing: Pou5f1, Sox2"):
        fitted.transform(semrau[:, 2:])
    np.testing.assert_allclose(
        fitted.transform(semrau[:, ::-1]), fitted.transform(semrau), atol=1e-4
    )
    renamed = semrau.copy()
    renamed.var["symbol"] = pd.Categorical(semrau.var_names)
    renamed.var_names = [f"ENSMUSG{k:011d}" for k in range(41)]
    with pytest.raises(InputError, match=r"var\['symbol'\] has them: .*var_names = adata.var\['sy"):
        fitted.transform(renamed)
    semrau.var_names = ["gene"] * 41
    with pytest.raises(InputError, match="gene names repeat: gene; call"):
        fitted.transform(semrau)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="gene names repeat: gene; call"):
            fit_representation(semrau, RepresentationSettings())


def test_deep_counts_in_half_precision_are_those_of_single(rng):
    """Sums of a cell go beyond 65,504, the largest number of half precision."""
    counts = rng.poisson(3.0, size=(40, 8)).astype(np.float32) * 4096
    points = [
        fit_representation(AnnData(x), RepresentationSettings(n_dims=3)).transform(AnnData(x))
        for x in (counts, counts.astype(np.float16))
    ]
    np.testing.assert_allclose(*points, atol=1e-5)
