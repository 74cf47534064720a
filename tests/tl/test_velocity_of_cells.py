"""Velocities of flows that are known, their slots, and their images on plots."""

import anndata
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import cellflow as cf
from cellflow.representation import from_context
from tests.linear_flows import linear_flow

MATRIX = np.array([[0.1, -1.0, 0.0], [1.0, 0.2, 0.3], [0.0, 0.0, -0.5]])
SHIFT = np.array([1.0, 0.0, -2.0])


@pytest.fixture
def flow(course):
    return linear_flow(course, MATRIX, SHIFT, (0, 1, 2, 4))


def test_velocity_is_per_unit_of_elapsed_time(course, flow):
    """Three mean intervals in four days: the real clock runs at 3/4."""
    cf.tl.velocity(course, flow, n_smooth=1)
    expected = 0.75 * (course.obsm["X_pca"] @ MATRIX.T + SHIFT)
    np.testing.assert_allclose(course.obsm["velocity_pca"], expected, rtol=1e-4, atol=1e-4)


def test_velocities_are_averaged_over_the_nearest_cells_of_the_time(course, flow):
    """Of a linear field, the average over cells is the velocity at their mean."""
    cf.tl.velocity(course, flow, n_smooth=10)
    x = course.obsm["X_pca"]
    day = (course.obs["day"] == 1).to_numpy()
    near = cdist(x[day], x[day]).argsort(axis=1)[:, :10]
    expected = 0.75 * (x[day][near].mean(axis=1) @ MATRIX.T + SHIFT)
    np.testing.assert_allclose(course.obsm["velocity_pca"][day], expected, rtol=1e-4, atol=1e-4)
    cf.tl.velocity(course, flow, n_smooth=1_000)
    found = course.obsm["velocity_pca"][day]
    np.testing.assert_allclose(found, np.tile(found.mean(axis=0), (60, 1)), rtol=1e-5)
    assert course.uns["cellflow"]["velocity"]["n_smooth"] == 1_000
    with pytest.raises(cf.InputError, match="n_smooth must be positive, got 0"):
        cf.tl.velocity(course, flow, n_smooth=0)


def test_velocities_are_averaged_within_labels(course, rng):
    """Cells of one label stand still, those of the other move; neither borrows from the other."""
    course.obs["kind"] = np.where(rng.random(240) < 0.5, "a", "b")
    still = (course.obs["kind"] == "a").to_numpy()
    course.obsm["X_pca"][:, 1] = np.where(still, 0, course.obs["day"])
    recipe = cf.recipe("default", n_steps=30, net={"width": 16}, batch_size=32)
    flow = cf.tl.fit(course, use_rep="X_pca", label_key="kind", recipe=recipe, progress=False)
    cf.tl.velocity(course, flow, n_smooth=1_000)
    found = course.obsm["velocity_pca"]
    for kind in (still, ~still):
        for day in (0, 1):
            rows = kind & (course.obs["day"] == day).to_numpy()
            assert found[rows].std(axis=0).max() < 1e-5
    assert np.abs(found[still][0] - found[~still][0]).max() > 1e-4


def test_where_two_intervals_meet_the_clock_runs_at_the_mean_of_both(course):
    """On the index clock one flow time passes on days 0-1, 1-2, and 2-4."""
    flow = linear_flow(course, np.zeros((3, 3)), SHIFT, (0, 1, 2, 4), kind="index")
    cf.tl.velocity(course, flow)
    for day, pace in ((0, 1), (1, 1), (2, 0.75), (4, 0.5)):
        found = course.obsm["velocity_pca"][(course.obs["day"] == day).to_numpy()]
        np.testing.assert_allclose(found, np.tile(pace * SHIFT, (60, 1)), rtol=1e-4)


def test_pca_of_the_representation_gets_the_exact_image(course, flow, rng):
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0][:, :2]
    course.obsm["X_turned"] = course.obsm["X_pca"] @ rotation + 5
    cf.tl.velocity(course, flow, basis="turned")
    np.testing.assert_allclose(
        course.obsm["velocity_turned"], course.obsm["velocity_pca"] @ rotation, atol=1e-4
    )
    assert course.uns["cellflow"]["velocity"]["bases"] == {"turned": "linear"}


