"""Cells that are moved, and their paths, along flows that are known."""

import anndata
import numpy as np
import pytest
import torch

import cellflow as cf
from tests.flows import constant_flow, course_of, flow_of, known_flow, to_the_right


@pytest.fixture
def cells(rng):
    """Six cells a day, at days 0, 2, 3."""
    return course_of(rng.normal(size=(18, 2)), np.repeat([0, 2, 3], 6), kind=list("abcabc") * 3)


@pytest.fixture
def flow(cells):
    return known_flow(cells, to_the_right)


def test_pushed_cells_go_through_several_intervals_from_their_own_time(cells, flow):
    moved = cf.tl.push(cells, flow, "kind=a & day=0,2", 3)
    assert moved.obs["start_time"].tolist() == [0, 0, 2, 2]
    assert moved.obs_names[0] == "c0@3"
    start = cells[moved.obs["start_cell"]].obsm["X_pca"]
    # Days 0, 2 and 3 are one unit of flow time apart.
    np.testing.assert_allclose(
        moved.obsm["X_cellflow"] - start, [[2, 0]] * 2 + [[1, 0]] * 2, atol=1e-5
    )
    assert moved.obs["cellflow_weight"].tolist() == pytest.approx([0.25] * 4)
    entry = moved.uns["cellflow"]["push"]
    assert (entry["time"], entry["cells"], entry["extrapolated"]) == (3, "kind=a & day=0,2", False)


