"""Seeds that disagree by a known amount, cells that leave the data, errors of regions."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow._errors import CellflowWarning
from cellflow.tl._uncertainty import _weighted_radius
from tests.linear_flows import linear_flow

TIMES = (0, 1, 2, 4)


def drifting(course, shift):
    return linear_flow(course, np.zeros((3, 3)), shift, TIMES)


def test_disagreement_is_the_distance_between_arrivals(course, tmp_path):
    """Two flows part by 2 x 0.04 x 3 / 4 a day, each arrival half of that from the mean."""
    flows = [drifting(course, [4 / 3, side, 0]) for side in (-0.04, 0.04)]
    cf.tl.uncertainty(course, flows)
    left = 4 - course.obs["day"].to_numpy()
    means = course.obsm["X_pca"].reshape(4, 60, 3).mean(axis=1, keepdims=True)
    inner = course.obsm["X_pca"].reshape(4, 60, 3) - means
    spread = np.sqrt(np.square(inner).sum(axis=2).mean())
    np.testing.assert_allclose(
        course.obs["cellflow_uncertainty"], 0.03 * left / spread, rtol=1e-3, atol=1e-6
    )
    course.write_h5ad(tmp_path / "u.h5ad")
    entry = anndata.read_h5ad(tmp_path / "u.h5ad").uns["cellflow"]["cellflow_uncertainty"]
    assert entry["time"] == 4
    assert len(entry["flow_ids"]) == 2


def test_cells_that_stay_among_data_are_near_and_others_are_told_of(course):
    cf.tl.uncertainty(course, drifting(course, [4 / 3, 0, 0]))
    assert 0.8 < course.obs["cellflow_distance"].median() < 1.5
    assert "cellflow_uncertainty" not in course.obs
    with pytest.warns(CellflowWarning, match="extrapolates"):
        cf.tl.uncertainty(course, drifting(course, [0, 40, 0]))
    gone = course.obs["day"] < 4
    assert course.obs["cellflow_distance"][gone].min() > 20
    assert course.uns["cellflow"]["cellflow_uncertainty"]["share_far"] > 0.7


def test_the_radius_is_that_of_the_population_where_nothing_is_known(course):
    """Cells of different times are independent draws around a drift; exact plans claim more."""
    rng = np.random.default_rng(5)
    days = course.obs["day"].to_numpy()
    at = days[:, None] * [4 / 3, 0, 0]
    course.obsm["X_pca"] = at + 0.3 * rng.normal(size=(240, 3))
    flow = drifting(course, [4 / 3, 0, 0])
    cf.tl.uncertainty(course, flow, time=1)
    radius = course.obs["cellflow_radius"].to_numpy()
    assert np.isnan(radius[days >= 1]).all()
    spread = course.uns["cellflow"]["cellflow_uncertainty"]["spread"]
    # Nothing is known of where a cell goes within the population, which 60 cells show roughly.
    chosen = course.obsm["X_pca"][days == 1]
    away = np.linalg.norm(chosen - chosen.mean(axis=0), axis=1)
    assert np.quantile(away, 0.4) < np.median(radius[days == 0]) * spread <= away.max()
    cf.tl.uncertainty(course, flow, time=1, by="coupling")
    assert (course.obs["cellflow_radius"][days == 0] < 0.2).mean() > 0.9


def test_the_radius_is_left_out_where_it_cannot_be_computed(course):
    flow = drifting(course, [4 / 3, 0, 0])
    cf.tl.uncertainty(course, flow, by=None)
    assert "cellflow_radius" not in course.obs
    # No cells were measured at day 3.
    with pytest.warns(CellflowWarning, match="extrapolates"):
        cf.tl.uncertainty(course, flow, time=3)
    assert "cellflow_radius" not in course.obs
    with pytest.raises(cf.InputError, match="estimator of transitions"):
        cf.tl.uncertainty(course, flow, by="bridges")


def test_weighted_radius_is_that_of_the_nearest_points():
    points = np.array([[0.0], [1.0], [3.0], [10.0]])
    shares = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(_weighted_radius(shares, points), [0.5, 0.0, 6.5])


def test_what_cannot_be_done_is_named(course):
    flow = drifting(course, [1, 0, 0])
    course.obsm["X_other"] = course.obsm["X_pca"]
    other = linear_flow(course, np.zeros((3, 3)), [1, 0, 0], TIMES, use_rep="X_other")
    with pytest.raises(cf.InputError, match="flow 1 has another representation"):
        cf.tl.uncertainty(course, [flow, other])
    for key, whiten in (("X_plain", False), ("X_white", True)):
        cf.pp.embed(course, use_rep="X_pca", whiten=whiten, key_added=key)
    quick = cf.recipe("default", n_steps=2, net={"width": 8})
    white, plain = (
        cf.tl.fit(course, use_rep=key, recipe=quick, progress=False)
        for key in ("X_white", "X_plain")
    )
    with pytest.raises(cf.InputError, match="flow 1 has another representation"):
        cf.tl.uncertainty(course, [white, plain])
    with pytest.raises(cf.InputError, match="no flows"):
        cf.tl.uncertainty(course, [])
    with pytest.raises(cf.InputError, match="flow 1 is the same as one before it"):
        cf.tl.uncertainty(course, [plain, plain])
    with pytest.raises(cf.InputError, match="flow"):
        cf.tl.uncertainty(course, [plain, None])
    with pytest.raises(cf.InputError, match="time 5 is outside the range"):
        cf.tl.uncertainty(course, flow, time=5)


@pytest.mark.filterwarnings("ignore:.*extrapolates:cellflow.CellflowWarning")
def test_neighbours_are_of_the_cells_own_label(course):
    """The cells of one donor are carried among those of the other."""
    course.obs["donor"] = np.tile(["a", "b"], 120)
    course.obsm["X_pca"][1::2, 1] += 50
    away = drifting(course, [4 / 3, 4 / 3 * 50, 0])
    cf.tl.uncertainty(course, away, time=1)
    assert course.obs["cellflow_distance"][:60:2].max() < 10
    within = replace(away, inputs=replace(away.inputs, label_key="donor"))
    cf.tl.uncertainty(course, within, time=1)
    assert course.obs["cellflow_distance"][:60:2].min() > 20
    course.obs.loc["cell3", "donor"] = "c"
    with pytest.raises(cf.InputError, match=r"under 1 \(cells of the smallest label of the flow"):
        cf.tl.uncertainty(course, within)


@pytest.fixture
def two_sided(rng):
    """Two branches that stand still; at day 1 the upper one has three quarters of the cells."""
    side = np.concatenate([np.tile([-1, 1], 40), np.tile([-1, 1, 1, 1], 20), np.tile([-1, 1], 40)])
    points = rng.normal(size=(240, 2)) * 0.2
    points[:, 1] += 5 * side
    return anndata.AnnData(
        obs=pd.DataFrame(
            {"day": np.repeat([0.0, 1.0, 2.0], 80), "side": np.where(side > 0, "up", "down")},
            index=[f"c{k}" for k in range(240)],
        ),
        obsm={"X_pca": points},
    )


def test_regions_tell_which_group_is_predicted_too_few_and_which_elsewhere(two_sided):
    kept = two_sided[two_sided.obs["day"] != 1].copy()
    still = linear_flow(kept, np.zeros((2, 2)), [0, 0], (0, 2))
    table = cf.tl.regions(two_sided, cf.tl.interpolate(kept, still, 1), "side").set_index("group")
    assert table.index.tolist() == ["up", "down"]
    assert table["share_real"].tolist() == [0.75, 0.25]
    np.testing.assert_allclose(table["share_predicted"], 0.5, atol=1e-6)
    assert (table["w1"] < 2 * table["reference"] + 0.1).all()
    moved = linear_flow(kept, np.zeros((2, 2)), [6.0, 0], (0, 2))
    guess = cf.tl.interpolate(kept, moved, 1, start="previous")
    aside = cf.tl.regions(two_sided, guess, "side").set_index("group")
    np.testing.assert_allclose(aside["w1"], 3, atol=0.3)


def test_regions_need_a_prediction_and_real_cells(two_sided):
    still = linear_flow(two_sided, np.zeros((2, 2)), [0, 0], (0, 1, 2))
    with pytest.raises(cf.InputError, match="not a result of"):
        cf.tl.regions(two_sided, two_sided, "side")
    with pytest.raises(cf.InputError, match=r"no cells were measured at time 1\.5"):
        cf.tl.regions(two_sided, cf.tl.interpolate(two_sided, still, 1.5), "side")
    guess = cf.tl.interpolate(two_sided, still, 1)
    with pytest.raises(cf.InputError, match="max_cells must be positive, got 0"):
        cf.tl.regions(two_sided, guess, "side", max_cells=0)
    two_sided.obs["none"] = np.where(two_sided.obs["day"] == 1, None, "somewhere else")
    with pytest.raises(cf.InputError, match=r"obs\['none'\] has no value for any cell"):
        cf.tl.regions(two_sided, guess, "none")


def test_predicted_cells_among_cells_without_a_group_are_in_none(course, quick):
    """A perfect prediction of three thirds, one of which nobody has named."""
    course.obsm["X_pca"][:, 1] = np.tile(np.repeat([0.0, 10.0, 20.0], 20), 4)
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    predicted = cf.tl.interpolate(course, flow, 1)
    names = np.array(["a", "b", None], dtype=object)
    course.obs["third"] = pd.Categorical(np.tile(np.repeat(names, 20), 4))
    table = cf.tl.regions(course, predicted, "third").set_index("group")
    assert table["n_predicted"].to_dict() == {"a": 20, "b": 20}
    assert table["share_predicted"].tolist() == pytest.approx([0.5, 0.5])