def test_on_a_curved_basis_arrows_point_where_the_cells_go(course, rng):
    """Cells drift along the first axis, and the plot bends it without turning back."""
    flow = linear_flow(course, np.zeros((3, 3)), [1.0, 0.0, 0.0], (0, 1, 2, 4))
    x = course.obsm["X_pca"]
    course.obsm["X_umap"] = np.stack([np.tanh(x[:, 0] / 2), x[:, 1] ** 3], axis=1)
    cf.tl.velocity(course, flow, basis=["X_umap"], n_neighbors=20)
    arrows = course.obsm["velocity_umap"]
    assert course.uns["cellflow"]["velocity"]["bases"] == {"umap": "neighbours"}
    assert (arrows[:, 0] > 0).mean() > 0.95
    assert np.abs(arrows[:, 1].mean()) < 0.05 < arrows[:, 0].mean()


def test_arrows_are_mean_directions_to_neighbours_weighted_by_the_angle(course, flow):
    """By its definition: exp(10 cos) of the angle to the velocity, minus the unweighted mean."""
    x = course.obsm["X_pca"]
    plot = course.obsm["X_umap"] = np.stack([np.tanh(x[:, 0] / 2), x[:, 1] ** 3], axis=1)
    cf.tl.velocity(course, flow, basis="umap", n_neighbors=12, n_smooth=1)
    for i in (0, 100, 239):
        near = np.delete(np.arange(240), i)
        near = near[np.linalg.norm(x[near] - x[i], axis=1).argsort()[:12]]
        way, shown = (each[near] - each[i] for each in (x, plot))
        speed = MATRIX @ x[i] + SHIFT
        cosines = way @ speed / np.linalg.norm(way, axis=1) / np.linalg.norm(speed)
        weights = np.exp(10 * cosines) / np.exp(10 * cosines).sum()
        directions = shown / np.linalg.norm(shown, axis=1, keepdims=True)
        expected = weights @ directions - directions.mean(axis=0)
        np.testing.assert_allclose(course.obsm["velocity_umap"][i], expected, atol=1e-4)


def test_genes_and_every_slot_come_back_from_a_file(semrau, quick, tmp_path):
    cf.pp.embed(semrau, n_dims=5, whiten=True)
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    bare = semrau[:, ::-1].copy()
    del bare.obsm["X_cellflow"]
    done = cf.tl.velocity(bare, flow, decode=True, key_added="speed", copy=True)
    assert "speed_cellflow" not in bare.obsm
    done.write_h5ad(tmp_path / "v.h5ad")
    again = anndata.read_h5ad(tmp_path / "v.h5ad")
    assert again.var["speed_genes"].all()
    assert again.uns["cellflow"]["speed"]["flow_id"] == flow.fingerprint
    # Decoding is affine, so a small step along the velocity changes genes by theirs.
    predicted, step = again.obsm["X_cellflow"].astype(float), 1e-3
    moved = from_context(flow.context)
    genes = list(moved.linear.genes)
    change = moved.decode(predicted + step * again.obsm["speed_cellflow"]) - moved.decode(predicted)
    np.testing.assert_allclose(again[:, genes].layers["speed"], change / step, rtol=0.01, atol=1e-4)


def test_the_plot_of_the_representation_itself_needs_no_slot(semrau, quick):
    semrau = semrau[::10].copy()
    cf.pp.embed(semrau, n_dims=3)
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    turned = cf.tl.velocity(semrau[::-1], flow, copy=True).obsm["velocity_cellflow"]
    del semrau.obsm["X_cellflow"]
    cf.tl.velocity(semrau, flow, basis="cellflow")
    np.testing.assert_allclose(semrau.obsm["velocity_cellflow"], turned[::-1], atol=1e-4)


def test_velocities_are_not_written_beside_points_of_another_representation(semrau, quick):
    semrau = semrau[::10].copy()
    cf.pp.embed(semrau, n_dims=3)
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    for options in ({"n_dims": 4}, {"n_dims": 3, "whiten": True}):
        cf.pp.embed(semrau, **options)
        with pytest.raises(cf.InputError, match=r"obsm\['X_cellflow'\] is another representation"):
            cf.tl.velocity(semrau, flow)
    assert "velocity_cellflow" not in semrau.obsm


def test_what_cannot_be_done_is_named(course, flow):
    with pytest.raises(cf.InputError, match=r"unknown basis 'X_umap'.*valid: X_pca"):
        cf.tl.velocity(course, flow, basis="umap")
    with pytest.raises(cf.InputError, match="cannot be decoded to genes"):
        cf.tl.velocity(course, flow, decode=True)
    course.obsm["X_umap"] = course.obsm["X_pca"][:, :2] ** 3
    with pytest.raises(cf.InputError, match="n_neighbors must be under 240"):
        cf.tl.velocity(course, flow, basis="umap", n_neighbors=240)
    short = linear_flow(course, MATRIX, SHIFT, (0, 2))
    with pytest.raises(cf.InputError, match="time 4 is outside the range 0 to 2"):
        cf.tl.velocity(course, short)
