"""A time course as a flow sees it: each cell at its own time, and the population of any time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

from cellflow._batch import Batch
from cellflow._keys import REPRESENTATION
from cellflow._random import torch_generator
from cellflow.flow import Flow
from cellflow.flow.carry import Carried, carry
from cellflow.integrate import jacobian
from cellflow.io import TimePoints, flow_times_of, shared_times
from cellflow.representation import cells_of
from cellflow.tl._provenance import made_by

#: Cells whose Jacobians are in memory at a time.
_CHUNK = 1024

#: Steps of the fourth order to a time inside an interval. On the embedded data four are off by
#: 0.1 % of the spread of the cells at most.
_STEPS = 4

#: Steps of the fourth order from a time to any other.
_FAR_STEPS = 40


def representation_key(flow: Flow) -> str:
    """The `obsm` key that a flow was fitted in."""
    return str(flow.settings.get("use_rep") or REPRESENTATION)


@dataclass(frozen=True)
class Snapshots:
    """Cells with their times, and a flow.

    Attributes
    ----------
    flow
        The flow.
    points
        When each cell was taken.
    cells
        Their points in the representation of the flow, with covariates, on its device.
    time_key
        Column of `obs` that the times were read from; None where only usual names were tried.
    """

    flow: Flow
    points: TimePoints
    cells: Batch
    time_key: str | None

    @classmethod
    def of(cls, adata: AnnData, flow: Flow, time_key: str | None) -> Snapshots:
        """The cells of an AnnData; None takes the time column that the flow was fitted to."""
        points = flow_times_of(adata, flow, time_key)
        cells = cells_of(adata, flow.context).to(flow.device)
        return cls(flow, points, cells, time_key or flow.time_key)

    def __getitem__(self, rows: np.ndarray) -> Snapshots:
        """Some of the cells."""
        points = replace(self.points, elapsed=self.points.elapsed[rows])
        return replace(self, points=points, cells=self.cells[torch.as_tensor(rows)])

    def source(self, seed: int | None = None) -> dict[str, Any]:
        """What records say of what is told of the cells, `seed` of what was drawn for it."""
        return {
            **made_by(self.flow, seed),
            "time_key": self.time_key,
            "unit": self.points.unit,
        }

    @cached_property
    def moments(self) -> Tensor:
        """Flow time of each cell, shape (n,)."""
        return self._per_cell({time: self.flow.axis.to_flow(time) for time in self._times})

    @cached_property
    def pace(self) -> Tensor:
        """Flow time that passes per unit of elapsed time at each cell's time, shape (n,)."""
        return self._per_cell({time: self.flow.axis.clock_rate(time) for time in self._times})

    @torch.no_grad()
    def velocity(self) -> np.ndarray:
        """Velocity of each cell per unit of elapsed time, shape (n, d), float64."""
        flow, cells = self.flow, self.cells
        moved = flow.velocity(self.moments, cells.x, cells.condition) * self.pace[:, None]
        return moved.double().cpu().numpy()

    @torch.no_grad()
    def growth(self) -> np.ndarray:
        """Growth rate of each cell per unit of elapsed time, shape (n,), float64."""
        cells = self.cells
        rate = self.flow.nets.growth(self.moments, cells.x, cells.condition) * self.pace
        return rate.double().cpu().numpy()

    def jacobians(self, weights: np.ndarray) -> np.ndarray:
        """Sums of the cells' Jacobians of the velocity, by weights (n, k): shape (k, d, d)."""
        dims = self.flow.dim
        total = np.zeros((weights.shape[1], dims, dims))
        for start in range(0, len(self.cells), _CHUNK):
            part = slice(start, start + _CHUNK)
            given = self.cells.condition

            def velocity(t: Tensor, x: Tensor, condition: Tensor | None = given) -> Tensor:
                here = None if condition is None else condition[part]  # noqa: B023
                return self.flow.velocity(t, x, here)

            slopes = jacobian(velocity, self.moments[part], self.cells.x[part])
            slopes = slopes * self.pace[part, None, None]
            total += np.einsum("nk,nij->kij", weights[part], slopes.double().cpu().numpy())
        return total

    def at(self, time: float, *, start: str = "both", seed: int = 0) -> tuple[Carried, np.ndarray]:
        """The population of a time as `tl.interpolate` predicts it, and the cell each comes from.

        One seed gives each cell the same lead over the clock at every time.
        """
        neighbours = self.points.around(time, self.flow.axis.times)
        elapsed = self.points.elapsed

        def cells_at(time: float) -> Batch:
            return self.cells[torch.as_tensor(np.flatnonzero(elapsed == time))]

        carried = carry(
            self.flow,
            cells_at,
            neighbours,
            time,
            start=start,
            generator=torch_generator(seed),
            **self.way(_STEPS),
        )
        rows = [np.flatnonzero(elapsed == origin) for origin in dict.fromkeys(carried.starts)]
        return carried, np.concatenate(rows)

    def pushed(self, time: float) -> np.ndarray:
        """Where the flow carries each cell from its own time to another, shape (n, d), float64."""
        moved = torch.empty_like(self.cells.x)
        for own in self._times:
            rows = torch.as_tensor(np.flatnonzero(self.points.elapsed == own))
            cells = self.cells[rows]
            moved[rows] = self.flow.push(
                cells.x, float(own), time, condition=cells.condition, **self.way(_FAR_STEPS)
            )
        return moved.double().cpu().numpy()

    def way(self, n_steps: int) -> dict[str, Any]:
        """Options of `Flow.push` for so many steps; a mean flow needs none."""
        return {} if self.flow.is_mean_flow else {"n_steps": n_steps}

    @property
    def known_times(self) -> tuple[float, ...]:
        """Times that have cells and that the flow was fitted to."""
        return shared_times(self.points, self.flow)

    @property
    def _times(self) -> np.ndarray:
        return np.unique(self.points.elapsed)

    def _per_cell(self, values: dict[float, float]) -> Tensor:
        found = np.array([values[time] for time in self._times])
        each = found[np.searchsorted(self._times, self.points.elapsed)]
        return torch.as_tensor(each).to(self.cells.x)
