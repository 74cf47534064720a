"""The time at which cells are at home, along flows whose populations are known."""

import anndata
import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow.tl._pseudotime import _Reference
from cellflow.tl._time_course import TimeCourse
from tests.flows import known_flow, to_the_right
from tests.linear_flows import linear_flow

SPEED = 3.0


@pytest.fixture
def drift(rng):
    """Gaussians that drift along the first axis by `SPEED` a day, seen at days 0, 1, 2 and 4."""
    days = np.array([0.0, 1.0, 2.0, 4.0])
    cells = rng.normal(size=(4, 80, 2)) * [1.0, 0.3]
    cells[:, :, 0] += SPEED * days[:, None]
    obs = {"day": np.repeat(days, 80)}
    adata = anndata.AnnData(obs=obs, obsm={"X_pca": cells.reshape(-1, 2)})
    adata.obs_names = [f"c{k}" for k in range(adata.n_obs)]
    return adata


@pytest.fixture
def flow(drift):
    return linear_flow(drift, np.zeros((2, 2)), [SPEED * 4 / 3, 0.0], (0, 1, 2, 4))


def test_cells_are_at_home_where_the_drift_would_have_them(drift, flow, tmp_path):
    """Between the ends, the expected time at x is x / speed, also inside one snapshot."""
    cf.tl.pseudotime(drift, flow)
    found = drift.obs["cellflow_pseudotime"].to_numpy()
    expected = drift.obsm["X_pca"][:, 0] / SPEED
    inside = (expected > 0.5) & (expected < 3.5)
    assert np.abs(found - expected)[inside].mean() < 0.12
    second = (drift.obs["day"] == 2).to_numpy()
    assert np.corrcoef(found[second], expected[second])[0, 1] > 0.85
    drift.write_h5ad(tmp_path / "p.h5ad")
    again = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert again.uns["cellflow"]["cellflow_pseudotime"]["n_neighbors"] == 100


def test_the_way_is_as_long_as_the_flow_is_fast(drift, flow):
    done = cf.tl.pseudotime(drift, flow, copy=True)
    assert "cellflow_pseudotime" not in drift.obs
    np.testing.assert_allclose(
        done.obs["cellflow_path_length"], SPEED * done.obs["cellflow_pseudotime"], rtol=1e-4
    )


def test_cells_of_unknown_time_are_placed_in_a_course(drift, flow):
    unknown = anndata.AnnData(obsm={"X_pca": np.array([[4.5, 0.0], [9.0, 0.0]])})
    cf.tl.pseudotime(unknown, flow, course=drift)
    np.testing.assert_allclose(unknown.obs["cellflow_pseudotime"], [1.5, 3.0], atol=0.15)


def test_predicted_cells_are_those_of_each_interval_evenly_by_their_mass(drift):
    """Mass grows above the axis: cells moved on are from above, and those moved back from below."""
    flow = known_flow(
        drift, to_the_right, method="wfr-fm", growth=lambda t, x: 300.0 * torch.sign(x[:, 1])
    )
    course = TimeCourse.read(drift, flow, None)
    predicted = _Reference.predict(course, np.random.default_rng(0))
    middles = predicted.times.reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(middles, [0.5, 1.5, 3.0])
    moved_on = drift.obs["day"].to_numpy()[predicted.rows] < predicted.times
    above = drift.obsm["X_pca"][predicted.rows, 1] > 0
    assert 0 < moved_on.mean() < 1
    np.testing.assert_array_equal(above, moved_on)


def test_the_time_of_a_cell_is_not_taken_from_its_own_path():
    points = np.array([[0.0], [0.1], [5.0], [6.0]])
    predicted = _Reference(points, np.arange(4.0), np.array([7, 8, 9, 9]), np.arange(4.0))
    found = predicted.mean_time(np.zeros((2, 1)), np.array([7, -1]), 2)
    assert found.tolist() == [(1 + 2) / 2, (0 + 1) / 2]


def test_same_seed_same_time(drift, flow):
    once, again, other = (
        cf.tl.pseudotime(drift, flow, rng=rng, copy=True).obs["cellflow_pseudotime"]
        for rng in (0, 0, 1)
    )
    assert (once == again).all()
    assert (once != other).any()


def test_what_cannot_be_done_is_named(drift, flow):
    with pytest.raises(cf.InputError, match=r"n_neighbors must be under \d+, got 9999"):
        cf.tl.pseudotime(drift, flow, n_neighbors=9999)
    with pytest.raises(cf.InputError, match="n_neighbors must be positive"):
        cf.tl.pseudotime(drift, flow, n_neighbors=0)


@pytest.mark.parametrize("verb", ["pseudotime", "gene_trends"])
def test_populations_need_two_times_of_the_flow(drift, flow, verb):
    drift.obs["day"] = drift.obs["day"] * 0.9 + 0.1
    with pytest.raises(
        cf.InputError, match=r"data \(0.1, 1, 1.9, 3.7\) .* fewer than two in common"
    ):
        getattr(cf.tl, verb)(drift, flow, **({"decoder": len} if verb == "gene_trends" else {}))
