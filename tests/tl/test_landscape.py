"""Densities along flows that carry a Gaussian to a known Gaussian."""

import anndata
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import multivariate_normal

import cellflow as cf
from tests.linear_flows import linear_flow

MATRIX = np.array([[-0.4, 0.3, 0.0], [-0.2, 0.1, 0.0], [0.0, 0.1, -0.5]])
CONSTANT = np.array([1.0, -0.5, 0.2])
DAYS = (0, 1, 2, 4)


@pytest.fixture
def flow(course):
    return linear_flow(course, MATRIX, CONSTANT, DAYS)


def exact(adata, flow):
    """Minus log-density of the Gaussian of day 0, carried by the matrix exponential."""
    days, points = adata.obs["day"].to_numpy(), adata.obsm["X_pca"]
    first, found = points[days == 0], np.empty(len(points))
    for day in DAYS:
        passed = flow.axis.to_flow(day) - flow.axis.to_flow(0)
        both = np.block([[MATRIX, CONSTANT[:, None]], [np.zeros((1, 4))]])
        map_ = expm(both * passed)[:3]
        mean = map_[:, :3] @ first.mean(axis=0) + map_[:, 3]
        covariance = map_[:, :3] @ np.cov(first.T) @ map_[:, :3].T
        here = days == day
        found[here] = -multivariate_normal(mean, covariance).logpdf(points[here])
    return found


def test_a_linear_flow_carries_a_gaussian(course, flow, tmp_path):
    cf.tl.landscape(course, flow)
    found = course.obs["cellflow_potential"].to_numpy()
    np.testing.assert_allclose(found, exact(course, flow), rtol=2e-3, atol=1e-2)
    course.write_h5ad(tmp_path / "p.h5ad")
    again = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert again.uns["cellflow"]["cellflow_potential"]["start"] == 0
    np.testing.assert_array_equal(again.obs["cellflow_potential"], found)


def test_a_cell_has_its_potential_in_any_company(course, flow, monkeypatch):
    """Cells go in parts, and a copy leaves the cells alone."""
    whole = cf.tl.landscape(course, flow, copy=True).obs["cellflow_potential"]
    assert "cellflow_potential" not in course.obs
    monkeypatch.setattr("cellflow.tl._landscape._ROWS", 150)
    parts = cf.tl.landscape(course, flow, copy=True).obs["cellflow_potential"]
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-4)


def test_few_cells_and_missing_ones_are_named(course, flow):
    later = course[course.obs["day"] > 0].copy()
    with pytest.raises(cf.InputError, match="the 0 cells of time 0, the first of the flow"):
        cf.tl.landscape(later, flow)
    few = course[np.r_[:3, 60:240]].copy()
    with pytest.raises(cf.InputError, match=r"3 cells of time 0.* do not span its 3 dimensions"):
        cf.tl.landscape(few, flow)


def test_the_figure_has_every_cell_and_asks_for_its_column(course, flow):
    with pytest.raises(cf.InputError, match=r"run cellflow\.tl\.landscape"):
        cf.pl.landscape(course)
    cf.tl.landscape(course, flow)
    axes = cf.pl.landscape(course, basis="pca", show=False)
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == course.n_obs
    assert axes.get_xlabel() == "PC 1"
