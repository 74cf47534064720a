"""A time course as a flow sees it: what verbs that follow cells start from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import format_list
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import log_info
from cellflow.flow import Flow
from cellflow.io import (
    Cells,
    TimePoints,
    described,
    flow_times_of,
    select_cells,
    shared_times,
)
from cellflow.representation import Representation, cells_of, from_context
from cellflow.tl._labels import labels_of


@dataclass(frozen=True)
class Course:
    """Cells, when they were taken, and the flow through them.

    Attributes
    ----------
    adata, flow, points
        The cells, the flow, and the times of the cells.
    """

    adata: AnnData
    flow: Flow
    points: TimePoints

    @classmethod
    def of(cls, adata: AnnData, flow: Flow, time_key: str | None) -> Course:
        """Read the times from the given column, or from the one that the flow was fitted to."""
        return cls(adata, flow, flow_times_of(adata, flow, time_key))

    @cached_property
    def representation(self) -> Representation:
        """What the flow moves points in."""
        return from_context(self.flow.context)

    @cached_property
    def labels(self) -> np.ndarray:
        """Number of each cell's label, within which the flow was fitted, shape (n,)."""
        return labels_of(self.adata, self.flow)

    @cached_property
    def times(self) -> tuple[float, ...]:
        """Times that have cells and belong to the flow."""
        return shared_times(self.points, self.flow)

    def find(self, time: float | str | None) -> float:
        """One of `times`; the last for None."""
        if time is None:
            return self.times[-1]
        found = self.points.find(time)
        if found not in self.times:
            raise InputError(
                f"the flow was not fitted to time {found:g}; its times: "
                f"{format_list(f'{each:g}' for each in self.times)}"
            )
        return found

    def rows(self, time: float, among: np.ndarray | None = None) -> np.ndarray:
        """Rows of the cells of a time, of those only that a mask has, shape (k,)."""
        there = self.points.elapsed == time
        return np.flatnonzero(there if among is None else there & among)

    def batch(self, rows: np.ndarray) -> Batch:
        """These cells as the flow sees them."""
        return cells_of(self.adata, self.flow.context, rows)

    def chosen(self, cells: Cells, usable: np.ndarray, side: str) -> np.ndarray:
        """Mask of the chosen cells that are usable; how many others there were is told.

        Parameters
        ----------
        cells
            The choice, as of `select_cells`.
        usable
            Mask of the cells that can be used, shape (n,).
        side
            Where these are, for messages: `at or before time 6`.

        Raises
        ------
        InputError
            If none is left.
        """
        asked = select_cells(self.adata, cells)
        kept = asked & usable
        left_out = int(asked.sum() - kept.sum())
        if not kept.any():
            raise InputError(
                f"none of the {left_out} cells chosen ({described(cells)}) is {side}; "
                f"times in the data: {self.points.described()}"
            )
        if left_out and cells is not None:
            log_info(
                f"{left_out} of {int(asked.sum())} chosen cells are not {side} and are left aside"
            )
        return kept

    def reaching(self, moments: Iterable[float], *, extrapolate: bool) -> tuple[Flow, bool]:
        """The flow, able to go to these times, and whether that is beyond its own.

        Raises
        ------
        InputError
            If it is, and that was not asked for.
        """
        low, high = self.flow.axis.times[0], self.flow.axis.times[-1]
        outside = sorted({moment for moment in moments if not low <= moment <= high})
        if not outside:
            return self.flow, False
        what = f"time {outside[-1]:g} is outside the times of the flow, {low:g} to {high:g}"
        if not extrapolate:
            raise InputError(
                f"{what}; nothing was measured there, extrapolate=True (--extrapolate) goes on "
                "as at the nearest of its times"
            )
        warnings.warn(
            f"{what}: cells go on as at the nearest of them, which no data supports",
            CellflowWarning,
            stacklevel=3,
        )
        return self.flow.extended(), True
