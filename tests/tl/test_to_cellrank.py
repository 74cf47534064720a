"""Couplings for CellRank, and slots that CellRank and scVelo read, by the real packages."""

import warnings
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

import cellflow as cf
from tests.linear_flows import linear_flow


@pytest.fixture
def flow(course):
    """All cells move along the first axis by one a day, as the populations do."""
    return linear_flow(course, np.zeros((3, 3)), [4 / 3, 0, 0], (0, 1, 2, 4))


@pytest.fixture
def copies(course):
    """Each population is the first one, moved: the coupling is known."""
    x = course.obsm["X_pca"].reshape(4, 60, 3)
    x[1:] = x[0] + np.array([1.0, 2.0, 4.0])[:, None, None] * np.array([1.0, 0, 0])
    return course


@pytest.mark.parametrize("epsilon", [0, 0.001])
def test_cells_that_only_move_are_coupled_with_themselves(copies, flow, epsilon):
    couplings = cf.tl.to_cellrank(copies, flow, epsilon=epsilon)
    assert list(couplings) == [(0, 1), (1, 2), (2, 4)]
    for (first, second), coupling in couplings.items():
        rows = coupling.X.toarray()
        assert (rows.argmax(axis=1) == np.arange(60)).all()
        assert rows.sum() == pytest.approx(1, abs=0.02)
        assert coupling.obs_names.tolist() == copies.obs_names[copies.obs["day"] == first].tolist()
        assert coupling.var_names.tolist() == copies.obs_names[copies.obs["day"] == second].tolist()
    assert copies.obs["cellflow_time_point"].cat.categories.tolist() == [0, 1, 2, 4]


def test_rows_carry_the_mass_of_the_flow_and_columns_are_equal(course, quick):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    coupling = cf.tl.to_cellrank(course, flow, epsilon=0)[2.0, 4.0]
    cells = course[course.obs["day"] == 2]
    grown = (
        flow.trajectory(torch_points(cells), [2, 4]).log_mass[-1].double().softmax(dim=0).numpy()
    )
    np.testing.assert_allclose(np.asarray(coupling.X.sum(axis=1)).ravel(), grown, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(coupling.X.sum(axis=0)).ravel(), 1 / 60, rtol=1e-6)


def torch_points(cells):
    import torch

    return torch.as_tensor(cells.obsm["X_pca"], dtype=torch.float32)


@pytest.mark.parametrize("epsilon", [0, 0.05])
def test_cells_are_coupled_within_their_label(course, flow, rng, epsilon):
    course.obs["arm"] = rng.choice(["ctrl", "drug"], 240)
    flow = replace(flow, inputs=replace(flow.inputs, label_key="arm"))
    for coupling in cf.tl.to_cellrank(course, flow, epsilon=epsilon).values():
        before, after = (
            course.obs["arm"][names].to_numpy()
            for names in (coupling.obs_names, coupling.var_names)
        )
        mass = coupling.X.toarray()
        assert (mass[before[:, None] != after] == 0).all()
        np.testing.assert_allclose(mass.sum(axis=1), 1 / 60, rtol=0.02)
        of_ctrl = mass[:, after == "ctrl"].sum(axis=0)
        if epsilon == 0:
            np.testing.assert_allclose(of_ctrl, (before == "ctrl").mean() / len(of_ctrl))


