"""One fold of held-out evaluation: its cells, in the space that its flow is fitted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.io import Conditions, SideColumns, TimePoints
from cellflow.marginals import TimeAxis
from cellflow.metrics import Cloud
from cellflow.representation import Settings, fit_representation

#: Seed of the splits and draws of scoring, the same for every method and every seed of a fit.
SCORING_SEED = 0

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
    cells, elapsed
        The kept cells, with points in the fold's representation, and their times.
    real
        Points of the held-out cells, shape (m, d).
    unit
        What a coordinate is divided by before scoring, shape (d,).
    space
        The representation in words.
    max_cells
        Cells a side that are scored at most, drawn with a fixed seed; None scores all.
    """

    time: float
    points: TimePoints
    cells: Batch
    elapsed: np.ndarray
    real: np.ndarray
    unit: np.ndarray
    space: str
    max_cells: int | None = None

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

    def at(self, time: float) -> Batch:
        """Cells of one kept time."""
        return self.cells[torch.as_tensor(np.flatnonzero(self.elapsed == time))]

    def cloud(self, points: np.ndarray, weights: np.ndarray | None = None) -> Cloud:
        """Points in the units of the score, no more than are to be scored."""
        cloud = Cloud.of(points / self.unit, weights)
        if self.max_cells is None or len(cloud) <= self.max_cells:
            return cloud
        return cloud.drawn(self.max_cells, np.random.default_rng(SCORING_SEED))

    def observed(self, time: float) -> Cloud:
        """The cells of one time in the units of the score."""
        points = self.real if time == self.time else self.at(time).x.double().numpy()
        return self.cloud(points)

    @property
    def doublings(self) -> float:
        """How often `max_cells` would have to be doubled to score all cells, on the larger side."""
        if self.max_cells is None:
            return 0.0
        carried = sum(int((self.elapsed == time).sum()) for time in (self.before, self.after))
        return max(0.0, float(np.log2(max(len(self.real), carried) / self.max_cells)))

    def fraction(self, axis: TimeAxis) -> float:
        """How far the held-out time is on the way between its neighbours, on a clock."""
        start, here, stop = (axis.to_flow(t) for t in (self.before, self.time, self.after))
        return (here - start) / (stop - start)


def make_fold(
    adata: AnnData,
    points: TimePoints,
    time: float,
    settings: Settings,
    known: SideColumns,
    *,
    condition_keys: Sequence[str] = (),
    fit_to_all: bool,
    max_cells: int | None = None,
) -> Fold:
    """Fit the representation to the kept cells, or to all, and apply it to all.

    With whitening, the score's unit is the spread of all cells in that representation, so that
    scores compare whichever cells the fit has seen. Of the held-out cells no more than their
    points is taken.
    """
    kept = points.elapsed != time
    seen = np.full(adata.n_obs, True) if fit_to_all else kept
    fitted = fit_representation(adata[seen], settings)
    space = fitted.transform(adata)
    unit = space.std(axis=0) if settings.whiten else np.ones(space.shape[1])
    conditions = Conditions.fit(adata.obs[kept], condition_keys)
    return Fold(
        time,
        points,
        known.batch(adata[kept], space[kept], conditions),
        points.elapsed[kept],
        space[~kept],
        np.where(unit > 0, unit, 1.0),
        fitted.describe(),
        max_cells,
    )


def interior_times(
    points: TimePoints, wanted: float | str | Sequence[float | str] | None
) -> list[float]:
    """The times to hold out, in order: those wanted, or every one with neighbours on both sides.

    Raises
    ------
    InputError
        For a time without cells, without a neighbour on each side, or with fewer than four cells;
        for no time at all.
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
            log_info(f"times with fewer than {_FEWEST} cells are not held out: {format_list(few)}")
        return usable
    found = list(interior) if wanted is None else points.find_all(wanted)
    for time in found:
        if time not in interior:
            raise InputError(
                f"time {time:g} has no neighbours on both sides; times that can be held out: "
                f"{format_list(f'{t:g}' for t in interior)}"
            )
        if time not in usable:
            raise InputError(f"time {time:g} has fewer than {_FEWEST} cells, too few to score")
    return sorted(set(found))
