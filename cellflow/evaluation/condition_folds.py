"""Held-out values of a numeric condition, such as doses: folds, neighbours, and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import format_list, format_number
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.io.conditions import is_number, read_column, spaced_by_factors, to_log_scale

#: Cells of a value that a fold needs at the first time and at the held-out one.
MIN_CONDITION_CELLS = 4


@dataclass(frozen=True)
class HeldOutCondition:
    """A held-out value of a condition at one time, and the cells of its neighbours there.

    Attributes
    ----------
    key
        Column of `obs`.
    value, below, above
        The held-out value, and the nearest values below and above it with cells at that time.
    share
        Share of the way from `below` to `above`.
    neighbours
        The cells with both values at that time: points, and labels within which the midpoint
        couples them.
    """

    key: str
    value: float
    below: float
    above: float
    share: float
    neighbours: tuple[Batch, Batch]

    def columns(self) -> dict[str, float]:
        """Return the columns of a table of scores that say what was held out."""
        return {
            "condition": self.value,
            "below": self.below,
            "above": self.above,
            "share": self.share,
        }


@dataclass(frozen=True)
class ConditionValues:
    """A numeric condition of all cells.

    Attributes
    ----------
    key
        Column of `obs`.
    values
        Value of each cell, shape (n,).
    """

    key: str
    values: np.ndarray

    @classmethod
    def read(cls, adata: AnnData, keys: Sequence[str]) -> ConditionValues:
        """Read the first of some conditions that is a number.

        Raises
        ------
        InputError
            If none is, or a column does not exist.
        """
        if not keys:
            raise InputError(
                "hold_out 'condition' requires a condition: give condition_keys "
                "(--condition-key), or a flow that was fitted with one"
            )
        columns = {key: read_column(adata.obs, key) for key in keys}
        numbers = [key for key, column in columns.items() if is_number(column)]
        if not numbers:
            raise InputError(
                f"hold_out 'condition' requires a number, and {format_list(map(repr, keys))} "
                f"{'has' if len(keys) == 1 else 'have'} categories, of which a flow knows only "
                "those that it was fitted to; make the column numeric, or hold times out "
                "(hold_out 'time')"
            )
        if len(numbers) > 1:
            log_info(f"values of {numbers[0]!r}, the first numeric condition, are held out")
        return cls(numbers[0], columns[numbers[0]].to_numpy(dtype=np.float64))

    def around(self, value: float, here: np.ndarray) -> tuple[float, float] | None:
        """Return the nearest values below and above with enough cells among those of a mask."""
        known, counts = np.unique(self.values[here], return_counts=True)
        known = known[counts >= MIN_CONDITION_CELLS]
        below, above = known[known < value], known[known > value]
        return (float(below[-1]), float(above[0])) if len(below) and len(above) else None

    def share(self, value: float, below: float, above: float) -> float:
        """Return the share of the way between two values, on the scale that flows use for them."""
        known = np.unique(self.values[self.values != value])
        ends = np.array([below, value, above])
        if spaced_by_factors(known):
            ends = to_log_scale(ends, known)
        # Rounding would decide which neighbour is nearer where both are equally near.
        return round(float((ends[1] - ends[0]) / (ends[2] - ends[0])), 9)

    def find_parts(
        self, elapsed: np.ndarray, times: Sequence[float], wanted: Sequence[float] | None
    ) -> list[HeldOutPart]:
        """Find each value with the times at which it can be held out, in order.

        A value between two others can be held out at a time at which it and values on both sides
        have four cells or more, if it has as many at the first time.

        Parameters
        ----------
        elapsed
            Time of each cell, shape (n,).
        times
            Times to predict, after the first.
        wanted
            Values to hold out; None uses every one that can be.

        Raises
        ------
        InputError
            For a value that is wanted and cannot be held out; for none.
        """
        first = elapsed.min()
        known, counts = np.unique(self.values[elapsed == first], return_counts=True)
        parts = [
            HeldOutPart(time, value=float(value))
            for value in known[counts >= MIN_CONDITION_CELLS]
            for time in times
            if (self.values[elapsed == time] == value).sum() >= MIN_CONDITION_CELLS
            and self.around(float(value), elapsed == time)
        ]
        usable = sorted({part.value for part in parts if part.value is not None})
        if not usable:
            raise InputError(
                f"no value of obs[{self.key!r}] ({_name_values(np.unique(self.values))}) can be "
                f"held out: one needs {MIN_CONDITION_CELLS} cells or more at the first time and at "
                "a later one, with lower and higher values measured at that time; round values "
                "that few cells share"
            )
        for value in () if wanted is None else wanted:
            if value not in usable:
                raise InputError(
                    f"value {value:g} of obs[{self.key!r}] cannot be held out; those between two "
                    f"others, with cells at the first time: {_name_values(usable)}"
                )
        return [part for part in parts if wanted is None or part.value in wanted]


def describe_rivals(scores: pd.DataFrame) -> list[str]:
    """Say in words how near predictions of held-out values are beside both rivals without a model.

    Parameters
    ----------
    scores
        Table of `tl.holdout`; seeds are averaged.
    """
    key = scores.attrs.get("settings", {}).get("held_out_condition", "the condition")
    folds = scores.groupby(["condition", "time"]).mean(numeric_only=True)
    means = folds.groupby("condition").mean()
    mean = means.mean()
    which = f"value {means.index[0]:g}" if len(means) == 1 else f"the mean of {len(means)} values"
    w1, mixed, copied = mean["w1"], mean["w1_mixture"], mean["w1_nearest"]
    best = min(mixed, copied)
    nearer = "as near as" if w1 == best else "nearer than" if w1 < best else "farther than"
    lost = int((means["w1"] > means["w1_mixture"]).sum())
    return [
        f"For {which} of {key}, the flow's predictions are {w1:.3f} from the measured cells, the "
        f"cells of both neighbouring values mixed {mixed:.3f}, and those of the nearer value "
        f"{copied:.3f}: the flow is {nearer} the better of these two, and farther than the mixture "
        f"for {lost} of {len(means)}"
    ]


def _name_values(values: Sequence[float] | np.ndarray) -> str:
    shown = [format_number(float(value)) for value in values[:12]]
    return format_list([*shown, "..."] if len(values) > len(shown) else shown)
