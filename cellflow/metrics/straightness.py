"""Path energy and straightness of trajectories."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from cellflow._errors import InputError
from cellflow._typing import Paths
from cellflow.metrics.cloud import Cloud
from cellflow.metrics.distances import wasserstein

Times = Float[Tensor, " times"]


def path_energy(trajectory: Paths, times: Times) -> float:
    """Compute the integral over time of E|v|^2, in squared units of the points per time.

    The estimate is sum_k E|x_(k+1) - x_k|^2 / (t_(k+1) - t_k), the energy of the polygons through
    the given points: a lower bound that converges as times are added.

    Parameters
    ----------
    trajectory
        Points at each time, shape (t, n, d); row i is one trajectory.
    times
        Times, shape (t,), at least two, increasing or decreasing.
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
    """Compute the normalised path energy |T E - W2^2| / W2^2 (NPE; Tong et al. 2024).

    E is the path energy over a time T. NPE is 0 if and only if mass moves along straight lines of
    the optimal plan, at constant speed (Benamou and Brenier 2000).

    Parameters
    ----------
    trajectory, times
        As in `path_energy`.
    square_distance
        Squared Wasserstein-2 distance of the populations that the flow transports; None computes
        it between the first and last points of the trajectory.
    """
    energy = path_energy(trajectory, times) * _span(times)
    if square_distance is None:
        ends = (Cloud.of(trajectory[k].detach().cpu().numpy()) for k in (0, -1))
        square_distance = wasserstein(*ends, power=2) ** 2
    if not square_distance > 0:
        raise InputError(
            f"the squared distance must be positive, got {square_distance}: the first and last "
            "points coincide"
        )
    return abs(energy - square_distance) / square_distance


def straightness(trajectory: Paths, times: Times) -> float:
    """Compute the integral over time of E|(x_1 - x_0) / T - v|^2: 0 at constant velocity.

    It equals the path energy minus E|x_1 - x_0|^2 / T (Liu, Gong and Liu 2022, equation 4, with
    T = 1).
    """
    ends = (trajectory[-1] - trajectory[0]).detach().double()
    least = float(ends.square().sum(dim=1).mean()) / _span(times)
    return max(path_energy(trajectory, times) - least, 0.0)


def _span(times: Times) -> float:
    return float((times[-1] - times[0]).abs())
