"""Prediction of the cells of a time from those of its neighbouring time points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cellflow._batch import Batch
from cellflow.flow.flow import Flow


@dataclass(frozen=True)
class Prediction:
    """Predicted cells.

    Attributes
    ----------
    points
        Positions, shape (n, d).
    weights
        Share of the population that each cell stands for, shape (n,); they sum to one.
    start_times
        Elapsed time at which the path of each cell starts, shape (n,).
    """

    points: np.ndarray
    weights: np.ndarray
    start_times: np.ndarray


def predict_cells(
    flow: Flow,
    cells_at: Callable[[float], Batch],
    neighbours: tuple[float, float],
    time: float,
    *,
    start: str,
    first: float | None = None,
    generator: torch.Generator,
    **solver_options: Any,
) -> Prediction:
    """Move cells of the time point before, of both neighbours, or of the first one, to `time`.

    For both neighbours, the cells before are moved forward and the cells after backward, and the
    nearer side has more weight. Errors of the flow grow along a trajectory, so the nearer side is
    the better one, and the two err in opposite directions. Within a side, cells are weighted by the
    growth of their mass. If the cells of the method do not share one clock (`asynchrony`), each
    cell arrives as if it were ahead or behind: the log-odds of the share of the interval that has
    passed are those of the clock plus a normal number times `asynchrony`.

    Parameters
    ----------
    flow
        The fitted flow.
    cells_at
        Function from a time point to its cells.
    neighbours
        Time points before and after; both are `time` if it is a time point.
    time
        Elapsed time to predict.
    start
        `previous`, `both` or `first`.
    first
        The first time point, for `first`: its cells are moved through all that follow.
    generator
        Source of the offsets from the clock, on the CPU.
    **solver_options
        Options of `Flow.trajectory`.
    """
    before, after = neighbours
    here, low, high = (flow.axis.to_flow(t) for t in (time, before, after))
    # Rounding may put a time at the time point after it, where log-odds are infinite.
    passed = min((here - low) / (high - low), 1 - 1e-9) if low < here else 0.0
    alone = first if start == "first" else before
    if alone is None:
        raise ValueError("start 'first' needs the first time point")
    both = start == "both" and passed > 0
    shares = {before: 1 - passed, after: passed} if both else {alone: 1.0}
    asynchrony = flow.method.asynchrony if passed else 0.0
    points, weights, start_times = [], [], []
    for origin, share in shares.items():
        cells = cells_at(origin)
        time_offset = None
        if asynchrony:
            noise = asynchrony * torch.randn(len(cells), generator=generator)
            own_share = torch.sigmoid(math.log(passed / (1 - passed)) + noise)
            time_offset = (own_share - passed) * (high - low)
        moved = flow.trajectory(
            cells.x,
            [origin, time],
            condition=cells.condition,
            time_offset=time_offset,
            **solver_options,
        )
        points.append(moved.end.cpu().numpy())
        weights.append(share * moved.log_mass[-1].double().softmax(dim=0).cpu().numpy())
        start_times.append(np.full(len(cells), origin))
    return Prediction(*(np.concatenate(parts) for parts in (points, weights, start_times)))
