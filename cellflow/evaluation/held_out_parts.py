"""Parts of the data that folds hold out: times, and replicates or doses at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cellflow._checks import format_list, format_number
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.io import TimePoints

#: Cells that a held-out time needs, so that its halves have two each.
_MIN_CELLS = 4


@dataclass(frozen=True)
class HeldOutPart:
    """The cells that one fold holds out: those of a time, all or of one replicate or value.

    Attributes
    ----------
    time
        The held-out time.
    replicate
        Name of the held-out replicate: the training cells are those of the others at all times, and
        predictions start from its own cells at its other times. None holds all replicates out.
    value
        The held-out value of the condition: the training cells are those of the other values at
        all times, and predictions start from its own cells of the first time. None holds all
        values out.
    """

    time: float
    replicate: str | None = None
    value: float | None = None

    @property
    def is_time(self) -> bool:
        """Whether all cells of the time are held out."""
        return self.replicate is None and self.value is None


def find_interior_times(
    points: TimePoints, times: float | str | Sequence[float | str] | None
) -> list[float]:
    """Find the times to hold out: those given, or every one with neighbours on both sides."""
    if len(points.times) < 3:
        raise InputError(
            f"holding a time out needs three times or more; there are {points.describe()}"
        )
    counts = dict(zip(points.times, points.counts, strict=True))
    interior = points.times[1:-1]
    usable = [time for time in interior if counts[time] >= _MIN_CELLS]
    if times is None and usable:
        if few := [format_number(time) for time in interior if time not in usable]:
            log_info(
                f"times with fewer than {_MIN_CELLS} cells are not held out: {format_list(few)}"
            )
        return usable
    found = list(interior) if times is None else points.find_all(times)
    for time in found:
        if time not in interior:
            raise InputError(
                f"time {format_number(time)} has no neighbours on both sides; times that can be "
                f"held out: {format_list(map(format_number, interior))}"
            )
        if time not in usable:
            raise InputError(
                f"time {format_number(time)} has fewer than {_MIN_CELLS} cells, too few to score"
            )
    return sorted(set(found))
