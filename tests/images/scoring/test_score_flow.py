"""Scores of a flow by what its images cost."""

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow import InputError
from cellflow._random import draw_seed, torch_generator
from cellflow.images import score, score_flow
from cellflow.images.scoring._score_flow import BY_AVERAGE
from cellflow.images.scoring.features import space_of
from cellflow.images.scoring.scores import read_table, write_table
from tests.small_images import digits, trained

FAST = ("euler:1", "midpoint:2", "dopri5")


@pytest.fixture(scope="module", autouse=True)
def _few_paths():
    """How straight a flow is needs no 512 paths here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellflow.images.scoring._score_flow._PATHS", 24)
        patch.setattr("cellflow.images.scoring._score_flow._FRAMES", 5)
        yield


@pytest.fixture(scope="module")
def flow():
    return trained(n_steps=30)


def scored(flow, **options):
    return score_flow(flow, digits(), 20, **{"by": FAST[:2], "space": "pixels", **options})


@pytest.fixture(scope="module")
def table(flow):
    return scored(flow, by=FAST)


def test_a_row_for_each_solver_says_what_it_cost(table):
    assert list(table["by"]) == list(FAST)
    assert list(table["nfe"][:2]) == [1, 4]
    assert table["nfe"][2] > 4
    assert set(table["of"]) == {"generated"}
    assert set(table["measure"]) == {"Frechet-20"}
    assert list(table.columns[:3]) == ["of", "by", "nfe"]


def test_a_row_is_the_score_of_the_images_that_the_solver_makes(flow, table):
    """The same noise for all solvers, so the images of one step are those of a sample."""
    seed = draw_seed(torch_generator(0))
    made = cf.images.sample(flow, 20, rng=seed, solver="euler", n_steps=1).images
    alone = score(made, digits(), space="pixels").scores[0]
    assert table["frechet"][0] == pytest.approx(alone.frechet)


def test_test_images_stand_in_one_row_at_the_number_that_is_compared(flow):
    equal = scored(flow, test=digits("test")[:20])
    assert list(equal["of"]) == ["generated"] * 2 + ["test images"]
    assert set(equal["measure"]) == {"Frechet-20"}
    fewer = scored(flow, test=digits("test")[:10])
    assert list(fewer["measure"]) == ["Frechet-20", "Frechet-10"] * 2 + ["Frechet-10"]
    last = fewer.iloc[-1]
    assert pd.isna(last["by"])
    assert pd.isna(last["nfe"])
    pd.testing.assert_series_equal(
        equal["frechet"][:2], fewer["frechet"][:4:2].reset_index(drop=True)
    )


def test_a_flow_tells_how_straight_it_is(table):
    for column in ("path_energy", "npe", "straightness"):
        assert table[column].nunique() == 1
    assert table["path_energy"][0] > 0
    assert np.isfinite(table[["path_energy", "npe", "straightness"]]).all(axis=None)


def test_same_seed_same_scores_and_a_table_comes_back(flow, tmp_path):
    first, second = scored(flow, test=digits("test")), scored(flow, test=digits("test"))
    pd.testing.assert_frame_equal(first, second)
    write_table(first, tmp_path / "t.json")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.json"), first)


def test_features_of_real_images_may_be_kept(flow, table, tmp_path):
    for _ in range(2):
        kept = scored(flow, cache=tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == 1
        pd.testing.assert_frame_equal(kept, table[:2])


def test_mean_flows_are_scored_in_few_steps_and_by_solvers_that_are_asked_for():
    flow = trained(method="mean-flow")
    table = scored(flow, by=None)
    assert list(table["by"]) == list(BY_AVERAGE)
    assert list(table["nfe"]) == [1, 2, 4, 8]
    assert np.isfinite(table["npe"]).all()
    asked = scored(flow, by=("average:3", "euler:2"))
    assert list(asked["by"]) == ["average:3", "euler:2"]


def test_a_flow_of_velocities_knows_no_averages(flow):
    with pytest.raises(InputError, match="solver 'average' is for mean flows"):
        scored(flow, by=("average:1",))


def test_unknown_solvers_and_none_are_refused(flow):
    with pytest.raises(InputError, match=r"unknown solver 'eular' \(did you mean 'euler'\?\)"):
        scored(flow, by=("eular:8",))
    with pytest.raises(InputError, match="by is empty"):
        scored(flow, by=())


def test_a_space_of_ones_own_has_no_weights_to_read(flow):
    with pytest.raises(InputError, match="weights are for feature spaces given by name"):
        scored(flow, space=space_of("pixels"), weights="file")


def test_flows_between_images_are_refused():
    flow = trained(digits().of_class(0), source=digits().of_class(1))
    with pytest.raises(InputError, match="not from noise"):
        scored(flow)
