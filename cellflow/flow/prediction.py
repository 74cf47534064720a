"""Prediction of the cells of a time from those of its neighbouring time points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    times: Sequence[float],
    *,
    start: str,
    first: float | None = None,
    generator: torch.Generator,
    **solver_options: Any,
) -> list[Prediction]:
    """Move cells of the time point before, of both neighbours, or of the first one, to `times`.

    For both neighbours, the cells before are moved forward and the cells after backward, and the
    nearer side has more weight. Errors of the flow grow along a trajectory, so the nearer side is
    the better one, and the two err in opposite directions. Within a side, cells are weighted by the
    growth of their mass. If the cells of the method do not share one clock (`asynchrony`), each
    cell arrives as if it were ahead or behind: the log-odds of the share of the interval that has
    passed are those of the clock plus a normal number times `asynchrony`, one for each cell.

    Parameters
    ----------
    flow
        The fitted flow.
    cells_at
        Function from a time point to its cells.
    neighbours
        Time points before and after; both are the time to predict if it is a time point.
    times
        Elapsed times to predict, increasing. A cell passes all of them on one trajectory.
    start
        `previous`, `both` or `first`.
    first
        The first time point, for `first`: its cells are moved through all that follow.
    generator
        Source of the offsets from the clock, on the CPU.
    **solver_options
        Options of `Flow.trajectory`.

    Returns
    -------
    The predicted cells of each of the times.
    """
    before, after = neighbours
    low, high = (flow.axis.to_flow(t) for t in neighbours)
    here = [flow.axis.to_flow(t) for t in times]
    # Rounding may put a time at the time point after it, where log-odds are infinite.
    passed = np.array([min((t - low) / (high - low), 1 - 1e-9) if low < t else 0.0 for t in here])
    alone = first if start == "first" else before
    if alone is None:
        raise ValueError("start 'first' needs the first time point")
    both = start == "both" and bool((passed > 0).all())
    shares = {before: 1 - passed, after: passed} if both else {alone: np.ones(len(times))}
    asynchrony = flow.method.asynchrony if (passed > 0).all() else 0.0
    points, weights, start_times = [], [], []
    for origin, share in shares.items():
        cells = cells_at(origin)
        step = -1 if origin > times[0] else 1
        time_offset = None
        if asynchrony:
            noise = asynchrony * torch.randn(len(cells), generator=generator)
            clock = torch.as_tensor(passed[::step].copy())[:, None]
            time_offset = (torch.sigmoid(torch.logit(clock) + noise) - clock) * (high - low)
        moved = flow.trajectory(
            cells.x,
            [origin, *times[::step]],
            condition=cells.condition,
            time_offset=time_offset,
            **solver_options,
        )
        points.append(moved.x[1:].cpu().numpy()[::step])
        mass = moved.log_mass[1:].double().softmax(dim=1).cpu().numpy()[::step]
        weights.append(share[:, None] * mass)
        start_times.append(np.full(len(cells), origin))
    return [
        Prediction(
            np.concatenate([each[k] for each in points]),
            np.concatenate([each[k] for each in weights]),
            np.concatenate(start_times),
        )
        for k in range(len(times))
    ]
