"""Scores beside the midpoint and the reference, in numbers and in words."""

import pandas as pd
import pytest

from cellflow.evaluation.comparison import compare_with_midpoint, describe_comparison


def table(*w1, midpoint=1.0, reference=0.8, spread=0.02, seeds=(0,), unit="hour", **columns):
    """A table of several times, 12 apart, each with a W1 for each seed."""
    rows = [
        {"time": 12.0 * (k + 1), "seed": seed, "w1": values if len(seeds) == 1 else values[i]}
        for k, values in enumerate(w1)
        for i, seed in enumerate(seeds)
    ]
    shared = {"w1_midpoint": midpoint, "w1_previous": 1.5, "w1_next": 2.0}
    shared |= {"w1_reference": reference, "w1_reference_sd": spread, **columns}
    scores = pd.DataFrame(rows).assign(**shared)
    scores.attrs["settings"] = {"time_unit": unit}
    return scores


def test_one_time_is_compared_in_a_sentence():
    assert describe_comparison(table(0.96)) == [
        "The prediction of 12 h is 4 % nearer to the measured cells than the midpoint, which needs "
        "no model; a second sample of its cells would be 20 % nearer than the midpoint"
    ]


@pytest.mark.parametrize(
    ("w1", "words"),
    [
        (1.1, "is 10 % farther from the measured cells than the midpoint"),
        (1.004, "is as near to the measured cells as the midpoint"),
        (0.996, "is as near to the measured cells as the midpoint"),
        (0.5, "is 50 % nearer to the measured cells than the midpoint"),
    ],
)
def test_losses_and_ties_are_named_as_such(w1, words):
    (said,) = describe_comparison(table(w1))
    assert words in said


def test_several_times_are_compared_by_their_mean_and_losses_named():
    said = describe_comparison(table(0.7, 1.1, 0.9))
    assert said[0].startswith(
        "On the mean of 12 h, 24 h and 36 h, predictions are 10 % nearer to the measured cells"
    )
    assert said[1:] == ["They are farther than the midpoint at 24 h (10 %)"]
    assert "the mean of 4 held-out times" in describe_comparison(table(1, 1, 1, 1))[0]


def test_it_is_said_where_no_method_can_be_nearer():
    said = describe_comparison(table(0.9, midpoint=0.83, spread=0.02))
    assert said[1].startswith("At 12 h the midpoint is as near as a second sample of the cells")
    assert len(describe_comparison(table(0.9, midpoint=0.85, spread=0.02))) == 1
    for midpoint in (0.7, 0.8):
        assert "would be no nearer" in describe_comparison(table(0.9, midpoint=midpoint))[0]


def test_seeds_that_differ_are_reported():
    scores = table([0.9, 1.1], [0.8, 1.0], seeds=(0, 1))
    assert "Of 2 seeds, the worst is 5 % farther, the best 15 % nearer" in describe_comparison(
        scores
    )
    assert (
        "the worst is as near, the best 5 % nearer"
        in describe_comparison(table([1.0, 0.95], seeds=(0, 1)))[1]
    )
    assert len(describe_comparison(table([0.9, 0.9], seeds=(0, 1)))) == 1


def test_a_gain_of_w1_only_is_named():
    said = describe_comparison(table(0.9, 0.9, energy=[0.2, 0.4], energy_midpoint=0.3))
    assert said[-1].startswith("At 24 h the gain is one of W1 only")


def test_shares_of_the_mean_are_ratios_of_means():
    scores = table(0.5, 1.8).assign(w1_midpoint=[1.0, 3.0])
    shares = compare_with_midpoint(scores)
    assert list(shares.index) == ["12 h", "24 h", "mean"]
    assert shares["percent"].tolist() == pytest.approx([50, 60, 57.5])
    assert shares["percent_reference"].tolist() == pytest.approx([80, 80 / 3, 40])
    assert list(compare_with_midpoint(table(0.9, unit="day")).index) == ["day 12"]
    assert list(compare_with_midpoint(table(0.9, unit="")).index) == ["12"]


def test_a_midpoint_that_meets_the_cells_exactly_is_nearer_than_a_prediction_that_does_not():
    scores = table(0.4, midpoint=0.0, reference=0.0)
    assert "farther from the measured cells than the midpoint" in describe_comparison(scores)[0]
