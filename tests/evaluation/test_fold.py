"""One fold with points on a line, whose scores are known."""

import math

import numpy as np
import pytest
import torch

from cellflow._batch import Batch
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.marginals import TimeAxis

AXIS = TimeAxis("real", (0.0, 1.0, 1.5, 3.0, 4.0))


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def fold_of(points, elapsed, real, *, own=None, columns=None, **options):
    """Return a fold at time 1.5, in units of 2, with the columns of its training cells."""
    cells = Batch(column(*points), **(columns or {}))
    moved, moved_elapsed = own or (points, elapsed)
    moved = Batch(column(*moved), **(columns or {})) if own else cells
    times, held_out = tuple(sorted(set(elapsed))), column(*real).numpy()
    elapsed, moved_elapsed = np.array(elapsed), np.array(moved_elapsed)
    unit = np.array([2.0])
    part = HeldOutPart(1.5, options.pop("replicate", None))
    return Fold(part, times, cells, elapsed, moved, moved_elapsed, held_out, unit, None, **options)


def w1_of(fold):
    return {name: score.w1 for name, score in fold.score_baselines(AXIS).scores.items()}


def test_neighbours_and_the_share_of_the_way_between_them():
    fold = fold_of([7.0, 0, 4, 9], [0, 1, 3, 4], [1.0] * 4)
    assert (fold.first, fold.before, fold.after) == (0, 1, 3)
    assert fold.fraction(AXIS) == 0.25
    assert fold.fraction(TimeAxis("index", AXIS.times)) == 0.5
    assert fold.fraction(TimeAxis("real", (0.0, 1.0, 1.4, 1.5, 3.0))) == pytest.approx(0.25)
    assert fold.cloud_at(3).points.tolist() == [[2.0]]
    assert fold.cloud_at(1.5).points.tolist() == [[0.5]] * 4


def test_baselines_are_scored_in_the_unit():
    w1 = w1_of(fold_of([7.0, 0, 4, 9], [0, 1, 3, 4], [1.0] * 4))
    assert w1["previous"] == pytest.approx(0.5)
    assert w1["next"] == pytest.approx(1.5)
    assert w1["midpoint"] == pytest.approx(0, abs=1e-9)


def test_no_more_than_the_largest_number_of_cells_is_scored():
    elapsed = [1] * 5 + [3] * 3
    fold = fold_of(range(8), elapsed, range(6), max_cells=4)
    assert fold.log2_ratio == pytest.approx(1)  # 5 + 3 cells around, 6 held out
    assert fold_of(range(8), elapsed, range(32), max_cells=4).log2_ratio == pytest.approx(3)
    assert fold_of(range(8), elapsed, range(6), max_cells=40).log2_ratio == 0
    assert fold_of(range(8), elapsed, range(6)).log2_ratio == 0
    drawn = fold.cloud_at(1).points[:, 0] * 2
    assert len(set(drawn)) == 4
    assert set(drawn) <= set(range(5))
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(fold.to_cloud(np.ones((4, 1)), weights).weights, weights)


@pytest.mark.parametrize(("wide", "w1"), [(0.97, 0), (1.03, 0.375)])
@pytest.mark.parametrize("stretch", [None, 10.0])
def test_the_midpoint_weighs_conditions_by_the_variance_of_costs(wide, w1, stretch):
    """Cells 3 apart change places if conditions, times sqrt(800), are farther apart than that."""
    place = column(0, 3, 0, 3)
    aside = wide * 3 / math.sqrt(800) * (stretch or 1)
    columns = {"condition_features": column(0, aside, aside, 0)}
    if stretch:
        columns["features"] = stretch * place
    fold = fold_of([0.0, 3, 0, 3], [1, 1, 3, 3], [0.0, 0, 3, 3], columns=columns)
    assert w1_of(fold)["midpoint"] == pytest.approx(w1, abs=1e-9)


def test_the_midpoint_keeps_labels():
    columns = {"label": torch.tensor([0, 1, 1, 0])}
    fold = fold_of([0.0, 4, 0, 4], [1, 1, 3, 3], [1.0, 1, 3, 3], columns=columns)
    assert w1_of(fold)["midpoint"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("elapsed", "shift"), [([1, 1, 3, 3], 10.5), ([1, 1, 0, 0], 9)])
def test_other_replicates_are_shifted_by_the_mean_difference_at_the_neighbours(elapsed, shift):
    """Others lie at 0 and 2, then at 4 or not; the replicate at 10, then at 16."""
    fold = fold_of(
        [0.0, 2, 4, 4], elapsed, [12.0] * 4, own=([10.0, 16.0], [1, 3]),
        replicates=(column(2, 2).numpy(), column(2).numpy()), replicate="c",
    )  # fmt: skip
    w1 = w1_of(fold)
    assert w1["others"] == pytest.approx(5)
    assert w1["others_shifted"] == pytest.approx(abs(12 - (2 + shift)) / 2)
