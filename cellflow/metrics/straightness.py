"""How straight the trajectories of a flow are, and how little they move mass."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from cellflow._errors import InputError
from cellflow._typing import Paths
from cellflow.metrics.cloud import Cloud
from cellflow.metrics.distances import wasserstein

Times = Float[Tensor, " times"]


def path_energy(trajectory: Paths, times: Times) -> float:
    """Integral over time of E|v|^2 along trajectories, in squared units of the points per time.

    It is sum_k E|x_(k+1) - x_k|^2 / (t_(k+1) - t_k), the energy of the polygons through the
    given points: what the flow spends at least, and the better known the more times there are.

    Parameters
    ----------
    trajectory
        Points at each time, (t, n, d), rows staying rows.
    times
        Shape (t,), two or more, all increasing or all decreasing.
    """
    trajectory, times = trajectory.detach().double(), times.to(trajectory.device).double()
    steps = times.diff()
    if len(times) != len(trajectory) or not len(steps) or not (steps * steps[0] > 0).all():
        raise InputError(
            f"a trajectory of {len(trajectory)} time points needs as many increasing or decreasing "
            f"times, two or more, got {times.tolist()}"
        )
    squares = trajectory.diff(dim=0).square().sum(dim=2).mean(dim=1)
    return float((squares / steps.abs()).sum())


def normalized_path_energy(
    trajectory: Paths, times: Times, *, square_distance: float | None = None
) -> float:
    """Relative excess of the path energy over what optimal transport would spend.

    |T E - W2^2| / W2^2 for energy E over a time T: zero if and only if mass moves along straight
    lines of the optimal plan at constant speed (Benamou and Brenier 2000; NPE in Tong et al.
    2024).

    Parameters
    ----------
    trajectory, times
        As in `path_energy`.
    square_distance
        Squared Wasserstein-2 distance of the populations that the flow should carry into each
        other; None takes the exact one between the first and last points of the trajectory.
    """
    energy = path_energy(trajectory, times) * _span(times)
    if square_distance is None:
        ends = (Cloud.of(trajectory[k].detach().cpu().numpy()) for k in (0, -1))
        square_distance = wasserstein(*ends, power=2) ** 2
    if not square_distance > 0:
        raise InputError("the ends of the trajectory coincide, so that there is no distance")
    return abs(energy - square_distance) / square_distance


def straightness(trajectory: Paths, times: Times) -> float:
    """Integral over time of E|(x_1 - x_0) / T - v|^2, zero for straight lines at constant speed.

    It equals the path energy minus E|x_1 - x_0|^2 / T, and needs no optimal transport (Liu, Gong
    and Liu 2022, equation 4, where T is 1).
    """
    ends = (trajectory[-1] - trajectory[0]).detach().double()
    needed = float(ends.square().sum(dim=1).mean()) / _span(times)
    return max(path_energy(trajectory, times) - needed, 0.0)


def _span(times: Times) -> float:
    return float((times[-1] - times[0]).abs())
