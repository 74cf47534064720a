"""Times of cells as a flow knows them, which those of a part of its course alone may not tell."""

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
    """What a flow keeps in its context of the times that it was fitted to."""
    return {"labels": list(points.labels), "times": list(points.times), "unit": points.unit}


def shared_times(points: TimePoints, flow: Flow) -> tuple[float, ...]:
    """Times that have cells and that a flow was fitted to, increasing.

    Raises
    ------
    InputError
        If there are fewer than two.
    """
    shared = points.among(flow.axis.times)
    if len(shared) < 2:
        raise InputError(
            f"times of the data ({points.described()}) and of the flow "
            f"({format_list(f'{time:g}' for time in flow.axis.times)}) have fewer than two "
            "in common"
        )
    return shared


def time_points_for_flow(adata: AnnData, flow: Flow, time_key: str | None = None) -> TimePoints:
    """Read the times of all cells as those of a flow.

    Labels that the flow was fitted to mean the times that they meant then: ranks of a part of the
    categories start anew, and a part of a column of several units may be told in another. Other
    units are converted to that of the flow; numbers without a unit are taken to be in it. A flow
    that keeps no times takes all as they stand.

    Parameters
    ----------
    adata
        The cells.
    flow
        The flow.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.

    Raises
    ------
    InputError
        For times that cannot be read, categories that the flow does not know, or a unit that does
        not convert to its own.
    """
    points = time_points_of(adata, time_key or flow.time_key)
    course = flow.context.settings.get("course")
    if course is None:
        return points
    try:
        known = dict(zip(course["labels"], map(float, course["times"]), strict=True))
        unit = str(course["unit"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the flow keeps no times that cellflow wrote: {course!r:.80}") from error
    return _told(points, known, unit)


def _told(points: TimePoints, known: Mapping[str, float], unit: str) -> TimePoints:
    if known.keys() >= set(points.labels):
        return _at(points, [known[label] for label in points.labels], unit)
    if "rank" in (unit, points.unit) and points.unit:
        foreign = [label for label in points.labels if label not in known]
        raise InputError(
            f"the flow does not know the times {format_list(foreign)}; "
            f"it was fitted to {format_list(known)}"
        )
    return convert_unit(points, unit)


def convert_unit(points: TimePoints, unit: str) -> TimePoints:
    """The same times in the unit of a flow; numbers without a unit are taken to be in it.

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
    return _at(points, [round(time * factor, 9) for time in points.times], unit)


def _at(points: TimePoints, times: Sequence[float], unit: str) -> TimePoints:
    """The same labels, in their order, at other times."""
    order = np.argsort(times)
    return TimePoints(
        elapsed=np.asarray(times)[np.searchsorted(points.times, points.elapsed)],
        times=tuple(times[k] for k in order),
        labels=tuple(points.labels[k] for k in order),
        unit=unit,
    )
