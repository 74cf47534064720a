"""Simulated courses: their truth is held against closed forms, laws and continuations."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.integrate import trapezoid
from scipy.special import softmax
from scipy.stats import norm

import cellflow as cf
from cellflow.datasets._branching_process import Latents
from cellflow.datasets._course_settings import make_process
from cellflow.datasets._measurement import evaluate_programs

TIMES = np.array([0.0, 2.0, 4.0, 7.0])
SHARES = {"A": 0.65, "B": 0.35}
KINDS = {
    "late": {},
    "start": {"commitment": "start", "predictability": 0.8},
    "growth": {"growth": {"A": 0.3, "B": -0.1}, "predictability": 0.5},
    "three": {
        "fates": {"A": 0.6, "B": 0.35, "C": 0.05},
        "delays": {"B": 1.5},
        "growth": {"C": 0.5},
        "commitment": "early",
    },
}


def process_of(shares=SHARES, **changes):
    settings = {
        "commitment": "late",
        "predictability": 0.0,
        "delays": None,
        "asynchrony": 0.08,
        "growth": None,
    }
    return make_process(TIMES, shares, **(settings | changes))


def course(**settings):
    defaults = {"n_cells": 4_000, "n_genes": 20, "rng": 3}
    return cf.datasets.simulate_course(**(defaults | settings))


@pytest.fixture(scope="module")
def courses():
    return {name: course(**settings) for name, settings in KINDS.items()}


def record(adata):
    return adata.uns["cellflow"]["simulation"]


def before_expression(adata):
    return (adata.obs["true_progress"] < record(adata)["opens_at"].min()).to_numpy()


def continue_lineages(process, start, progress, propensity, time, rng, dt=0.05):
    """Continue cells step by step, with births and deaths; return fates and founders."""
    s = np.full(start, progress)
    w = np.full(start, propensity)
    founder, fate = np.arange(start), np.full(start, -1)
    borders = np.quantile(rng.standard_normal(10**6), np.cumsum(process.shares)[:-1])
    r = process.predictability
    for _ in range(round((process.duration - time) / dt)):
        step = rng.gamma(dt / process.clock_variance, process.clock_variance, len(s))
        keep = np.exp(-step / process.memory)
        w = keep * w + np.sqrt(1 - keep**2) * rng.standard_normal(len(s))
        new = (fate < 0) & (s + step >= process.decided_at)
        liability = r * w[new] + np.sqrt(1 - r**2) * rng.standard_normal(new.sum())
        fate[new] = np.searchsorted(borders, liability)
        rows = np.arange(len(s))
        of = np.clip(fate, 0, None)
        change = (process.log_mass(s + step) - process.log_mass(s))[rows, of]
        s = s + step
        # A cell leaves exp(change) cells on average: it dies, stays, or divides.
        n_left = np.floor(np.exp(change) + rng.random(len(s))).astype(int)
        s, w, fate, founder = (np.repeat(values, n_left) for values in (s, w, fate, founder))
    return fate, founder


@pytest.mark.parametrize("name", ["late", "growth"])
def test_fates_and_descendants_are_those_of_many_continuations(name):
    settings = {key: value for key, value in KINDS[name].items() if key != "fates"}
    process = process_of(**settings)
    one = np.ones(1)
    cell = Latents(0.3 * one, 0 * one[:, None], 0.8 * one, np.zeros((1, 3)), one.astype(int))
    expected = process.descendants(cell, 7.0 - 0.5, 2_000)[0]
    n = 4_000
    fate, founder = continue_lineages(process, n, 0.3, 0.8, 0.5, np.random.default_rng(0))
    each = np.stack([np.bincount(founder[fate == k], minlength=n) for k in (0, 1)], axis=1)
    error = each.std(axis=0) / np.sqrt(n)
    assert (np.abs(each.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.05 * expected).all()


def test_nothing_is_known_before_commitment_without_predictability(courses):
    for name in ("late", "three"):
        adata = courses[name]
        rows = before_expression(adata) & (adata.obs["time"] == 0).to_numpy()
        p = adata.obsm["true_fate_probabilities"][rows]
        if name == "late":
            np.testing.assert_allclose(p, [[0.65, 0.35]] * len(p), atol=1e-9)
        else:
            # Growth of a fate raises its share among descendants, alike for all cells but for
            # their progress.
            assert (p[:, 2] > 0.05).all()
            np.testing.assert_allclose(p.mean(axis=0), record(adata)["composition"], atol=0.01)


def test_growth_of_fates_weights_their_shares():
    """Where all cells keep step, shares are p * exp(integral of the growth rate)."""
    process = process_of(growth={"A": 0.3, "B": -0.1}, asynchrony=1e-3)
    grown = process.composition(7.0, 50)
    opened = process.log_mass(np.array([7.0]))[0] - process.log_mass(np.array([-process.lead]))[0]
    np.testing.assert_allclose(grown, process.shares * np.exp(opened), rtol=1e-3)
    numeric = np.linspace(2.45, 7, 20_001)
    rate = process.growth_progenitor + process.opening(numeric) * (
        process.growth - process.growth_progenitor
    )
    integral = trapezoid(rate, numeric, axis=0)
    integral += (2.45 + process.lead) * process.growth_progenitor
    np.testing.assert_allclose(opened, integral, rtol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_expressed_fates_are_certain(courses, name):
    adata = courses[name]
    late = adata.obs["true_progress"] > record(adata)["opens_at"].max() + 1.5
    p = adata.obsm["true_fate_probabilities"][late]
    assert len(p) > 500
    assert p.max(axis=1).mean() > 0.999
    named = np.array(record(adata)["fates"])[p.argmax(axis=1)]
    assert (named == adata.obs["state"][late].to_numpy()).mean() > 0.999


@pytest.mark.parametrize("name", KINDS)
def test_descendants_of_every_time_make_up_the_last(courses, name):
    adata = courses[name]
    weights = adata.obs["true_descendants"].to_numpy()
    sizes = record(adata)["population_size"]
    for time, size in zip(TIMES, sizes, strict=True):
        rows = (adata.obs["time"] == time).to_numpy()
        p, w = adata.obsm["true_fate_probabilities"][rows], weights[rows]
        share = (p * w[:, None]).sum(axis=0) / w.sum()
        error = 4 * (p.std(axis=0) + 1e-4) * (1 + w.std() / w.mean()) / np.sqrt(rows.sum())
        assert (np.abs(share - record(adata)["composition"]) < error).all()
        # A population times its descendants per cell is the last population.
        tolerance = 4 * w.std() / np.sqrt(rows.sum()) + 1e-9
        assert abs(w.mean() - sizes[-1] / size) < tolerance


@pytest.mark.parametrize("name", ["late", "start", "growth"])
def test_the_share_of_fates_given_a_state_is_calibrated(name):
    process = process_of(**KINDS[name])
    cells = process.sample(20_000, 2.8, np.random.default_rng(1))
    p = process.fate_given_state(cells)[:, 0]
    unsure = (p > 0.05) & (p < 0.95)
    assert unsure.sum() > 300
    for low, high in ((0.05, 0.5), (0.5, 0.75), (0.75, 0.95)):
        rows = (p > low) & (p <= high)
        error = 4 * np.sqrt(0.25 / rows.sum())
        assert abs((cells.fate[rows] == 0).mean() - p[rows].mean()) < error


def test_velocity_and_growth_rate_are_the_change_of_continuations():
    process = process_of(growth={"A": 0.3, "B": -0.3}, predictability=0.7)
    n, dt = 200_000, 0.02
    rng = np.random.default_rng(2)
    one = np.ones(1)
    cell = Latents(2.7 * one, 0.1 * one[:, None], 1.2 * one, np.ones((1, 3)), one.astype(int))
    velocity, p = process.velocity(cell), process.fate_given_state(cell)[0]
    step = rng.gamma(dt / process.clock_variance, process.clock_variance, n)
    fate = (rng.random(n) > p[0]).astype(int)
    rows = np.arange(n)

    def centre(s):
        return process.opening(s)[rows, fate] * process.directions[fate, 0]

    off = 0.1 - centre(np.full(n, 2.7))
    branch = centre(2.7 + step) + off * np.exp(-step / process.branch_memory) - 0.1
    propensity = 1.2 * np.expm1(-step / process.memory)
    for change, expected in (
        (step, velocity.progress[0]),
        (branch, velocity.branch[0, 0]),
        (propensity, velocity.propensity[0]),
    ):
        assert abs(change.mean() / dt - expected) < 4 * change.std() / dt / np.sqrt(n) + 0.02
    grown = process.descendants(cell, 1e-4, 20_000).sum() - 1
    assert grown / 1e-4 == pytest.approx(process.growth_rate(cell)[0], rel=0.02)


def test_progress_keeps_time_and_cells_fall_out_of_step():
    adata = course(growth=0.0, asynchrony=0.1)
    for time, part in adata.obs.groupby("time")["true_progress"]:
        spread = 0.1 * 7 * np.sqrt((time + 7 / 3) / (7 + 7 / 3))
        assert abs(part.mean() - time) < 4 * spread / np.sqrt(len(part))
        assert part.std() == pytest.approx(spread, rel=0.1)
    np.testing.assert_allclose(adata.obs["true_descendants"], 1)
    np.testing.assert_allclose(adata.obs["true_growth_rate"], 0, atol=1e-12)


def test_predictability_is_what_the_first_time_knows():
    gains = []
    for predictability in (0.0, 0.4, 0.8):
        p = course(predictability=predictability).obsm["true_fate_probabilities"][:1000, 0]
        assert p.mean() == pytest.approx(0.65, abs=0.03)
        gains.append(p.std())
    assert gains[0] < 1e-9 < 0.08 < gains[1] < 0.7 * gains[2]


def test_a_hidden_mark_is_expressed_at_the_branch_and_forgotten_by_the_propensity(courses):
    adata = courses["start"]
    assert record(adata)["decided_at"] < 0 < record(adata)["opens_at"].min()
    hidden = before_expression(adata)
    p = adata.obsm["true_fate_probabilities"][:, 0]
    first, second = (hidden & (adata.obs["time"] == time).to_numpy() for time in (0, 2))
    lags = adata.obs["true_progress"].to_numpy() - record(adata)["decided_at"]
    assert 0.05 < p[second].std() < 0.9 * p[first].std()
    # Nobody who sees expression knows more than the propensity does.
    w = adata.obsm["true_latent"][:, list(record(adata)["latent"]).index("propensity")]
    r = 0.8 * np.exp(-lags / 7)
    expected = norm.cdf((norm.ppf(0.65) - r * w) / np.sqrt(1 - r**2))
    np.testing.assert_allclose(p[first], expected[first], atol=0.05)
    assert np.abs(p - expected)[first].mean() < 0.01


def test_states_are_what_is_visible(courses):
    adata = courses["three"]
    states = pd.crosstab(adata.obs["time"], adata.obs["state"])
    assert states.loc[0, "progenitor"] == 1_000
    assert states.loc[7, "progenitor"] < 20
    assert states.loc[2, "A"] > 5 * states.loc[2, "B"]
    last = adata.obs["time"] == 7
    assert adata.obs["fate"][~last].isna().all()
    seen = last & (adata.obs["state"] != "progenitor")
    assert (adata.obs["fate"][seen].astype(str) == adata.obs["state"][seen].astype(str)).all()
    composition = adata.obs["fate"][last].value_counts(normalize=True)[["A", "B", "C"]]
    np.testing.assert_allclose(composition, record(adata)["composition"], atol=0.06)


def test_true_fates_are_drawn_from_their_probabilities(courses):
    adata = courses["growth"]
    p = adata.obsm["true_fate_probabilities"][:, 0]
    y = (adata.obs["true_fate"] == "A").to_numpy()
    error = np.sqrt((p * (1 - p)).sum()) / len(p)
    assert abs(y.mean() - p.mean()) < 4 * error
    assert (y[p > 1 - 1e-9]).all()


def test_a_cycle_is_an_orbit():
    adata = course(cycle=True, n_cells=200)
    names = list(record(adata)["latent"])
    z, v = adata.obsm["true_latent"], adata.obsm["true_velocity"]
    assert z.shape == v.shape == (200, len(names))
    at = [names.index("cycle_cos"), names.index("cycle_sin")]
    np.testing.assert_allclose((z[:, at] ** 2).sum(axis=1), 1)
    np.testing.assert_allclose((z[:, at] * v[:, at]).sum(axis=1), 0, atol=1e-12)
    assert v[0, at] @ [-z[0, at[1]], z[0, at[0]]] > 0


def test_counts_have_the_depth_noise_and_dropout_that_were_set():
    plain = course(n_genes=100, noise=0.0, dropout=0.0, depth=500)
    assert sparse.issparse(plain.X)
    assert plain.X.dtype == np.float32
    assert (plain.X.data == plain.X.data.round()).all()
    assert plain.X.sum(axis=1).mean() == pytest.approx(500, rel=0.02)
    noisy = course(n_genes=100, noise=1.0, dropout=0.0, depth=500)
    missed = course(n_genes=100, noise=0.0, dropout=0.5, depth=500)
    assert plain.X.nnz > noisy.X.nnz
    assert plain.X.nnz > 1.1 * missed.X.nnz


def test_counts_follow_the_programs_of_their_genes():
    adata = course(n_genes=50, noise=0.0, dropout=0.0, depth=2_000)
    names = [str(name) for name in record(adata)["latent"]]
    latent = adata.obsm["true_latent"]
    at = names.index("propensity")
    cells = Latents(
        latent[:, 0], latent[:, 1:at], latent[:, at], latent[:, at + 1 :], np.zeros(4_000, int)
    )
    activity = evaluate_programs(process_of(), cells, np.empty((4_000, 0)))
    assert activity.shape[1] == len(record(adata)["programs"])
    share = softmax(
        activity @ adata.varm["true_loadings"].T + adata.var["true_baseline"].to_numpy(), axis=1
    )
    # Given its total, the counts of a cell are multinomial.
    total = np.asarray(adata.X.sum(axis=1))
    left = total * share - adata.X.toarray()
    assert (np.abs(left.mean(axis=0)) < 4 * left.std(axis=0) / np.sqrt(4_000)).all()
    assert (left**2).mean() == pytest.approx((total * share * (1 - share)).mean(), rel=0.05)


def test_markers_of_a_fate_follow_it():
    adata = course(n_genes=100)
    counts = adata.X.toarray()
    rate = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 200)
    a, b = ((adata.obs["state"] == name).to_numpy() for name in "AB")
    markers = (adata.var["program"] == "A") & (adata.var["loading"].abs() > 1)
    shift = (rate[a].mean(axis=0) - rate[b].mean(axis=0))[markers]
    assert markers.sum() >= 2
    assert (np.sign(shift) == np.sign(adata.var["loading"][markers])).all()
    assert {"A", "B"} <= set(course(n_genes=20).var["program"])


@pytest.mark.parametrize(
    ("key", "settings"), [("donor", {"donors": 3}), ("time", {"time_effect": 0.5})]
)
def test_donors_and_times_shift_expression(key, settings):
    def spread(**more):
        adata = course(n_genes=100, **settings | more)
        rows = (adata.obs["state"] != "progenitor") | (key == "donor")
        part = adata[(rows & adata.obs["time"].isin([4, 7])).to_numpy()]
        means = pd.DataFrame(np.log1p(part.X.toarray())).groupby(part.obs[key].to_numpy()).mean()
        return means.std().mean()

    changed = spread(batch_effect=0.3) if key == "donor" else spread()
    assert changed > 1.5 * spread(batch_effect=0.0, time_effect=0.0)


def test_the_same_seed_gives_the_same_course():
    one, same, other = course(rng=5), course(rng=5), course(rng=6)
    assert (one.X != same.X).nnz == 0
    np.testing.assert_array_equal(one.obsm["true_latent"], same.obsm["true_latent"])
    pd.testing.assert_frame_equal(one.obs, same.obs)
    assert (one.X != other.X).nnz > 0
    assert record(one)["seed"] == 5
    drawn = course(rng=np.random.default_rng(0))
    assert (course(rng=record(drawn)["seed"]).X != drawn.X).nnz == 0


def test_cells_are_split_over_the_times():
    assert (course(n_cells=10).obs["time"].value_counts().loc[TIMES] == [3, 3, 2, 2]).all()
    adata = course(n_cells=[5, 1, 2, 3], times=(1, 2, 10, 11))
    assert (adata.obs["time"].value_counts().loc[[1, 2, 10, 11]] == [5, 1, 2, 3]).all()


def test_a_course_is_written_read_and_embedded(tmp_path):
    adata = course(n_cells=200, donors=2, cycle=True)
    adata.write_h5ad(tmp_path / "course.h5ad")
    again = anndata.read_h5ad(tmp_path / "course.h5ad")
    np.testing.assert_array_equal(record(again)["composition"], record(adata)["composition"])
    cf.pp.time_points(again, "time")
    cf.pp.embed(again, n_dims=5)
    assert again.obsm["X_cellflow"].shape == (200, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_cells": 3}, "at least one cell"),
        ({"n_cells": [5, 5]}, "2 numbers for 4 times"),
        ({"n_genes": 19}, "n_genes must be a whole number of at least 20"),
        ({"n_genes": 30.5}, "n_genes"),
        ({"times": (0, 2, 2)}, "increasing"),
        ({"times": (1,)}, "two or more"),
        ({"fates": {"A": 0.5, "B": 0.4}}, r"sum 0\.9"),
        ({"fates": {"A": 1.2, "B": -0.2}}, "positive"),
        ({"fates": ["A"]}, "two or more"),
        ({"fates": ["A", "A"]}, "repeated"),
        ({"fates": ["A", "progenitor"]}, "progenitor"),
        ({"fates": "AB"}, "names"),
        ({"commitment": "lat"}, "did you mean 'late'"),
        ({"commitment": 7.0}, "before 7"),
        ({"commitment": -1.0}, "after 0"),
        ({"delays": {"B": 6.0}}, "commitment or delays"),
        ({"delays": {"Z": 1.0}}, "fate in delays 'Z'"),
        ({"growth": {"Z": 1.0}}, "fate in growth 'Z'"),
        ({"growth": np.inf}, "finite"),
        ({"predictability": 1.0}, "below 1"),
        ({"dropout": -0.1}, "dropout"),
        ({"asynchrony": 0.0}, "asynchrony must be positive"),
        ({"asynchrony": 2.0}, "at most 1"),
        ({"noise": -1.0}, "noise"),
        ({"depth": 0.0}, "depth must be positive"),
        ({"donors": -1}, "donors"),
        ({"n_continuations": 0}, "n_continuations"),
        ({"rng": -1}, "rng"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(cf.InputError, match=message):
        course(**settings)