@pytest.mark.parametrize("epsilon", [0, 0.05])
def test_many_cells_are_coupled_in_blocks(course, flow, monkeypatch, epsilon):
    monkeypatch.setattr("cellflow.tl._cellrank._BLOCK_SIZE", 20)
    one, again, other = (
        cf.tl.to_cellrank(course, flow, epsilon=epsilon, rng=seed)[0.0, 1.0].X.toarray()
        for seed in (0, 0, 1)
    )
    assert ((one > 0).sum(axis=1) <= 20).all()
    for each in (one.sum(axis=0), one.sum(axis=1)):
        # Of soft couplings the smallest entries are left out.
        np.testing.assert_allclose(each, 1 / 60, rtol=0.1 if epsilon else 1e-6)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_cells_of_a_label_that_ends_are_coupled_with_none(course, flow):
    course.obs["arm"] = "ctrl"
    course.obs.loc[course.obs_names[:10], "arm"] = "drug"
    flow = replace(flow, inputs=replace(flow.inputs, label_key="arm"))
    mass = cf.tl.to_cellrank(course, flow, epsilon=0)[0.0, 1.0].X.toarray().sum(axis=1)
    np.testing.assert_allclose(mass, [0] * 10 + [1 / 50] * 50, atol=1e-12)
    course.obs["arm"] = course.obs["day"].astype(str)
    del course.obs["cellflow_time_point"]
    with pytest.raises(cf.InputError, match=r"no value of obs\['arm'\].* both at time 0 and at"):
        cf.tl.to_cellrank(course, flow)
    assert "cellflow_time_point" not in course.obs


def test_what_cannot_be_done_is_named(course, flow):
    with pytest.raises(cf.InputError, match="epsilon must be 0 or positive, got -1"):
        cf.tl.to_cellrank(course, flow, epsilon=-1)
    short = linear_flow(course, np.zeros((3, 3)), [1, 0, 0], (0, 1, 2))
    with pytest.raises(cf.InputError, match="time 4 is outside the range 0 to 2"):
        cf.tl.to_cellrank(course, short)


def imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@pytest.mark.filterwarnings("ignore")
def test_real_time_kernel_takes_the_couplings(course, flow):
    cellrank = imported("cellrank")
    couplings = cf.tl.to_cellrank(course, flow)
    kernel = cellrank.kernels.RealTimeKernel(
        course, time_key="cellflow_time_point", couplings=couplings
    )
    kernel.compute_transition_matrix(self_transitions="diagonal", threshold=None)
    matrix = kernel.transition_matrix.toarray()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    day = course.obs["day"].to_numpy()
    following = {0: 1, 1: 2, 2: 4, 4: 4}
    for row, time in zip(matrix, day, strict=True):
        assert set(day[row > 0]) == {following[time]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("genes", [False, True])
def test_velocity_kernel_goes_the_way_of_the_flow(semrau, quick, genes):
    cellrank = imported("cellrank")
    if np.lib.NumpyVersion(np.__version__) >= "2.2.0" and cellrank.__version__ < "2.1":
        pytest.skip("this CellRank calls numpy by names that numpy dropped after 2.1")
    import scanpy as sc

    cf.pp.embed(semrau, n_dims=5)
    flow = cf.tl.fit(semrau, recipe=quick, progress=False)
    cf.tl.velocity(semrau, flow, genes=genes)
    sc.pp.neighbors(semrau, use_rep="X_cellflow")
    keys = ("layers", "velocity_expression", "velocity")
    if not genes:
        keys = ("obsm", "X_cellflow", "velocity_cellflow")
    kernel = cellrank.kernels.VelocityKernel(
        semrau, **dict(zip(("attr", "xkey", "vkey"), keys, strict=True))
    )
    kernel.compute_transition_matrix(show_progress_bar=False)
    points, speed = semrau.obsm["X_cellflow"], semrau.obsm["velocity_cellflow"]
    step = kernel.transition_matrix @ points - points
    assert np.mean((step * speed).sum(axis=1) > 0) > 0.9


@pytest.mark.filterwarnings("ignore")
def test_scvelo_draws_the_arrows(course, flow):
    scvelo = imported("scvelo")
    mpl.use("agg")
    course.obsm["X_umap"] = course.obsm["X_pca"][:, :2] ** 3
    cf.tl.velocity(course, flow, basis="umap")
    for draw in (scvelo.pl.velocity_embedding_stream, scvelo.pl.velocity_embedding_grid):
        ax = draw(course, basis="umap", vkey="velocity", show=False)
        assert ax.get_figure() is not None
