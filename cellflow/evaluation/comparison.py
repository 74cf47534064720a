"""Compare held-out scores with the midpoint and the reference, in numbers and in words.

All W1 are of all scored cells, predictions and references alike: halves of a prediction of a few
hundred cells have a W1 that varies by several per cent from draw to draw, and published scores are
of all cells. The W1 of halves of the measured cells is therefore extrapolated to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from cellflow._checks import format_list, format_number
from cellflow.io import format_time, name_time

#: Columns that a comparison requires.
COMPARED = (
    "time",
    "w1",
    "w1_midpoint",
    "w1_reference",
    "w1_reference_sd",
)

#: Spreads of the reference over random splits within which the midpoint counts as equal to it.
_SPREADS = 2.0

_MEASURED = "the measured cells"


def compare_with_midpoint(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean scores of each held-out time or value, and the per cent of the midpoint's W1.

    Parameters
    ----------
    scores
        Table of `tl.holdout`; seeds are averaged.

    Returns
    -------
    A row for each held-out time, or value of a condition, and, of several, one of their mean, by
    labels such as `36 h`, `dose 2` and `mean`.
    `percent` and `percent_reference` are W1 of the prediction and of the reference in per cent of
    the midpoint's, those of the mean being ratios of means.
    """
    folds = average_folds(scores)
    folds.index = pd.Index(label_folds(scores, folds.index))
    if len(folds) > 1:
        folds.loc["mean"] = folds.mean()
    return folds.assign(
        percent=100 * folds["w1"] / folds["w1_midpoint"],
        percent_reference=100 * folds["w1_reference"] / folds["w1_midpoint"],
    )


def describe_comparison(scores: pd.DataFrame) -> list[str]:
    """Say in words how near predictions are beside the midpoint and a second sample of the cells.

    Parameters
    ----------
    scores
        Table of `tl.holdout`; seeds are averaged.

    Returns
    -------
    Sentences: the prediction or the mean of several; times at which it is farther than the
    midpoint; times at which no method can be shown to be nearer; how seeds differ; and whether a
    lower W1 comes with a higher energy distance.
    """
    folds = average_folds(scores)
    labels = pd.Series(label_folds(scores, folds.index, name=name_time), folds.index)
    mean, single = folds.mean(), len(folds) == 1
    room = _gain(mean["w1_reference"], mean["w1_midpoint"])
    subject = (
        f"The prediction of {labels.iloc[0]} is"
        if single
        else _name_folds(list(labels), "values" if "condition" in scores else "times")
    )
    fresh = "a second sample of its cells" if single else "second samples of their cells"
    nearness = _compare(_gain(mean["w1"], mean["w1_midpoint"]))
    sentences = [
        f"{subject} {nearness} the midpoint, which needs no model; {fresh} would be "
        + (f"{room} % nearer than the midpoint" if room > 0 else "no nearer")
    ]
    gains = [_gain(*pair) for pair in zip(folds["w1"], folds["w1_midpoint"], strict=True)]
    farther = [
        label if math.isinf(gain) else f"{label} ({-gain} %)"
        for label, gain in zip(labels, gains, strict=True)
        if gain < 0
    ]
    if farther and not single:
        sentences.append(f"They are farther than the midpoint at {format_list(farther)}")
    room_left = folds["w1_midpoint"] - folds["w1_reference"]
    equal = labels[room_left <= _SPREADS * folds["w1_reference_sd"]]
    if len(equal):
        sentences.append(
            f"At {format_list(equal)} the midpoint is as near as a second sample of the cells, "
            "within the spread over random splits: no method can be shown to be nearer there"
        )
    return sentences + _describe_seeds(scores) + _describe_energy(folds, labels)


def time_unit_of(scores: pd.DataFrame) -> str:
    """Return the unit of the times of a table of `tl.holdout`; empty if it is not known."""
    return str(scores.attrs.get("settings", {}).get("time_unit", ""))


def average_folds(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean scores of each held-out time or, of a condition, of each held-out value."""
    column = "condition" if "condition" in scores else "time"
    return scores.groupby(column).mean(numeric_only=True)


def label_folds(
    scores: pd.DataFrame,
    folds: Iterable[Any],
    *,
    name: Callable[[float, str], str] = format_time,
) -> list[str]:
    """Return a label of each held-out time, or value of a condition such as `dose 2`.

    Parameters
    ----------
    scores
        Table of `tl.holdout`.
    folds
        Its held-out times or values, as in the index of `average_folds`.
    name
        Function from a time and its unit to the label.
    """
    if "condition" not in scores:
        return [name(time, time_unit_of(scores)) for time in folds]
    key = scores.attrs.get("settings", {}).get("held_out_condition", "condition")
    return [f"{key} {format_number(value)}" for value in folds]


def _name_folds(labels: list[str], what: str) -> str:
    """Return the subject of a sentence on the mean of several times or values."""
    named = (
        f"{', '.join(labels[:-1])} and {labels[-1]}"
        if len(labels) <= 3
        else (f"{len(labels)} held-out {what}")
    )
    return f"On the mean of {named}, predictions are"


def _gain(w1: float, midpoint: float) -> float:
    """Return by how many per cent of the midpoint's W1 another is lower, to the nearest per cent.

    It is minus infinity if the midpoint meets the cells exactly and the other does not.
    """
    if midpoint:
        return round(100 * (1 - w1 / midpoint))
    return -math.inf if w1 else 0


def _compare(gain: float) -> str:
    if math.isinf(gain):
        return f"farther from {_MEASURED} than"
    if gain == 0:
        return f"as near to {_MEASURED} as"
    return (
        f"{gain} % nearer to {_MEASURED} than"
        if gain > 0
        else (f"{-gain} % farther from {_MEASURED} than")
    )


def _describe_seeds(scores: pd.DataFrame) -> list[str]:
    if "seed" not in scores or scores["seed"].nunique() < 2:
        return []
    means = scores.groupby("seed")[["w1", "w1_midpoint"]].mean()
    gains = [_gain(row["w1"], row["w1_midpoint"]) for _, row in means.iterrows()]
    if min(gains) == max(gains):
        return []
    worst, best = (_name_gain(gain) for gain in (min(gains), max(gains)))
    return [f"Of {len(gains)} seeds, the worst is {worst}, the best {best}"]


def _name_gain(gain: float) -> str:
    if gain == 0:
        return "as near"
    if math.isinf(gain):
        return "farther"
    return f"{abs(gain)} % {'nearer' if gain > 0 else 'farther'}"


def _describe_energy(folds: pd.DataFrame, labels: pd.Series) -> list[str]:
    """Name the times at which W1 is lower than the midpoint's and energy distance higher."""
    if "energy_midpoint" not in folds:
        return []
    at_a_cost = labels[
        (folds["w1"] < folds["w1_midpoint"]) & (folds["energy"] > folds["energy_midpoint"])
    ]
    if at_a_cost.empty:
        return []
    return [
        f"At {format_list(at_a_cost)} the gain is one of W1 only: the energy distance is higher "
        "than the midpoint's"
    ]
