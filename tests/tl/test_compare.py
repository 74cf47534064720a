"""Conditions compared: simulated courses with a known difference, and without any."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse, stats

import cellflow as cf
from cellflow import InputError

QUICK = {"use_rep": "X_pca", "n_permutations": 99}


def two_courses(rng, n=25, *, n_times=3, parts_at=np.inf, shift=1.0, replicates=1, batch=0.0):
    """Two conditions of `n` cells at each time that part after a time, each of some replicates."""
    time, condition = (each.ravel() for each in np.indices((n_times, 2, n))[:2])
    replicate = np.arange(len(time)) % replicates
    points = rng.normal(size=(len(time), 2))
    points[:, 0] += shift * condition * np.maximum(time - parts_at, 0)
    points += batch * rng.normal(size=(2, replicates, 2))[condition, replicate]
    obs = pd.DataFrame(
        {
            "day": time.astype(float),
            "arm": np.where(condition, "treated", "control"),
            "mouse": [f"mouse {k}" for k in replicate],
        },
        index=[f"cell{k}" for k in range(len(time))],
    )
    return AnnData(obs=obs, obsm={"X_pca": points})


def test_courses_without_a_difference_raise_few_false_alarms():
    alarms = [
        (cf.tl.compare(two_courses(np.random.default_rng(seed), n_times=6), "arm", **QUICK)["p"]
         <= 0.05).any()
        for seed in range(60)
    ]  # fmt: skip
    # Of 60 draws with 5 %, more than 9 are as unlikely as 1 in 1,000; without control of the times
    # there would be 16.
    assert sum(alarms) <= 9


def test_fates_of_early_cells_are_no_surer_than_those_of_the_end(rng, quick):
    """All cells of the first time have one probability, which is as uncertain as the last cells."""
    cells = two_courses(rng, 50)
    cells.obs["fate"] = np.where(rng.random(cells.n_obs) < 0.4, "up", "down")
    options = {"use_rep": "X_pca", "recipe": quick, "progress": False}
    cf.tl.fates(cells, cf.tl.fit(cells, condition_keys="arm", **options), "fate")
    table = cf.tl.compare(cells, "arm", of="fates").set_index(["group", "time"])
    width = (table["high"] - table["low"])["up"]
    assert width[0] >= 0.99 * width[2]
    cells.obsm["others"] = pd.DataFrame(
        cells.obsm["fate_probabilities"], index=cells.obs_names, columns=["down", "up"]
    )
    given = cf.tl.compare(cells, "arm", of="fates", by="others").set_index(["group", "time"])
    assert (given["high"] - given["low"])["up"][0] < 0.7 * width[0]


@pytest.mark.parametrize("distance", ["energy", "means"])
def test_the_interval_of_parting_holds_the_time_of_parting(rng, distance):
    cells = two_courses(rng, 60, n_times=6, parts_at=2.5, shift=1.5)
    table = cf.tl.compare(cells, "arm", distance=distance, **QUICK)
    assert set(zip(table["parted_after"], table["parted_by"], strict=True)) == {(2.0, 3.0)}
    assert (table["p"] <= 0.05).tolist() == [False] * 3 + [True] * 3
    assert ((table["distance"] > table["threshold"]) == (table["p"] <= 0.05)).all()
    assert set(table["statistic"]) == {distance}
    # The last means are 1.5 * 2.5 apart.
    if distance == "means":
        assert abs(table["distance"].iloc[-1] ** 0.5 - 3.75) < 0.6


def test_populations_that_meet_again_have_no_time_of_parting(rng, caplog):
    cells = two_courses(rng, 60)
    cells.obsm["X_pca"][(cells.obs["day"] == 1) & (cells.obs["arm"] == "treated"), 1] += 3
    table = cf.tl.compare(cells, "arm", **QUICK)
    assert (table["p"] <= 0.05).tolist() == [False, True, False]
    assert table[["parted_after", "parted_by"]].isna().all(axis=None)
    assert "differ at time 1, and not at all times after" in caplog.text


def test_a_batch_of_replicates_fools_a_test_of_cells_and_not_one_of_replicates():
    found = {"cells": 0, "replicates": 0}
    for seed in range(20):
        cells = two_courses(np.random.default_rng(seed), 100, replicates=4, batch=0.6)
        for key in (None, "mouse"):
            table = cf.tl.compare(cells, "arm", replicate_key=key, **QUICK)
            found[table["permuted"].iloc[0]] += (table["p"] <= 0.05).any()
    assert found["cells"] >= 15
    assert found["replicates"] <= 4


def test_replicates_find_what_is_larger_than_they_differ_by(rng):
    cells = two_courses(rng, 100, parts_at=0, shift=2, replicates=4, batch=0.2)
    table = cf.tl.compare(cells, "arm", replicate_key="mouse", **QUICK | {"n_permutations": 499})
    assert (table["p"] <= 0.05).tolist() == [False, True, True]
    assert (table["n_replicates"] == 4).all()
    assert (table["n"] == 100).all()
    assert (table["expected"] > 0).all()


def test_replicates_of_single_times_are_permuted_within_their_times(rng):
    cells = two_courses(rng, 100, parts_at=0, shift=2, replicates=4)
    whole = cf.tl.compare(cells, "arm", replicate_key="mouse", **QUICK)
    cells.obs["mouse"] = cells.obs["mouse"] + " " + cells.obs["day"].astype(str)
    table = cf.tl.compare(cells, "arm", replicate_key="mouse", **QUICK)
    np.testing.assert_allclose(table["distance"], whole["distance"])
    assert table["n_replicates"].tolist() == [4, 4, 4]
    np.testing.assert_allclose(table["expected"], whole["expected"], rtol=0.4, atol=0.01)


@pytest.mark.parametrize("replicates", [1, 3])
def test_few_replicates_have_distances_and_no_p(rng, caplog, replicates):
    cells = two_courses(rng, 75, parts_at=0, replicates=replicates)
    table = cf.tl.compare(cells, "arm", replicate_key="mouse", **QUICK)
    assert table[["p", "threshold", "parted_by"]].isna().all(axis=None)
    assert table["distance"].iloc[-1] > 0.5
    if replicates == 1:
        of_cells = cf.tl.compare(cells, "arm", **QUICK)
        np.testing.assert_allclose(table["distance"], of_cells["distance"])
    assert f"{replicates} against {replicates} replicates" in caplog.text


def test_p_of_one_condition_counts_how_many_are_compared(rng):
    cells = two_courses(rng, 60, n_times=2, parts_at=0, shift=0.4)
    cells.obs["arm"] = cells.obs["arm"].astype(object)
    cells.obs.loc[(cells.obs["arm"] == "treated") & (np.arange(240) % 2 == 0), "arm"] = "untreated"
    both = cf.tl.compare(cells, "arm", reference="control", **QUICK)
    assert both["condition"].unique().tolist() == ["treated", "untreated"]
    cells = cells[cells.obs["arm"] != "untreated"].copy()
    alone = cf.tl.compare(cells, "arm", **QUICK)
    np.testing.assert_allclose(both["p"][:2], np.minimum(2 * alone["p"], 1))
    assert both["p"].min() < 1
    assert (both["threshold"][:2] > alone["threshold"]).all()


def test_the_reference_is_the_first_and_can_be_another_number(rng):
    cells = two_courses(rng)
    cells.obs["dose"] = np.where(cells.obs["arm"] == "treated", 10.0, 2.0)
    assert set(cf.tl.compare(cells, "dose", **QUICK)["reference"]) == {"2"}
    assert set(cf.tl.compare(cells, "dose", reference=10, **QUICK)["reference"]) == {"10"}


def test_distances_do_not_depend_on_the_reference_and_seeds_repeat(rng):
    cells = two_courses(rng, parts_at=0)
    one, again = (cf.tl.compare(cells, "arm", **QUICK) for _ in range(2))
    other = cf.tl.compare(cells, "arm", reference="treated", **QUICK)
    pd.testing.assert_frame_equal(one, again)
    np.testing.assert_allclose(one["distance"], other["distance"])
    assert other["condition"].unique().tolist() == ["control"]


def test_cells_are_drawn_where_there_are_many(rng):
    cells = two_courses(rng, 200, parts_at=0)
    all_cells, some = (cf.tl.compare(cells, "arm", max_cells=n, **QUICK) for n in (1000, 50))
    assert all_cells["distance"].iloc[-1] == pytest.approx(some["distance"].iloc[-1], rel=0.5)
    assert not np.allclose(all_cells["distance"], some["distance"])


def test_times_that_a_condition_lacks_are_left_out_and_named(rng, caplog):
    cells = two_courses(rng, n_times=4)
    here = (cells.obs["arm"] == "control") | (cells.obs["day"] != 1)
    few = (cells.obs["arm"] == "control") | (cells.obs["day"] != 2) | (np.arange(200) % 2 == 0)
    table = cf.tl.compare(cells[here & few].copy(), "arm", **QUICK)
    assert table["time"].tolist() == [0, 3]
    assert "treated at time 2 (12)" in caplog.text
    assert (
        "control at time 1, 2 is not compared: treated has no cells there, or too few"
        in caplog.text
    )


def test_intervals_of_shares_hold_the_shift_of_fates():
    held, of_cells = 0, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cells = two_courses(rng, 120, n_times=2, replicates=4)
        # The share of each mouse is off by a number of its own.
        mouse = cells.obs.groupby(["arm", "mouse"]).ngroup()
        share = np.where(cells.obs["arm"] == "treated", 0.6, 0.4) + 0.1 * rng.normal(size=8)[mouse]
        cells.obs["fate"] = np.where(rng.random(cells.n_obs) < share, "A", "B")
        for key in ("mouse", None):
            table = cf.tl.compare(cells, "arm", of="fates", by="fate", replicate_key=key)
            row = table.set_index(["group", "time"]).loc["A", 1]
            inside = row["low"] <= 0.2 <= row["high"]
            held, of_cells = held + inside * (key is not None), of_cells + inside * (key is None)
    # 95 in the mean; fewer than 88 of 100 are as unlikely as 1 in 300.
    assert held >= 88
    assert of_cells < held


def test_fates_are_read_from_their_key_and_cells_without_one_are_left_out(rng, caplog):
    cells = two_courses(rng)
    with pytest.raises(InputError, match="no obsm key 'fate_probabilities'"):
        cf.tl.compare(cells, "arm", of="fates")
    treated = (cells.obs["arm"] == "treated").to_numpy()
    chance = np.where(treated, 0.7, 0.2) + rng.uniform(-0.1, 0.1, cells.n_obs)
    chance[::2] = np.nan
    cells.obsm["fate_probabilities"] = pd.DataFrame(
        {"A": chance, "B": 1 - chance}, index=cells.obs_names
    )
    table = cf.tl.compare(cells, "arm", of="fates").set_index(["group", "time"])
    first = table.loc["A", 0]
    here = (cells.obs["day"] == 0).to_numpy() & np.isfinite(chance)
    assert first["mean"] == pytest.approx(chance[here & treated].mean())
    assert first["difference"] == pytest.approx(-table.loc["B", 0]["difference"])
    assert first["n"] + first["n_reference"] == here.sum()
    assert first["low"] < 0.5 < first["high"]
    assert "cells of different conditions" not in caplog.text


def test_fates_of_a_flow_that_mixes_conditions_are_told(rng, quick, caplog):
    cells = two_courses(rng)
    cells.obs["fate"] = np.where(cells.obsm["X_pca"][:, 0] > 0, "up", "down")
    for keys, told in (((), True), (("arm",), False)):
        options = {"use_rep": "X_pca", "recipe": quick, "progress": False}
        flow = cf.tl.fit(cells, condition_keys=keys, **options)
        cf.tl.fates(cells, flow, "fate")
        caplog.clear()
        cf.tl.compare(cells, "arm", of="fates")
        assert ("couples cells of different conditions" in caplog.text) == told


def test_cells_without_a_group_have_no_share_in_it(rng):
    cells = two_courses(rng)
    cells.obs["fate"] = pd.Series(["A", None, "B", "A", None] * 30, index=cells.obs_names)
    table = cf.tl.compare(cells, "arm", of="fates", by="fate").set_index(["group", "time"])
    assert table.loc["A", 0]["mean"] == pytest.approx(2 / 3)
    assert table.loc["A", 0]["n"] == 15


def test_groups_that_no_cell_or_every_cell_is_in_have_no_interval(rng):
    cells = two_courses(rng)
    cells.obs["fate"] = np.where(cells.obs["day"] == 0, "none", cells.obs["mouse"])
    table = cf.tl.compare(cells, "arm", of="fates", by="fate")
    assert (table["difference"] == 0).all()
    assert table[["low", "high"]].isna().all(axis=None)


def test_growth_rates_are_compared_and_numbers_of_cells_are_not(rng, caplog):
    cells = two_courses(rng)
    with pytest.raises(InputError, match="no obs column 'cellflow_growth'"):
        cf.tl.compare(cells, "arm", of="growth")
    cells.obs["cellflow_growth"] = np.where(cells.obs["arm"] == "treated", 0.5, 0.1)
    cells.obs["cellflow_growth"] *= rng.uniform(0.8, 1.2, size=cells.n_obs)
    table = cf.tl.compare(cells, "arm", of="growth")
    rates = cells.obs[cells.obs["day"] == 0].groupby("arm")["cellflow_growth"]
    squares = rates.var() / 25
    df = squares.sum() ** 2 / (squares**2 / 24).sum()
    half = stats.t.ppf(0.975, df) * squares.sum() ** 0.5
    np.testing.assert_allclose((table["high"] - table["low"])[0], 2 * half)
    assert table["group"].unique().tolist() == ["cellflow_growth"]
    assert ((table["low"] < 0.4) & (table["high"] > 0.4)).all()
    assert "numbers of cells are not compared" in caplog.text


def counts_of(rng, cells, changed):
    """Counts of 40 genes, of which some rise with the treatment at the last time."""
    late = (cells.obs["arm"] == "treated") & (cells.obs["day"] == cells.obs["day"].max())
    rate = np.full((cells.n_obs, 40), 5.0)
    rate[np.ix_(late, changed)] *= 2
    return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))


def test_genes_that_differ_come_first_at_the_time_they_do(rng):
    cells = two_courses(rng, 80, n_times=2)
    changed = [3, 7, 11]
    cells = AnnData(counts_of(rng, cells, changed), obs=cells.obs)
    cells.var_names = [f"gene{k}" for k in range(40)]
    names = [f"gene{k}" for k in changed]
    table = cf.tl.compare(cells, "arm", of="genes")
    late = table[table["time"] == 1]
    assert set(late["gene"][:3]) == set(names)
    assert (late["effect"][:3] > 1).all()
    assert (late["q"][:3] < 0.001).all()
    assert (table["q"][table["time"] == 0] > 0.05).all()
    top = cf.tl.compare(cells, "arm", of="genes", n_top=2)
    pd.testing.assert_frame_equal(top, table.groupby("time").head(2).reset_index(drop=True))
    one = cf.tl.compare(cells, "arm", of="genes", genes="gene7")
    assert one["gene"].tolist() == ["gene7", "gene7"]


@pytest.mark.parametrize("key", [None, "mouse"])
def test_genes_are_tested_as_by_scipy_on_cells_or_on_means_of_replicates(rng, key):
    cells = two_courses(rng, 80, n_times=2, replicates=4)
    cells = AnnData(np.log1p(counts_of(rng, cells, [3])), obs=cells.obs)
    cells.uns["log1p"] = {}
    cells.var_names = [f"g{k}" for k in range(40)]
    table = cf.tl.compare(cells, "arm", of="genes", replicate_key=key)
    table = table[table["time"] == 0].set_index("gene")
    frame = pd.DataFrame(cells.X.toarray(), columns=cells.var_names, index=cells.obs_names)
    here = frame[(cells.obs["day"] == 0).to_numpy()]
    obs = cells.obs.loc[here.index]
    if key is not None:
        arms = obs.groupby(["arm", "mouse"]).size().index.get_level_values("arm")
        here = here.groupby([obs["arm"], obs["mouse"]]).mean()
    else:
        arms = obs["arm"]
    groups = [here[np.asarray(arms) == name].to_numpy() for name in ("treated", "control")]
    expected = stats.ttest_ind(*groups, equal_var=False).pvalue
    np.testing.assert_allclose(table.loc[cells.var_names, "p"], expected, rtol=1e-4)


def test_genes_that_differ_late_let_no_false_ones_in_early():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cells = two_courses(rng, n_times=2)
        late = (cells.obs["arm"] == "treated") & (cells.obs["day"] == 1)
        values = 3 + 0.2 * rng.normal(size=(cells.n_obs, 40)) + late.to_numpy()[:, None]
        cells = AnnData(values, obs=cells.obs, uns={"log1p": {}})
        table = cf.tl.compare(cells, "arm", of="genes").set_index("time")
        assert (table.loc[1, "q"] < 0.05).all()
        found.append((table.loc[0, "q"] <= 0.05).any())
    # One in the mean; if q were of both times together, of 40 genes one would be under 0.025.
    assert sum(found) <= 4


MISTAKES = {
    "no column": ({"condition_key": "nope"}, "'nope'"),
    "no reference": ({"reference": "treatd"}, "did you mean 'treated'"),
    "no replicates": ({"replicate_key": "nope"}, "'nope'"),
    "no time": ({"time_key": "nope"}, "'nope'"),
    "unknown": ({"of": "cells"}, "populations"),
    "distance": ({"distance": "w1"}, "energy"),
    "permutations": ({"n_permutations": 10}, "must be 19 or more"),
    "one": ({"condition_key": "same"}, "a single condition"),
    "missing": ({"condition_key": "holes"}, r"no value for 3 of 150 cells; leave them out"),
    "missing replicate": ({"replicate_key": "holes"}, r"no value for 3 of 150 cells"),
    "apart": ({"condition_key": "apart"}, "no time at which both have 20 cells"),
    "continuous": ({"condition_key": "measured"}, "no groups"),
    "few genes": ({"of": "genes"}, "expression"),
    "text": ({"of": "growth", "by": "arm"}, "no numbers"),
    "top": ({"n_top": 0}, "n_top must be positive"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(rng, mistake):
    cells = two_courses(rng)
    cells.obs["same"] = "one"
    cells.obs["holes"] = cells.obs["arm"].where(np.arange(150) % 50 > 0)
    cells.obs["apart"] = np.where(cells.obs["day"] > 0, "late", "early")
    cells.obs["measured"] = cells.obsm["X_pca"][:, 0]
    options, message = MISTAKES[mistake]
    options = {"condition_key": "arm", "use_rep": "X_pca"} | options
    with pytest.raises(InputError, match=message):
        cf.tl.compare(cells, **options)