def test_pull_undoes_push(cells, quick):
    flow = cf.tl.fit(cells, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    there = cf.tl.push(cells, flow, "day=0", 3)
    ends = course_of(np.tile(there.obsm["X_cellflow"], (2, 1)), [0] * 6 + [3] * 6)
    back = cf.tl.pull(ends, flow, "day=3", 0).obsm["X_cellflow"]
    np.testing.assert_allclose(back, cells.obsm["X_pca"][:6], atol=1e-4)


def test_push_inside_an_interval_is_interpolation_without_asynchrony(cells, quick):
    flow = cf.tl.fit(cells, use_rep="X_pca", method="wfr-fm", recipe=quick, progress=False)
    ours = cf.tl.push(cells, flow, "day=0", 1.3)
    theirs = cf.tl.interpolate(cells, flow, 1.3, start="previous")
    assert ours.obs_names.tolist() == theirs.obs_names.tolist()
    np.testing.assert_allclose(
        ours.obs["cellflow_weight"], theirs.obs["cellflow_weight"], rtol=1e-4
    )
    np.testing.assert_allclose(ours.obsm["X_cellflow"], theirs.obsm["X_cellflow"], atol=1e-4)


def test_weights_are_the_masses_that_cells_grow_to(cells):
    flow = known_flow(cells, to_the_right, method="wfr-fm", growth=lambda t, x: x[:, 1])
    moved = cf.tl.push(cells, flow, "day=0", 3)
    mass = np.exp(2 * cells.obsm["X_pca"][:6, 1])
    np.testing.assert_allclose(moved.obs["cellflow_weight"], mass / mass.sum(), rtol=1e-4)


def test_cells_of_several_times_weigh_as_shares_of_their_populations(cells):
    """Mass grows with y; three cells of each day, of which the first have grown for longer."""
    flow = known_flow(cells, to_the_right, method="wfr-fm", growth=lambda t, x: x[:, 1] + 5)
    y, day = cells.obsm["X_pca"][:, 1], cells.obs["day"].to_numpy()
    mass = np.exp(np.select([day == 0, day == 2], [2.0, 1.0]) * y)
    share = np.concatenate([part / part.sum() for part in np.split(mass, 3)])
    taken = np.flatnonzero(cells.obs["kind"].isin(["a", "b"]) & (day < 3))
    expected = share[taken] / share[taken].sum()
    moved = cf.tl.push(cells, flow, "kind=a,b & day=0,2", 3)
    np.testing.assert_allclose(moved.obs["cellflow_weight"], expected, rtol=1e-4)
    paths = cf.tl.trajectories(cells, flow, cells="kind=a,b & day=0,2", times=[0, 2, 3])
    last = paths[paths.obs["cellflow_time"] == 3]
    assert last.obs["start_cell"].tolist() == moved.obs["start_cell"].tolist()
    np.testing.assert_allclose(last.obs["cellflow_weight"], expected, rtol=1e-4)


def test_cells_without_growth_weigh_by_how_many_stand_for_their_population(cells, flow):
    fewer = cells[np.r_[:6, 6:8, 12:18]].copy()
    weights = cf.tl.push(fewer, flow, None, 3).obs
    by_start = weights[weights["start_time"] < 3].groupby("start_time")["cellflow_weight"].sum()
    assert by_start.tolist() == pytest.approx([1 / 3] * 2)


def test_an_ensemble_spreads_as_its_diffusion_says_in_both_directions(cells):
    still = lambda t, x: torch.zeros_like(x)  # noqa: E731
    flow = known_flow(cells, still, score=still, diffusion=0.5, method="sf2m")
    for verb, day, goal in ((cf.tl.push, 0, 3), (cf.tl.pull, 3, 0)):
        cloud = verb(cells, flow, f"day={day}", goal, n_samples=500, rng=1)
        assert cloud.n_obs == 3000
        assert cloud.obs_names.is_unique
        start = cells[cloud.obs["start_cell"]].obsm["X_pca"]
        spread = (cloud.obsm["X_cellflow"] - start).std()
        assert spread == pytest.approx(0.5 * np.sqrt(2), rel=0.05)
    again = cf.tl.push(cells, flow, "day=0", 3, n_samples=2, rng=1)
    same = cf.tl.push(cells, flow, "day=0", 3, n_samples=2, rng=1)
    np.testing.assert_array_equal(again.obsm["X_cellflow"], same.obsm["X_cellflow"])


@pytest.mark.parametrize(("verb", "day", "goal", "shift"), [("push", 2, 5, 3), ("pull", 0, -4, -2)])
def test_beyond_the_data_cells_go_on_where_that_is_asked_and_the_result_says_so(
    cells, verb, day, goal, shift
):
    flow = constant_flow(cells, [1.0, 0.5])
    move = getattr(cf.tl, verb)
    with pytest.raises(
        cf.InputError, match=f"time {goal} is outside the times of the flow, 0 to 3"
    ):
        move(cells, flow, f"day={day}", goal)
    with pytest.warns(cf.CellflowWarning, match="no data supports"):
        moved = move(cells, flow, f"day={day}", goal, extrapolate=True)
    assert moved.uns["cellflow"][verb]["extrapolated"]
    start = cells[moved.obs["start_cell"]].obsm["X_pca"]
    # The clock runs at the pace of the interval that is nearest: 1 and 1/2 a day.
    np.testing.assert_allclose(
        moved.obsm["X_cellflow"] - start, [[shift, shift / 2]] * 6, atol=1e-5
    )


def test_an_extended_flow_holds_its_velocity_at_the_ends(cells, quick):
    flow = cf.tl.fit(cells, use_rep="X_pca", method="wfr-fm", recipe=quick, progress=False)
    x = torch.as_tensor(cells.obsm["X_pca"], dtype=torch.float32)
    held = flow.extrapolate().nets
    for outside, end in ((-3.0, 0.0), (7.0, 2.0)):
        early, late = (torch.full((18,), t) for t in (outside, end))
        torch.testing.assert_close(held.velocity(early, x), flow.nets.velocity(late, x))
        torch.testing.assert_close(held.growth(early, x), flow.nets.growth(late, x))
    assert flow.extrapolate().axis.to_flow(1.0) == flow.axis.to_flow(1.0)


def test_mean_flows_and_covariates_go_along(cells, quick):
    cells.obs["dose"] = np.tile([0.0, 1.0, 2.0], 6)
    for options in ({"method": "mean-flow"}, {"method": "ot-cfm", "condition_keys": "dose"}):
        flow = cf.tl.fit(cells, use_rep="X_pca", recipe=quick, progress=False, **options)
        assert np.isfinite(cf.tl.push(cells, flow, "day=0", 2.5).obsm["X_cellflow"]).all()
        with pytest.warns(cf.CellflowWarning, match="beyond|outside"):
            beyond = cf.tl.push(cells, flow, "day=0", 3.5, extrapolate=True)
        assert np.isfinite(beyond.obsm["X_cellflow"]).all()


def test_counts_decode_to_genes_and_survive_h5ad(semrau, quick, tmp_path):
    cf.pp.embed(semrau, n_dims=5)
    flow = cf.tl.fit(semrau, method="ot-cfm", recipe=quick, progress=False)
    moved = cf.tl.push(semrau, flow, "time=48", "72")
    paths = cf.tl.trajectories(semrau, flow, n_cells=3, times=3)
    for name, cells in {"push": moved, "trajectories": paths}.items():
        assert cells.var_names.tolist() == semrau.var_names.tolist()
        cells.write_h5ad(tmp_path / "p.h5ad")
        again = anndata.read_h5ad(tmp_path / "p.h5ad")
        np.testing.assert_array_equal(again.X, cells.X)
        assert again.uns["cellflow"][name]["extrapolated"] == False  # noqa: E712
    assert cf.tl.push(semrau, flow, "time=48", 72, decode=False).n_vars == 0


def test_mistakes_are_named(cells, flow):
    with pytest.raises(cf.InputError, match=r"none of the 6 cells chosen .day=3. is at or before"):
        cf.tl.push(cells, flow, "day=3", 2)
    with pytest.raises(cf.InputError, match="has no score"):
        cf.tl.push(cells, flow, "day=0", 2, n_samples=3)
    with pytest.raises(cf.InputError, match="n_samples must be positive, got 0"):
        cf.tl.push(cells, flow, "day=0", 2, n_samples=0)
    with pytest.raises(cf.InputError, match="'soon' is not a time of this time course"):
        cf.tl.push(cells, flow, "day=0", "soon")


def test_trajectories_have_a_row_a_cell_and_time_from_each_start(cells, flow):
    paths = cf.tl.trajectories(cells, flow, cells="kind=a", n_cells=None, times=[1, 2, "3"])
    assert paths.obs["trajectory"].tolist() == [0] * 4 + [1] * 4 + [2] * 2 + [3] * 2
    assert paths.obs["cellflow_time"].tolist() == [0, 1, 2, 3] * 2 + [2, 3] * 2
    assert paths.obs_names.is_unique
    moved = paths.obsm["X_cellflow"] - cells[paths.obs["start_cell"]].obsm["X_pca"]
    np.testing.assert_allclose(moved[:4], [[0, 0], [0.5, 0], [1, 0], [2, 0]], atol=1e-5)
    weights = paths.obs.groupby("cellflow_time")["cellflow_weight"].sum()
    assert weights.tolist() == pytest.approx([1] * 4)


def test_trajectories_go_backward_from_the_last_time(cells):
    flow = known_flow(cells, to_the_right, method="wfr-fm", growth=lambda t, x: 0 * x[:, 0])
    paths = cf.tl.trajectories(cells, flow, times=4, n_cells=2, backward=True)
    assert paths.obs["cellflow_time"].tolist() == [3, 2, 1, 0] * 2
    moved = paths.obsm["X_cellflow"] - cells[paths.obs["start_cell"]].obsm["X_pca"]
    np.testing.assert_allclose(moved[:4, 0], [0, -1, -1.5, -2], atol=1e-5)


def test_trajectories_are_drawn_by_the_seed_and_end_where_push_does(cells, flow):
    names = [
        cf.tl.trajectories(cells, flow, n_cells=3, times=2, rng=rng).obs["start_cell"].tolist()
        for rng in (0, 0, 1)
    ]
    assert names[0] == names[1] != names[2]
    paths = cf.tl.trajectories(cells, flow, n_cells=None, times=5)
    ends = paths[paths.obs["cellflow_time"] == 3].obsm["X_cellflow"]
    np.testing.assert_allclose(
        ends, cf.tl.push(cells, flow, "day=0", 3).obsm["X_cellflow"], atol=1e-5
    )


def test_mistakes_of_trajectories_are_named(cells, flow):
    for times in (1, 2.5, "day 2"):
        with pytest.raises(cf.InputError, match=f"or a list of them, got {times!r}"):
            cf.tl.trajectories(cells, flow, times=times)
    with pytest.raises(cf.InputError, match=r"none of the 6 cells chosen .day=3. is before time 3"):
        cf.tl.trajectories(cells, flow, cells="day=3")
    with pytest.raises(cf.InputError, match="no time of the grid is after time 2"):
        cf.tl.trajectories(cells, flow, cells="day=2", times=[1])
    with pytest.raises(cf.InputError, match="n_cells must be positive"):
        cf.tl.trajectories(cells, flow, n_cells=0)
    with pytest.raises(cf.InputError, match="time 9 is outside"):
        cf.tl.trajectories(cells, flow, times=[1, 9])
    with pytest.raises(cf.InputError, match="fewer than two in common"):
        cf.tl.trajectories(cells, flow_of(course_of(np.eye(4, 2), [7, 7, 8, 8]), flow.nets))


def test_the_number_of_times_may_be_of_numpy(cells, flow):
    paths = cf.tl.trajectories(cells, flow, times=np.int64(3), n_cells=2)
    assert paths.n_obs == 6


def test_points_of_another_embedding_are_computed_again_and_that_is_said(semrau, quick, caplog):
    cf.pp.embed(semrau, n_dims=3)
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    stored = cf.tl.push(semrau, flow, "time=0", 6).obsm["X_cellflow"]
    assert "computed from expression" not in caplog.text
    cf.pp.embed(semrau, n_dims=2)
    computed = cf.tl.push(semrau, flow, "time=0", 6).obsm["X_cellflow"]
    assert caplog.text.count("computed from expression") == 1
    assert "pp.embed ran after tl.fit" in caplog.text
    np.testing.assert_allclose(computed, stored, rtol=1e-4, atol=1e-4)
