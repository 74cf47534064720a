"""Numbers as conditions: their ranks, and how couplings are to keep them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from cellflow import CellflowWarning
from cellflow.io import Conditions, SideColumns


def doses_of(values, n=20, times=(0.0, 1.0), **columns):
    """`n` cells of each value at each time, and the times."""
    dose = np.tile(np.repeat(values, n), len(times))
    elapsed = np.repeat(times, n * len(values))
    return pd.DataFrame({"dose": dose, **columns}), elapsed


def labels_of(conditions, obs, label_key=None):
    return SideColumns(label_key).labels(obs, conditions)


def test_few_values_are_coupled_within_and_many_by_rank():
    obs, elapsed = doses_of([0.0, 0.1, 10.0])
    few = Conditions.fit(obs, ["dose"], elapsed)
    assert labels_of(few, obs).tolist() == pd.factorize(obs["dose"])[0].tolist()
    assert few.weigh(np.eye(len(obs)), elapsed, 1.0).cost_features(obs) is None
    many, later = doses_of(np.arange(40.0), n=19)
    ranked = Conditions.fit(many, ["dose"], later).weigh(np.zeros((len(many), 1)), later, 4.0)
    assert labels_of(ranked, many) is None
    ranks = (many["dose"].to_numpy() + 0.5) / 40
    expected = torch.as_tensor(2 * ranks[:, None]).float()
    torch.testing.assert_close(ranked.cost_features(many), expected)


def test_one_time_with_too_few_cells_of_a_value_is_enough_to_couple_by_rank():
    obs, elapsed = doses_of([0.0, 1.0])
    assert labels_of(Conditions.fit(obs, ["dose"], elapsed), obs) is not None
    assert labels_of(Conditions.fit(obs[:-1], ["dose"], elapsed[:-1]), obs) is None


def test_the_weight_is_in_units_of_the_variance_at_one_time(rng):
    obs, elapsed = doses_of(np.arange(40.0), n=2)
    points = rng.normal(size=(len(obs), 3)) + 100 * elapsed[:, None]
    weighed = Conditions.fit(obs, ["dose"], elapsed).weigh(points, elapsed, 5.0)
    unit = np.mean([points[elapsed == time].var(axis=0).sum() for time in (0, 1)])
    assert weighed.columns[0]["unit"] == pytest.approx(unit)
    assert weighed.weigh(points, elapsed, 0.0).cost_features(obs) is None


def test_ranks_resolve_doses_that_are_spaced_by_factors_and_lie_between_known_ones():
    obs, elapsed = doses_of([0.01, 0.1, 1.0, 10.0])
    conditions = Conditions.fit(obs, ["dose"], elapsed)
    asked = pd.DataFrame({"dose": [0.01, 0.1, 10**-0.5, 1.0, 10.0, 50.0, -1.0]})
    with pytest.warns(CellflowWarning, match=r"2 values of obs\['dose'\] are outside.*0.01 to 10"):
        found = conditions.transform(asked)[:, 0]
    step = found[1] - found[0]
    expected = found[0] + step * torch.tensor([0, 1, 1.5, 2, 3, 3, 0])
    torch.testing.assert_close(found, expected)


def test_numbers_between_known_ones_are_on_the_scale_that_these_are_spaced_on():
    """Below the smallest positive number the scale is a line through zero."""
    asked = pd.DataFrame({"dose": [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]})

    def steps_of(known, *, is_old=False):
        obs, elapsed = doses_of(known)
        (column,) = Conditions.fit(obs, ["dose"], elapsed).columns
        if is_old:
            column = {key: value for key, value in column.items() if key != "spaced"}
        conditions = Conditions((column,))
        lowest, next_one = conditions.transform(pd.DataFrame({"dose": known[:2]}))[:, 0]
        return (conditions.transform(asked)[:, 0] - lowest) / (next_one - lowest)

    for known, expected in (
        ([0.0, 1.0, 4.0, 16.0], [0, 0.5, 1, 1.5, 2, 2.5]),
        ([0.0, 4.0, 8.0, 12.0], [0, 0.125, 0.25, 0.5, 1, 2]),
    ):
        torch.testing.assert_close(steps_of(known), torch.tensor(expected).float())
    old = steps_of([0.0, 1.0, 4.0, 16.0], is_old=True)
    torch.testing.assert_close(old, torch.tensor([0, 0.5, 1, 4 / 3, 2, 7 / 3]))


def test_a_number_is_coupled_within_what_other_columns_leave_of_it():
    """Each donor has all doses at first; later one has a dose that the other lacks."""
    obs, elapsed = doses_of([0.0, 1.0], n=40)
    obs["donor"] = np.tile(["a", "b"], len(obs) // 2)
    both = Conditions.fit(obs, ["dose"], elapsed, label_key="donor")
    assert len(set(labels_of(both, obs, "donor").tolist())) == 4
    lost = ((obs["donor"] == "a") & (obs["dose"] == 1) & (elapsed == 1)).to_numpy()
    less = Conditions.fit(obs[~lost], ["dose"], elapsed[~lost], label_key="donor")
    assert len(set(labels_of(less, obs, "donor").tolist())) == 2
    assert labels_of(Conditions.fit(obs[~lost], ["dose"], elapsed[~lost]), obs) is not None


def test_encodings_survive_json_and_say_how_couplings_keep_them():
    obs, elapsed = doses_of([0.0, 1.0], drug=np.tile(["x", "y"], 40))
    obs["score"] = np.linspace(0, 1, len(obs))
    fitted = Conditions.fit(obs, ["drug", "dose", "score"], elapsed)
    fitted = fitted.weigh(np.eye(len(obs)), elapsed, 800.0)
    again = Conditions(tuple(json.loads(json.dumps([dict(each) for each in fitted.columns]))))
    torch.testing.assert_close(again.transform(obs), fitted.transform(obs))
    torch.testing.assert_close(again.cost_features(obs), fitted.cost_features(obs))
    drug, dose, score = fitted.describe()
    assert drug == "drug: cells are coupled within each of 2 categories"
    assert "dose: some of its 2 values" in dose
    assert "score: some of its 80 values have under 20 cells" in score
    assert "condition_weight 800" in score
