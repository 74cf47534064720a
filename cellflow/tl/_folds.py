"""One fold of held-out evaluation: its cells, in the space that its flow is fitted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from cellflow._checks import listed
from cellflow._errors import InputError
from cellflow._log import tell
from cellflow.io import TimePoints
from cellflow.marginals import TimeAxis
from cellflow.metrics import Cloud
from cellflow.representation import Settings, fit_representation

#: Cells that a held-out time needs, so that its halves have two each.
_FEWEST = 4


@dataclass(frozen=True)
class Fold:
    """A time held out of a course.

    Attributes
    ----------
    time
        The held-out time.
    points
        The times of all cells.
    cells
        All cells in the fold's representation, shape (n, d).
    unit
        What a coordinate is divided by before scoring, shape (d,).
    space
        The representation in words.
    """

    time: float
    points: TimePoints
    cells: np.ndarray
    unit: np.ndarray
    space: str

    @property
    def kept(self) -> tuple[float, ...]:
        """All other times."""
        return tuple(time for time in self.points.times if time != self.time)

    @property
    def before(self) -> float:
        """The kept time before."""
        return max(time for time in self.kept if time < self.time)

    @property
    def after(self) -> float:
        """The kept time after."""
        return min(time for time in self.kept if time > self.time)

    def at(self, time: float) -> np.ndarray:
        """Cells of one time, shape (n, d)."""
        return self.cells[self.points.elapsed == time]

    def cloud(self, cells: np.ndarray, weights: np.ndarray | None = None) -> Cloud:
        """Cells in the units of the score."""
        return Cloud.of(cells / self.unit, weights)

    def fraction(self, axis: TimeAxis) -> float:
        """How far the held-out time is on the way between its neighbours, on a clock."""
        start, here, stop = (axis.to_flow(t) for t in (self.before, self.time, self.after))
        return (here - start) / (stop - start)


def make_fold(
    adata: AnnData,
    points: TimePoints,
    time: float,
    settings: Settings,
    *,
    fit_to_all: bool,
) -> Fold:
    """Fit the representation to the kept cells, or to all, and apply it to all.

    With whitening, the score's unit is the spread of all cells in that representation, so that
    scores compare whichever cells the fit has seen.
    """
    seen = np.full(adata.n_obs, True) if fit_to_all else points.elapsed != time
    fitted = fit_representation(adata[seen], settings)
    cells = fitted.transform(adata)
    unit = cells.std(axis=0) if settings.whiten else np.ones(cells.shape[1])
    return Fold(time, points, cells, np.where(unit > 0, unit, 1.0), fitted.describe())


def interior_times(points: TimePoints, wanted: Sequence[float | str] | None) -> list[float]:
    """The times to hold out, in order: those wanted, or every one with neighbours on both sides.

    Raises
    ------
    InputError
        For a time without cells, without a neighbour on each side, or with fewer than four cells.
    """
    if len(points.times) < 3:
        raise InputError(
            f"holding a time out needs three times or more; there are {points.described()}"
        )
    counts = dict(zip(points.times, points.counts, strict=True))
    interior = points.times[1:-1]
    usable = [time for time in interior if counts[time] >= _FEWEST]
    if wanted is None and usable:
        if few := [f"{time:g}" for time in interior if time not in usable]:
            tell(f"times with fewer than {_FEWEST} cells are not held out: {listed(few)}")
        return usable
    found = [points.find(time) for time in (interior if wanted is None else wanted)]
    for time in found:
        if time not in interior:
            raise InputError(
                f"time {time:g} has no neighbours on both sides; times that can be held out: "
                f"{listed(f'{t:g}' for t in interior)}"
            )
        if time not in usable:
            raise InputError(f"time {time:g} has fewer than {_FEWEST} cells, too few to score")
    return sorted(set(found))
