"""Replicates of a time course: which of them a held-out time has, and what they say of a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow.evaluation.comparison import describe_comparison, time_unit_of
from cellflow.evaluation.condition_folds import describe_rivals
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.io import name_time
from cellflow.io.groups import groups_of

#: Cells that a replicate needs at a time, and its share of the largest replicate there.
MIN_REPLICATE_CELLS, _MIN_SHARE = 20, 0.25


@dataclass(frozen=True)
class Replicates:
    """Replicate of each cell.

    Attributes
    ----------
    key
        Column of `obs`.
    names
        Names of the replicates.
    codes
        Number of the replicate of each cell, -1 for cells without one, shape (n,).
    """

    key: str
    names: tuple[str, ...]
    codes: np.ndarray

    @classmethod
    def read(cls, adata: AnnData, key: str) -> Replicates:
        """Read a column of `obs`; categories without cells do not count.

        Raises
        ------
        InputError
            If the column does not exist, or has no value for any cell.
        """
        groups = groups_of(adata, key)
        return cls(key, tuple(map(str, groups.cat.categories)), groups.cat.codes.to_numpy())

    def find(self, here: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows of each replicate with enough cells among those of a mask, by name.

        Enough are 20 cells, and a quarter of the cells of the largest replicate there.
        """
        counts = np.bincount(self.codes[here & (self.codes >= 0)], minlength=len(self.names))
        least = max(MIN_REPLICATE_CELLS, _MIN_SHARE * counts.max(initial=0))
        return {
            name: np.flatnonzero(here & (self.codes == code))
            for code, name in enumerate(self.names)
            if counts[code] >= least
        }

    def start_times(self, name: str, elapsed: np.ndarray) -> list[float]:
        """Return the times at which a replicate has enough cells, within those of the others.

        Parameters
        ----------
        name
            The replicate.
        elapsed
            Time of each cell, shape (n,).
        """
        others = elapsed[(self.codes >= 0) & (self.codes != self.names.index(name))]
        return [
            float(time)
            for time in np.unique(elapsed)
            if len(others)
            and others.min() <= time <= others.max()
            and name in self.find(elapsed == time)
        ]

    def find_parts(self, elapsed: np.ndarray, times: list[float]) -> list[HeldOutPart]:
        """Find each replicate with the times at which it can be held out, in order.

        That needs a time at which it and the others have enough cells, and enough of its own at a
        time before and at a time after, within the times of the others.

        Parameters
        ----------
        elapsed
            Time of each cell, shape (n,).
        times
            Times that can be held out.

        Raises
        ------
        InputError
            If no replicate can be held out.
        """
        parts = []
        for name in self.names:
            own = self.start_times(name, elapsed)
            parts += [
                HeldOutPart(time, replicate=name)
                for time in times
                if len(found := self.find(elapsed == time)) > 1
                and name in found
                and own[0] < time < own[-1]
            ]
        if not parts:
            raise InputError(
                f"no replicate in obs[{self.key!r}] ({format_list(self.names[:8])}) can be held "
                f"out: one needs {MIN_REPLICATE_CELLS} cells or more at a held-out time, at one "
                "before and at one after, at which others were measured too; for the distance "
                "between replicates of a time leave hold_out (--hold-out) out"
            )
        return parts

    def describe_missing(self) -> str:
        """Describe cells without a replicate; empty if there are none."""
        n = int((self.codes < 0).sum())
        return f"{n} of {len(self.codes)} cells have no value in obs[{self.key!r}]" if n else ""


def describe_scores(scores: pd.DataFrame) -> list[str]:
    """Say in words what held-out scores mean, beside the rivals that they can be held against.

    A flow that lacks one replicate knows the cells of the others at the same time, which the
    midpoint does not, so there the others are its rivals and the midpoint is not.

    Parameters
    ----------
    scores
        Table of `tl.holdout`; seeds are averaged.
    """
    if "w1_others" in scores:
        return describe_replicates(scores)
    if "condition" in scores:
        return describe_comparison(scores) + describe_rivals(scores)
    return describe_comparison(scores) + describe_replicates(scores)


def describe_replicates(scores: pd.DataFrame) -> list[str]:
    """Say how near predictions are beside replicates of the same times, in words.

    Parameters
    ----------
    scores
        Table of `tl.holdout`; seeds are averaged.
    """
    found = []
    if "w1_replicates" in scores and scores["w1_replicates"].notna().any():
        times, means = _average(scores.dropna(subset="w1_replicates"))
        apart, w1 = means["w1_replicates"], means["w1"]
        found.append(
            f"{times}, replicates are {apart:.3f} apart, and the prediction is {w1:.3f} from the "
            f"measured cells: {_compare(w1, apart)} a repeat of the experiment"
            + (", as it can be where other times are of the same replicates" if w1 < apart else "")
        )
    if "w1_others" in scores:
        times, means = _average(scores)
        others, w1 = min(means["w1_others"], means["w1_others_shifted"]), means["w1"]
        found.append(
            f"{times}, the other replicates are {means['w1_others']:.3f} from the held-out one, "
            f"{means['w1_others_shifted']:.3f} if shifted by the difference at its neighbouring "
            f"times, and its prediction from its own cells is {w1:.3f}: {_compare(w1, others)} "
            "the nearer of these two"
        )
    return found


def _average(scores: pd.DataFrame) -> tuple[str, pd.Series]:
    """Return the times in words, and means over them, replicates and seeds averaged."""
    means = scores.groupby("time").mean(numeric_only=True)
    unit = time_unit_of(scores)
    if len(means) == 1:
        return f"At {name_time(float(means.index[0]), unit)}", means.iloc[0]
    return f"On the mean of {len(means)} times", means.mean()


def _compare(w1: float, other: float) -> str:
    gain = round(100 * (1 - w1 / other)) if other else 0
    if gain == 0:
        return "as near as"
    return f"{abs(gain)} % {'nearer' if gain > 0 else 'farther'} than"
