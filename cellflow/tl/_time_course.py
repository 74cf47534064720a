"""Cells, the times they were taken at, and the flow through them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from cellflow._batch import Batch
from cellflow._checks import format_list, format_number
from cellflow._errors import CellflowWarning, InputError
from cellflow._keys import REPRESENTATION
from cellflow._log import log_info, progress_bar
from cellflow._typing import Condition, Points, Rows
from cellflow._versions import versions
from cellflow.flow import Flow, check_flow, describe_misfit
from cellflow.flow.reach import describe_outside, lengths_outside
from cellflow.integrate import check_solution
from cellflow.io import (
    Cells,
    SideColumns,
    TimePoints,
    conditions_of,
    describe_cells,
    select_cells,
    shared_times,
    time_points_for_flow,
)
from cellflow.representation import Representation, cells_of, from_context, stored_points
from cellflow.representation.expression import gene_table

#: Cells at which a field is evaluated at a time: activations of the net fit into a core's cache.
_CHUNK = 1_024

#: A field of a flow: values, shape (n,) or (n, d), at flow times, points and covariates.
Field = Callable[[Rows, Points, Condition | None], Tensor]


@dataclass(frozen=True)
class TimeCourse:
    """Cells of several time points, and a flow fitted to such cells.

    What depends on the points of all cells is computed when it is first needed.

    Attributes
    ----------
    adata
        The cells.
    flow
        The fitted flow.
    representation
        Map between cells and the points that the flow moves.
    time_points
        Time of each cell, in the unit of the flow.
    time_key
        Column of `obs` with the times; None if it was found by a usual name.
    """

    adata: AnnData
    flow: Flow
    representation: Representation
    time_points: TimePoints
    time_key: str | None

    @classmethod
    def read(cls, adata: AnnData, flow: Flow, time_key: str | None) -> TimeCourse:
        """Read the times of all cells; `time_key` None uses the column the flow was fitted to.

        Raises
        ------
        InputError
            If the flow was not fitted to cells, or times are missing or cannot be read.
        """
        check_flow(flow)
        # Read first: a flow of images has no times of cells that a message could name.
        representation = from_context(flow.context)
        points = time_points_for_flow(adata, flow, time_key)
        return cls(adata, flow, representation, points, time_key or flow.time_key)

    @property
    def elapsed(self) -> np.ndarray:
        """Elapsed time of each cell, shape (n,), float64."""
        return self.time_points.elapsed

    @cached_property
    def times(self) -> tuple[float, ...]:
        """Times that have cells and that the flow was fitted to, increasing."""
        return shared_times(self.time_points, self.flow)

    @cached_property
    def gene_table(self) -> pd.DataFrame:
        """Annotation of the genes of `X`, or of the layer that the representation was made of."""
        try:
            return gene_table(self.adata, self.representation.layer)
        except InputError:  # these cells have their points only
            return self.adata.var

    @cached_property
    def cells(self) -> Batch:
        """Points and covariates of all cells, on the device of the flow."""
        return self._read(None)

    @cached_property
    def labels(self) -> np.ndarray:
        """Number of each cell's label, within which the flow was fitted, shape (n,).

        Labels are values of `label_key`, of categories, and of numeric conditions that are coupled
        within their values; all are 0 without them.
        """
        columns = SideColumns(self.flow.inputs.label_key)
        labels = columns.labels(self.adata.obs, conditions_of(self.flow))
        return np.zeros(self.adata.n_obs, dtype=np.int64) if labels is None else labels.numpy()

    @property
    def label_columns(self) -> str:
        """Name the columns that labels are made of, for messages."""
        columns = SideColumns(self.flow.inputs.label_key)
        keys = columns.label_keys(conditions_of(self.flow))
        return " and ".join(f"obs[{key!r}]" for key in keys)

    @cached_property
    def flow_times(self) -> Tensor:
        """Flow time of each cell, shape (n,)."""
        return self._per_cell([self.flow.axis.to_flow(time) for time in self.time_points.times])

    @cached_property
    def clock_rate(self) -> Tensor:
        """Flow time that passes per unit of elapsed time, at the time of each cell, shape (n,)."""
        return self._per_cell([self.flow.axis.clock_rate(time) for time in self.time_points.times])

    def find_time(self, time: float | str | None) -> float:
        """Return one of `times` by number or label; the last for None.

        Raises
        ------
        InputError
            If no cells were taken then, or the flow was not fitted to them.
        """
        if time is None:
            return self.times[-1]
        found = self.time_points.find(time)
        if found not in self.times:
            raise InputError(
                f"the flow was not fitted to time {format_number(found)}; its times: "
                f"{format_list(map(format_number, self.times))}"
            )
        return found

    def rows_at(self, time: float, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the rows of the cells of a time, shape (k,), optionally within a mask."""
        there = self.elapsed == time
        return np.flatnonzero(there if mask is None else there & mask)

    def read_cells(self, rows: np.ndarray) -> Batch:
        """Return points and covariates of some cells, on the device of the flow."""
        return self._read(rows)

    def append_conditions(self, points: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Append the numeric conditions that couplings keep by distance to points of some cells.

        `points` has shape (k, d), for `rows`, or all cells if None; squared distances of the result
        are those that costs are made of.
        """
        obs = self.adata.obs if rows is None else self.adata.obs.iloc[rows]
        beside = conditions_of(self.flow).cost_features(obs)
        return (
            points if beside is None else np.hstack([points, beside.numpy().astype(points.dtype)])
        )

    def label_blocks(
        self, rows: np.ndarray, others: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return, for each label present in `rows` and `others`, its positions in both."""
        before, after = self.labels[rows], self.labels[others]
        return [
            (np.flatnonzero(before == label), np.flatnonzero(after == label))
            for label in np.intersect1d(before, after)
        ]

    def select(self, cells: Cells, usable: np.ndarray, where: str) -> np.ndarray:
        """Return a mask of the selected cells that are usable, and report how many are not.

        Parameters
        ----------
        cells
            The selection, as in `select_cells`.
        usable
            Mask of the cells that can be used, shape (n,).
        where
            Description of the usable cells, for messages: `at or before time 6`.

        Raises
        ------
        InputError
            If none of the selected cells is usable.
        """
        selected = select_cells(self.adata, cells)
        mask = selected & usable
        n_left_out = int(selected.sum() - mask.sum())
        if not mask.any():
            raise InputError(
                f"none of the {n_left_out} cells chosen ({describe_cells(cells)}) is {where}; "
                f"times in the data: {self.time_points.describe()}"
            )
        if n_left_out and cells is not None:
            log_info(
                f"{n_left_out} of {int(selected.sum())} chosen cells are not {where} "
                "and are not used"
            )
        return mask

    def extend_flow(self, times: Iterable[float], *, extrapolate: bool) -> tuple[Flow, bool]:
        """Return the flow, extrapolated if some elapsed times are outside it, and whether it is.

        Raises
        ------
        InputError
            If a time is outside the flow and `extrapolate` is off.
        """
        low, high = self.flow.axis.times[0], self.flow.axis.times[-1]
        outside = sorted({time for time in times if not low <= time <= high})
        if not outside:
            return self.flow, False
        farthest = max(outside, key=lambda time: lengths_outside(self.flow.axis, time))
        fact = (
            f"time {format_number(farthest)} is outside the times of the flow, "
            f"{format_number(low)} to {format_number(high)}: "
            f"{describe_outside(self.flow.axis, farthest)}"
        )
        if not extrapolate:
            raise InputError(
                f"{fact}; extrapolate=True (--extrapolate) uses the velocity at the nearest of its "
                "times; no cells were measured there"
            )
        warnings.warn(
            f"{fact}; the velocity at the nearest of them is used, which no data supports",
            CellflowWarning,
            stacklevel=3,
        )
        return self.flow.extrapolate(), True

    def log_distances(self, points: np.ndarray) -> None:
        """Report how far from the data points are that a flow was extrapolated to.

        Flows whose nets do not standardise points do not know centre and spread of the data.
        """
        if not self.flow.recipe.standardise:
            return
        centre, scale = self.flow.nets.units
        away = points - centre.cpu().numpy()
        distances = np.linalg.norm(away, axis=1) / (scale * points.shape[1] ** 0.5)
        log_info(
            f"predicted cells are {np.median(distances):.3g} times as far from the centre of the "
            f"data as measured ones (median; the farthest {distances.max():.3g} times)"
        )

    def velocity(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the velocity of cells at their own times, all for None, shape (k, d), float32.

        It is per unit of elapsed time.
        """
        return self.evaluate(self.flow.velocity, rows, "velocities")

    @torch.no_grad()
    def evaluate(self, field: Field, rows: np.ndarray | None, what: str) -> np.ndarray:
        """Return a field of the flow at cells and their times, per unit of elapsed time, float32.

        Raises
        ------
        DivergenceError
            If values are not finite.
        """
        chosen = torch.arange(self.adata.n_obs) if rows is None else torch.as_tensor(rows)
        found = np.empty(0, dtype=np.float32)
        with progress_bar(len(chosen), what, "cell") as bar:
            for start in range(0, len(chosen), _CHUNK):
                chunk = chosen[start : start + _CHUNK]
                cells = self.cells[chunk]
                values = field(self.flow_times[chunk], cells.x, cells.condition)
                check_solution(values[None], what)
                if start == 0:
                    found = np.empty((len(chosen), *values.shape[1:]), dtype=np.float32)
                rate = self.clock_rate[chunk].reshape(-1, *[1] * (values.ndim - 1))
                found[start : start + len(chunk)] = (values * rate).cpu().numpy()
                bar.update(len(chunk))
        return found

    def provenance(self, seed: int | None = None) -> dict[str, Any]:
        """Return the provenance of a result for `uns`: flow, data, seed, time column, versions."""
        course = self.flow.context.settings.get("course")
        return {
            "flow_id": self.flow.fingerprint,
            "data": self.flow.inputs.data,
            "seed": seed,
            "device": str(self.flow.device),
            "versions": versions(),
            "time_key": self.time_key,
            "unit": self.time_points.unit,
            "misfit": describe_misfit(self.flow.record, self.flow.recipe),
            "course": course
            and {
                **course,
                "labels": np.array(course["labels"], dtype=object),
                "times": np.array(course["times"]),
            },
        }

    @cached_property
    def _stored(self) -> np.ndarray | None:
        """Points of all cells, if they are in `obsm`: rows on disk cost as much as the matrix."""
        found = stored_points(self.adata, self.representation)
        if found is None:
            reason = (
                f"obsm[{REPRESENTATION!r}] has another one, since pp.embed ran after tl.fit"
                if REPRESENTATION in self.adata.obsm
                else "pp.embed (cellflow embed) before the fit stores them"
            )
            log_info(
                "obsm has no points of the representation that the flow was fitted in, so they are "
                f"computed from expression, which takes longer; {reason}"
            )
        return found

    def _read(self, rows: np.ndarray | None) -> Batch:
        cells = cells_of(self.adata, self.flow.context, rows, self._stored)
        return cells.to(self.flow.device)

    def _per_cell(self, values: list[float]) -> Tensor:
        """Expand one value per distinct time to one value per cell."""
        places = np.searchsorted(self.time_points.times, self.elapsed)
        return torch.as_tensor(np.array(values)[places]).to(self.cells.x)
