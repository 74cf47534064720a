"""Scales of expression are recognised, and cells embedded from each as from their counts."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.spatial.distance import pdist

import cellflow as cf
from cellflow import CellflowWarning, InputError
from cellflow.representation import RepresentationSettings, fit_representation, kind_of
from cellflow.representation.expression import read_expression
from cellflow.representation.scales import to_log_scale

N_CELLS, N_GENES = 120, 400


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(5)
    progress = rng.uniform(size=N_CELLS)
    rates = rng.lognormal(0, 1, N_GENES) * np.exp(np.outer(progress, rng.normal(0, 1, N_GENES)))
    depth = 300 * rng.lognormal(0, 0.4, N_CELLS)
    return rng.poisson(rates / rates.sum(1)[:, None] * depth[:, None]).astype(np.float64)


def per_cell(counts, total):
    return counts / counts.sum(axis=1, keepdims=True) * total


def per_length(counts, total=1e6):
    return per_cell(counts, total) / np.random.default_rng(0).lognormal(1, 0.7, counts.shape[1])


def without_ambient(counts):
    share = np.random.default_rng(1).uniform(0.02, 0.15, (len(counts), 1))
    return np.clip(counts - counts.mean(axis=0) * share, 0, None)


def scaled(counts):
    values = np.log1p(per_cell(counts, 1e4))
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


SCALES = {
    "whole": (lambda x: x, "counts"),
    "x 0.94": (lambda x: x * 0.94, "linear"),
    "ambient removed": (without_ambient, "linear"),
    "ambient removed, small": (lambda x: without_ambient(x / x.max() * 15), "linear"),
    "CPM": (lambda x: per_cell(x, 1e6), "linear"),
    "one sum, small values": (lambda x: per_cell(x, 1.0), "linear"),
    "FPKM": (per_length, "linear"),
    "log1p": (lambda x: np.log1p(per_cell(x, 1e4)), "normalised"),
    "log1p of CPM": (lambda x: np.log1p(per_cell(x, 1e6)), "normalised"),
    "log2 of CPM": (lambda x: np.log2(per_cell(x, 1e6) + 1), "normalised"),
    "log10": (lambda x: np.log10(per_cell(x, 1e4) + 1), "normalised"),
    "some genes of log1p": (lambda x: np.log1p(per_cell(x, 1e4))[:, :250], "normalised"),
    "scaled": (scaled, "other"),
}
#: Scales on which the same cells must get much the same neighbours as by their counts.
SAME = [name for name in SCALES if name not in ("scaled", "some genes of log1p")]


@pytest.mark.parametrize("stored", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", SCALES)
def test_the_kind_is_recognised_by_the_values(name, stored, counts):
    values, kind = SCALES[name]
    assert kind_of(AnnData(stored(values(counts).astype(np.float32)))) == kind


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.parametrize("name", SAME)
def test_cells_are_as_far_apart_as_by_their_counts(name, counts):
    expected, found = (
        pdist(embed(AnnData(values.astype(np.float32))))
        for values in (counts, SCALES[name][0](counts))
    )
    assert np.corrcoef(expected, found)[0, 1] > 0.9


def embed(adata):
    return fit_representation(adata, RepresentationSettings(n_dims=3)).transform(adata)


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.parametrize("name", ["x 0.94", "CPM", "log1p", "log1p of CPM", "log2 of CPM", "log10"])
def test_values_that_show_their_counts_are_embedded_as_these(name, counts):
    """All of them differ from counts by a factor per cell, and the median depth is known."""
    expected = fit_representation(AnnData(counts), RepresentationSettings(n_dims=3))
    adata = AnnData(SCALES[name][0](counts))
    fitted = fit_representation(adata, RepresentationSettings(n_dims=3))
    np.testing.assert_allclose(
        np.abs(fitted.transform(adata)), np.abs(expected.transform(AnnData(counts))), atol=0.02
    )


@pytest.mark.parametrize("name", ["log1p", "log2 of CPM", "some genes of log1p"])
def test_predicted_expression_is_on_the_scale_of_the_values(name, counts):
    values = SCALES[name][0](counts)
    fitted = fit_representation(AnnData(values), RepresentationSettings(n_dims=5, whiten=True))
    points = fitted.transform(AnnData(values))
    decoded = fitted.decode(points)
    np.testing.assert_allclose(decoded.mean(axis=0), values.mean(axis=0), atol=1e-6)
    assert np.corrcoef(decoded.ravel(), values.ravel())[0, 1] > 0.6
    change = fitted.decode(points[1:]) - fitted.decode(points[:-1])
    np.testing.assert_allclose(fitted.decode_velocity(np.diff(points, axis=0)), change, atol=1e-9)


def test_some_genes_of_log_normalised_cells_are_embedded_as_with_their_depth(counts):
    """Cells keep the depth of all their genes, also those that are no longer there."""
    normalised = np.log1p(per_cell(counts, np.median(counts.sum(axis=1))))[:, :250]
    expected = fit_representation(
        AnnData(normalised - 1e-9), RepresentationSettings(n_dims=3, kind="other")
    ).transform(AnnData(normalised))
    found = embed(AnnData(np.log1p(per_cell(counts, 1e4))[:, :250]))
    assert np.corrcoef(pdist(found), pdist(expected))[0, 1] > 0.999


def test_tiny_estimates_are_not_the_unit_of_counts(counts, rng):
    """Programs that estimate FPKM leave values such as 1e-44, of which all others are multiples."""
    values = per_cell(counts, 5e5) * rng.lognormal(0, 1, counts.shape)
    values[:, 0] = 1e-30
    fitted = fit_representation(AnnData(values), RepresentationSettings(n_dims=3, kind="linear"))
    assert fitted.target_sum == pytest.approx(np.median(values.sum(axis=1)))


def test_a_mark_of_scanpy_is_enough_for_a_few_genes(counts):
    noise = np.random.default_rng(0).uniform(0.9, 1, (N_CELLS, 30))
    panel = AnnData(np.log1p(per_cell(counts, 1e4))[:, :30] * noise)
    assert kind_of(panel) == "other"
    panel.uns["log1p"] = {}
    assert kind_of(panel) == "normalised"
    panel.X = panel.X - 1
    assert kind_of(panel) == "other"


def test_channels_of_a_panel_are_scaled_and_genes_are_not(rng):
    spread = np.geomspace(0.1, 10, 150)
    panel = fit_representation(
        AnnData(rng.normal(size=(80, 150)) * spread), RepresentationSettings()
    )
    np.testing.assert_allclose(panel.linear.scale, spread, rtol=0.4)
    genes = rng.normal(size=(80, 300))
    assert (fit_representation(AnnData(genes), RepresentationSettings()).linear.scale == 1).all()


def test_values_on_a_linear_scale_are_said_to_be_logged(counts):
    adata = AnnData(per_cell(counts, 1e6))
    with pytest.warns(CellflowWarning, match=r"such as CPM.*--kind linear"):
        cf.pp.embed(adata, n_dims=3)
    quiet = AnnData(per_cell(counts, 1e6))
    cf.pp.embed(quiet, n_dims=3, kind="linear")
    np.testing.assert_array_equal(quiet.obsm["X_cellflow"], adata.obsm["X_cellflow"])


def test_corrected_counts_can_be_declared_as_counts(counts):
    adata = AnnData(counts * 0.94)
    cf.pp.embed(adata, n_dims=3, kind="counts")
    expected = pdist(embed(AnnData(counts)))
    assert np.corrcoef(pdist(adata.obsm["X_cellflow"]), expected)[0, 1] > 0.999
    adata.X[3, 3] = -1
    for kind in ("counts", "linear"):
        with pytest.raises(InputError, match=f"kind '{kind}' requires values of zero or more"):
            cf.pp.embed(adata, kind=kind)


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
def test_units_of_genes_are_stored_and_read_back(counts, tmp_path):
    adata = AnnData(per_length(counts))
    cf.pp.embed(adata, n_dims=3)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    record = again.uns["cellflow"]["representations"]["X_cellflow"]
    assert record["gene_units"].shape == (N_GENES,)
    fitted = cf.representation.read_slots(again, "X_cellflow")
    np.testing.assert_allclose(fitted.transform(again), adata.obsm["X_cellflow"], atol=1e-4)
    record["gene_units"] = record["gene_units"][:-1]
    with pytest.raises(InputError, match="gene_units has the shape"):
        cf.representation.read_slots(again, "X_cellflow")


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
def test_expression_on_another_scale_than_fitted_to_is_refused(counts):
    logged, deep = (AnnData(SCALES[name][0](counts)) for name in ("log1p", "log2 of CPM"))
    fitted = fit_representation(AnnData(counts), RepresentationSettings(n_dims=3))
    with pytest.raises(InputError, match=r"fitted to .*counts.* is of kind .normalised"):
        fitted.transform(logged)
    np.testing.assert_allclose(  # CPM are counts up to a factor per cell
        fitted.transform(AnnData(per_cell(counts, 1e6))),
        fitted.transform(AnnData(counts)),
        atol=1e-6,
    )
    with pytest.raises(InputError, match=r"fitted to .*normalised.* is of kind .counts"):
        fit_representation(deep, RepresentationSettings(n_dims=3)).transform(AnnData(counts))


def test_z_scores_and_counts_are_not_taken_for_each_other(counts):
    z_scores = AnnData(scaled(counts))
    settings = RepresentationSettings(n_dims=3)
    with pytest.raises(InputError, match=r"fitted to .*other.* is of kind .counts.; run pp.embed"):
        fit_representation(z_scores, settings).transform(AnnData(counts))
    with pytest.raises(InputError, match=r"fitted to .*counts.* is of kind .other"):
        fit_representation(AnnData(counts), settings).transform(z_scores)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_counts_with_a_negative_value_are_refused(counts, form):
    # The first cell is among those that are looked at, the second is not in large data.
    for cell in (0, 1):
        damaged = np.array(counts.todense() if sparse.issparse(counts) else counts, dtype=float)
        damaged[cell, 3] = -2
        adata = AnnData(form(damaged))
        with pytest.raises(InputError, match=r"a few are negative \(-2\): correct them"):
            cf.pp.embed(adata, n_dims=3)
        cf.pp.embed(adata, n_dims=3, kind="other")


def test_raw_is_a_layer_with_genes_of_its_own(counts, capsys):
    genes = [f"gene{k}" for k in range(N_GENES)]
    whole = AnnData(counts, var=pd.DataFrame(index=genes))
    adata = AnnData(scaled(counts)[:, :250], var=pd.DataFrame(index=genes[:250]))
    adata.raw = whole
    cf.pp.embed(adata, n_dims=3, layer="raw")
    np.testing.assert_allclose(np.abs(adata.obsm["X_cellflow"]), np.abs(embed(whole)), atol=1e-4)
    assert cf.representation.read_slots(adata, "X_cellflow").linear.genes[-1] == "gene399"
    capsys.readouterr()
    cf.pp.embed(adata, n_dims=3)
    assert "counts are stored in 'raw': layer='raw' (--layer raw)" in capsys.readouterr().err
    with pytest.raises(InputError, match="no layer 'spliced'; there are: raw"):
        cf.pp.embed(adata, layer="spliced")


def test_many_genes_without_a_log_scale_are_ranked_by_variance(rng):
    spread = rng.lognormal(0, 1, 2300)
    adata = AnnData(rng.normal(size=(60, 2300)) * spread)
    fitted = fit_representation(adata, RepresentationSettings(n_dims=3))
    expected = np.sort(np.argsort(-adata.X.var(axis=0))[:2000])
    assert fitted.linear.genes == tuple(adata.var_names[expected])
    adata.X /= adata.X.std(axis=0)
    assert len(fit_representation(adata, RepresentationSettings(n_dims=3)).linear.genes) == 2300


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.parametrize("name", ["CPM", "log2 of CPM", "FPKM"])
def test_chunks_give_the_embedding_of_the_whole(name, counts):
    da = pytest.importorskip("dask.array")
    values = SCALES[name][0](counts)
    lazy = AnnData(da.from_array(values, chunks=(50, N_GENES)))
    np.testing.assert_allclose(np.abs(embed(lazy)), np.abs(embed(AnnData(values))), atol=1e-4)


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
def test_verbs_on_genes_read_the_scale_as_embedding_does(counts):
    expected = read(AnnData(counts))
    for name in ("x 0.94", "CPM"):
        np.testing.assert_allclose(read(AnnData(SCALES[name][0](counts))), expected, atol=0.03)
    logged = AnnData(np.log1p(per_cell(counts, 1e4)))
    np.testing.assert_array_equal(read(logged), logged.X)


def read(adata):
    return to_log_scale(adata, read_expression(adata, None))
