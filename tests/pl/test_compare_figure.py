"""The figure of conditions: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba

import cellflow as cf
from cellflow import InputError


@pytest.fixture
def populations():
    """Two conditions at three times, of which one parts from the reference after day 1."""
    return pd.DataFrame(
        {
            "condition": ["low"] * 3 + ["high"] * 3,
            "reference": "none",
            "time": [0.0, 1.0, 3.0] * 2,
            "statistic": "energy",
            "distance": [0.0, 0.1, 0.2, -0.1, 0.1, 0.9],
            "expected": 0.0,
            "threshold": 0.3,
            "p": [1.0, 0.5, 0.2, 1.0, 0.7, 0.001],
            "parted_after": [np.nan] * 3 + [1.0] * 3,
            "parted_by": [np.nan] * 3 + [3.0] * 3,
            "permuted": "cells",
            "unit": "day",
        }
    )


def dots(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found.get_xdata().tolist(), found.get_markerfacecolor()


def test_dots_are_full_where_p_is_small_and_the_parting_is_shaded(populations):
    low, high = cf.pl.compare(populations, show=False)
    assert (low.get_title(), high.get_title()) == ("low against none", "high against none")
    assert low.get_xlabel() == "time (days)"
    assert "energy distance" in low.get_ylabel()
    assert dots(high, "p ≤ 0.05")[0] == [3.0]
    times, face = dots(high, "not significant")
    assert (times, to_rgba(face)) == ([0.0, 1.0], to_rgba("white"))
    assert dots(low, "p ≤ 0.05")[0] == []
    (shaded,) = high.patches
    assert (shaded.get_x(), shaded.get_width()) == (1.0, 2.0)
    assert not low.patches
    (area,) = low.collections
    assert area.get_paths()[0].vertices[:, 1].max() == 0.3
    plt.close("all")


def test_without_p_the_mean_of_permutations_is_a_line(populations):
    populations = populations.assign(p=np.nan, threshold=np.nan, permuted="replicates")
    (ax,) = cf.pl.compare(populations, conditions="high", show=False)
    assert not ax.collections
    assert any("too few for p" in line.get_label() for line in ax.lines)
    plt.close("all")


def test_differences_of_groups_stand_beside_each_other_with_their_intervals():
    table = pd.DataFrame(
        {
            "condition": "b", "reference": "a", "time": [0.0, 0.0, 2.0, 2.0],
            "group": ["x", "y"] * 2, "difference": [0.1, -0.1, 0.4, -0.4],
            "low": [0.0, -0.2, 0.3, -0.5], "high": [0.2, 0.0, 0.5, -0.3], "units": "cells",
        }
    )  # fmt: skip
    ax = plt.figure().add_subplot()
    assert cf.pl.compare(table, unit="h", ax=ax, show=False) == [ax]
    assert ax.get_xlabel() == "time (h)"
    x, y = ax.lines[:2]
    assert x.get_ydata().tolist() == [0.1, 0.4]
    assert (x.get_xdata() < y.get_xdata()).all()
    bars = [segment[:, 1].tolist() for each in ax.collections for segment in each.get_segments()]
    assert bars == [[0.0, 0.2], [0.3, 0.5], [-0.2, 0.0], [-0.5, -0.3]]
    plt.close("all")


def test_wrong_tables_and_names_are_told(populations):
    with pytest.raises(InputError, match="'none'"):
        cf.pl.compare(populations, conditions="none", show=False)
    with pytest.raises(InputError, match="no conditions"):
        cf.pl.compare(populations, conditions=[], show=False)
    with pytest.raises(InputError, match="one Axes per condition: 2, got 1"):
        cf.pl.compare(populations, ax=plt.figure().add_subplot(), show=False)
    with pytest.raises(InputError, match="missing columns: distance"):
        cf.pl.compare(populations.drop(columns="distance"), show=False)
    with pytest.raises(InputError, match="genes has no figure"):
        cf.pl.compare(populations.assign(gene="A"), show=False)
    plt.close("all")
