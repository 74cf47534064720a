"""Time points of cells in the unit and by the labels of a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from anndata import AnnData

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.io.time_points import DAYS, TimePoints, time_points_of


def time_points_to_dict(points: TimePoints) -> dict[str, Any]:
    """Return the labels, times and unit that a flow stores of its course."""
    return {"labels": list(points.labels), "times": list(points.times), "unit": points.unit}


def shared_times(points: TimePoints, flow: Flow) -> tuple[float, ...]:
    """Return the times that have cells and that a flow was fitted to, increasing.

    Raises
    ------
    InputError
        If there are fewer than two.
    """
    shared = points.among(flow.axis.times)
    if len(shared) < 2:
        raise InputError(
            f"times of the data ({points.describe()}) and of the flow "
            f"({format_list(f'{time:g}' for time in flow.axis.times)}) have fewer than two "
            "in common"
        )
    return shared


def time_points_for_flow(adata: AnnData, flow: Flow, time_key: str | None = None) -> TimePoints:
    """Read the times of all cells in the unit and by the labels of a flow.

    Labels that the flow was fitted to have the times that they had then: of a subset of ordered
    categories the ranks would differ, and of a subset of a column with several units the unit.
    Other units are converted to that of the flow; numbers without a unit are taken to be in it. If
    the flow stores no labels, times are read as by `time_points_of`.

    Parameters
    ----------
    adata
        The cells.
    flow
        The flow.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.

    Raises
    ------
    InputError
        For times that cannot be read, categories that the flow was not fitted to, or a unit that
        does not convert to its own.
    """
    points = time_points_of(adata, time_key or flow.time_key)
    course = flow.context.settings.get("course")
    if course is None:
        return points
    try:
        known = dict(zip(course["labels"], map(float, course["times"]), strict=True))
        unit = str(course["unit"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the times stored in the flow are not in cellflow's format: {course!r:.80}"
        ) from error
    return _convert(points, known, unit)


def _convert(points: TimePoints, known: Mapping[str, float], unit: str) -> TimePoints:
    if known.keys() >= set(points.labels):
        return _replace_times(points, [known[label] for label in points.labels], unit)
    if "rank" in (unit, points.unit) and points.unit:
        foreign = [label for label in points.labels if label not in known]
        raise InputError(
            f"the flow does not know the times {format_list(foreign)}; "
            f"it was fitted to {format_list(known)}"
        )
    return convert_unit(points, unit)


def convert_unit(points: TimePoints, unit: str) -> TimePoints:
    """Convert times to a unit; numbers without a unit are taken to be in it.

    Raises
    ------
    InputError
        If one unit does not convert to the other.
    """
    if points.unit == unit or not (points.unit and unit):
        return points
    if not {points.unit, unit} <= set(DAYS):
        raise InputError(
            f"times in {points.unit}s do not convert to those of the flow, in {unit}s: "
            f"{format_list(points.labels)}"
        )
    factor = DAYS[points.unit] / DAYS[unit]
    return _replace_times(points, [round(time * factor, 9) for time in points.times], unit)


def _replace_times(points: TimePoints, times: Sequence[float], unit: str) -> TimePoints:
    """Return the same labels at other times, sorted."""
    order = np.argsort(times)
    return TimePoints(
        elapsed=np.asarray(times)[np.searchsorted(points.times, points.elapsed)],
        times=tuple(times[k] for k in order),
        labels=tuple(points.labels[k] for k in order),
        unit=unit,
    )
