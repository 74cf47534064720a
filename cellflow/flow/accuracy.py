"""Choose the number of steps of a flow by its error on some of the points that it moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from cellflow._errors import DivergenceError
from cellflow.flow.trajectory import Trajectory
from cellflow.integrate import choose_rate, path_error


def rate_by_error(
    solver: str,
    times: Sequence[float],
    compare: Callable[[float], tuple[Trajectory, Trajectory]],
    spread: float | None,
) -> float:
    """Return the steps per unit of flow time with which a solver is as exact as it is to be.

    Errors are of positions in units of the spread of the data, and of logarithms of masses.

    Parameters
    ----------
    solver
        A key of `integrate.ERROR_CONTROL`.
    times
        Flow times of the solution.
    compare
        Moves some points with a rate of steps and with twice as many, along the same noise.
    spread
        Root mean square distance of the data from their centre; None takes that of the paths.
    """

    def error(rate: float) -> float:
        try:
            coarse, fine = compare(rate)
        except DivergenceError:  # the solution of all points says where and when
            return float("nan")
        unit = _spread_of(fine) if spread is None else spread
        return path_error(_in_units(coarse, unit), _in_units(fine, unit))

    return choose_rate(solver, [stop - start for start, stop in pairwise(times)], error)


def _spread_of(moved: Trajectory) -> float:
    away = moved.x - moved.x.mean(dim=(0, 1))
    return float(away.norm(dim=2).square().mean().sqrt()) or 1.0


def _in_units(moved: Trajectory, unit: float) -> Tensor:
    return torch.cat([moved.x / unit, moved.log_mass[:, :, None]], dim=2)
