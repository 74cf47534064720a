"""Cells of the neighbouring times, carried to a time between them."""

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
class Carried:
    """Predicted cells.

    Attributes
    ----------
    points
        Where they are, shape (n, d).
    weights
        How much each counts, shape (n,), summing to one.
    starts
        The time that each was carried from, shape (n,).
    """

    points: np.ndarray
    weights: np.ndarray
    starts: np.ndarray


def carry(
    flow: Flow,
    cells_at: Callable[[float], Batch],
    neighbours: tuple[float, float],
    time: float,
    *,
    start: str,
    generator: torch.Generator,
    **options: Any,
) -> Carried:
    """Carry cells to `time`: of the time before, or of both neighbours.

    From both, the cells before are carried forward and those after backward, and each side
    weighs as much as it is near. Errors of the flow grow on the way, so the nearer side is the
    better one, and the two err to opposite sides. Inside a side cells weigh as much as their
    mass grows on the way. Where the method has cells that do not share one clock, each arrives as
    if it were ahead or behind: the log-odds of the share of the interval that has passed are those
    of the clock plus a normal number times `asynchrony`.

    Parameters
    ----------
    flow
        The fitted flow.
    cells_at
        Gives the cells of a time.
    neighbours
        The times before and after; equal to `time` where cells were taken then.
    start
        `previous` or `both`.
    generator
        Draws how far cells are ahead of the clock, on the CPU.
    options
        Of `Flow.trajectory`.
    """
    before, after = neighbours
    here, low, high = (flow.axis.to_flow(t) for t in (time, before, after))
    # Up to rounding a time may be that after, where log-odds have no number.
    passed = min((here - low) / (high - low), 1 - 1e-9) if low < here else 0.0
    both = start == "both" and passed > 0
    shares = {before: 1 - passed, after: passed} if both else {before: 1.0}
    asynchrony = flow.method.asynchrony if passed else 0.0
    points, weights, starts = [], [], []
    for origin, share in shares.items():
        cells = cells_at(origin)
        time_offset = None
        if asynchrony:
            ahead = asynchrony * torch.randn(len(cells), generator=generator)
            share_ahead = torch.sigmoid(math.log(passed / (1 - passed)) + ahead) - passed
            time_offset = share_ahead * (high - low)
        moved = flow.trajectory(
            cells.x, [origin, time], condition=cells.condition, time_offset=time_offset, **options
        )
        points.append(moved.end.cpu().numpy())
        weights.append(share * moved.log_mass[-1].double().softmax(dim=0).cpu().numpy())
        starts.append(np.full(len(cells), origin))
    return Carried(*(np.concatenate(parts) for parts in (points, weights, starts)))
