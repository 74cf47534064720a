"""Time points of cells in the unit and by the labels of a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from anndata import AnnData
from pandas.api.types import is_numeric_dtype

from cellflow._checks import format_list, format_number
from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.io.time_columns import convert, unknown_labels
from cellflow.io.time_labels import TimeLabel
from cellflow.io.time_points import TimePoints, describe_time_columns, time_key_of, time_points_of


def time_points_to_dict(points: TimePoints) -> dict[str, Any]:
    """Return the labels, times, unit and, if known, origin that a flow stores of its course."""
    entry = {"labels": list(points.labels), "times": list(points.times), "unit": points.unit}
    return {**entry, "origin": points.origin} if points.origin else entry


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
            f"({format_list(map(format_number, flow.axis.times))}) have fewer than two "
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
    course = flow.context.settings.get("course")
    if time_key is None and flow.time_key is not None and flow.time_key not in adata.obs:
        raise InputError(
            f"no obs column {flow.time_key!r}; the flow was fitted to times in "
            f"{flow.time_key!r}; name another column with time_key (--time-key); "
            f"{describe_time_columns(adata)}"
        )
    if course is None:
        return time_points_of(adata, time_key or flow.time_key)
    return _read_in_course(adata, time_key_of(adata, time_key or flow.time_key), course)


def time_points_for_result(
    adata: AnnData, entry: Mapping[str, Any], time_key: str | None = None
) -> TimePoints:
    """Read the times of all cells in the unit and by the labels of a result's record in `uns`.

    As `time_points_for_flow`, but of a course with other names of stages the times are those of the
    cells alone.
    """
    unit, course = str(entry["unit"]), entry.get("course")
    key = time_key_of(adata, time_key)
    if course is None or (unit == "rank" and unknown_labels(adata.obs[key], course["labels"])):
        return convert_unit(time_points_of(adata, key), unit)
    return _read_in_course(adata, key, course)


def _read_in_course(adata: AnnData, key: str, course: Mapping[str, Any]) -> TimePoints:
    """Read the times of a column by the labels, unit and origin of a stored course."""
    try:
        labels = [str(label) for label in course["labels"]]
        known = dict(zip(labels, map(float, course["times"]), strict=True))
        unit, origin = str(course["unit"]), str(course.get("origin", ""))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the times stored in the flow are not in cellflow's format: {course!r:.80}"
        ) from error
    foreign = unknown_labels(adata.obs[key], known)
    if foreign and unit == "rank" and not is_numeric_dtype(adata.obs[key]):
        raise _unknown_times(foreign, known)
    points = time_points_of(adata, key, known=known, unit=unit)
    if not foreign:
        return replace(points, origin=origin)
    if "rank" in (unit, points.unit) and points.unit:
        raise _unknown_times(foreign, known)
    return convert_unit(points, unit, origin)


def _unknown_times(foreign: Sequence[str], known: Mapping[str, float]) -> InputError:
    return InputError(
        f"the flow does not know the times {format_list(foreign)}; "
        f"it was fitted to {format_list(known)}"
    )


def convert_unit(points: TimePoints, unit: str, origin: str = "") -> TimePoints:
    """Convert times to a unit; numbers without a unit are taken to be in it.

    Parameters
    ----------
    points
        The times.
    unit
        The unit; empty keeps that of the times.
    origin
        Event to count from, such as `conception`; empty keeps that of the times.

    Raises
    ------
    InputError
        If one unit, or one event, does not convert to the other.
    """
    same = points.unit == unit and origin in ("", points.origin)
    if same or not (points.unit and unit):
        return points
    numbers = [
        convert(TimeLabel(time, points.unit, points.origin), unit, origin) for time in points.times
    ]
    times = [number for number in numbers if number is not None]
    if len(times) < len(numbers):
        of, to = (
            f"in {each}s" + (f" since {event}" if event else "")
            for each, event in ((points.unit, points.origin), (unit, origin))
        )
        raise InputError(
            f"times {of} do not convert to those of the flow, {to}: {format_list(points.labels)}"
        )
    return _replace_times(points, times, unit, origin or points.origin)


def _replace_times(
    points: TimePoints, times: Sequence[float], unit: str, origin: str
) -> TimePoints:
    """Return the same labels at other times, sorted."""
    order = np.argsort(times)
    return replace(
        points,
        elapsed=np.asarray(times)[np.searchsorted(points.times, points.elapsed)],
        times=tuple(times[k] for k in order),
        labels=tuple(points.labels[k] for k in order),
        unit=unit,
        origin=origin,
    )
