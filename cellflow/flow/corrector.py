"""Guidance by two velocities from one noise, and the corrector: trajectories drawn by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._errors import InputError
from cellflow._typing import Points, Rows, VelocityField
from cellflow.couplings.tweedie import guidance_rate
from cellflow.integrate import Solution, solve, solve_augmented


@dataclass(frozen=True)
class Guided(Solution):
    """One trajectory of each group, drawn by weight.

    Attributes
    ----------
    x
        Positions of those that were drawn, shape (t, n, d).
    nfe
        Evaluations of velocities behind each of them: both velocities, all of its group.
    log_weights
        Of all trajectories at the last time, but for a constant a group, shape (n, r).
    """

    log_weights: Float[Tensor, "n r"]

    @property
    def effective(self) -> float:
        """Effective number of trajectories in a group, 1 / sum of squared shares; the mean."""
        shares = self.log_weights.double().softmax(dim=1)
        return float((1 / shares.square().sum(dim=1)).mean())


@torch.no_grad()
def guide(
    velocity: VelocityField,
    weak: VelocityField,
    starts: Float[Tensor, "n r d"],
    marks: Rows,
    times: Sequence[float],
    *,
    gamma: float,
    softening: float = 0.01,
    **options: Any,
) -> Guided:
    """Carry noise along gamma v1 + (1 - gamma) v2, and keep one of each r trajectories.

    With r = 1 that is guidance as it is common, and what it samples has no simple law. With more,
    log-weights grow on the way at `guidance_rate` and one of each group is drawn by them, which
    leads to rho1^gamma rho2^(1 - gamma), scaled to a density, as r grows (Mousavi-Hosseini et al.
    2025, arXiv 2509.25519, proposition 4): exactly so for straight paths between noise and data
    drawn apart, or coupled by semidiscrete transport without entropy.

    The rate has a factor t / (1 - t). Exact velocities agree at time 1, so that it falls to zero
    there as 1 - t does. Those of nets do not quite agree, and their weights would grow without
    bound, so 1 / (1 - t) is softened.

    Parameters
    ----------
    velocity, weak
        v1 and v2, from standard normal noise at time 0.
    starts
        Noise, r starts for each wanted point, shape (n, r, d).
    marks
        Uniform draws from [0, 1) that decide which of a group is kept, shape (n,).
    times
        Flow times from 0; one position is kept for each. Weights are those at the last.
    gamma
        Strength; 1 follows v1 alone, over 1 leads away from v2.
    softening
        s: 1 / (1 - t) becomes (1 - t) / ((1 - t)^2 + s^2), which is hardly another before time
        1 - s and falls to zero after it. Log-weights of exact velocities change in proportion to
        s^2 log(1 / s).
    options
        Of `cellflow.integrate.solve`.

    Returns
    -------
    The trajectories that were kept, and the weights of all.

    Raises
    ------
    InputError
        For more than one trajectory with solver `edm-heun`, which carries no weights.
    """
    n, r, _ = starts.shape
    field = partial(_guided, velocity, weak, gamma, softening)
    if r == 1:
        solution = solve(lambda t, x: field(t, x)[0], starts[:, 0], times, **options)
        return Guided(solution.x, 2 * solution.nfe, starts.new_zeros((n, 1)))
    if options.get("solver") == "edm-heun":
        raise InputError(
            "solver 'edm-heun' carries no weights, which draw one of several trajectories; take "
            "another, such as 'midpoint', or one trajectory"
        )
    solution, gained = solve_augmented(field, starts.flatten(0, 1), times, **options)
    log_weights = gained[-1].reshape(n, r)
    rows = torch.arange(n, device=starts.device) * r + _drawn(log_weights, marks)
    return Guided(solution.x[:, rows], 2 * r * solution.nfe, log_weights)


def _guided(
    velocity: VelocityField,
    weak: VelocityField,
    gamma: float,
    softening: float,
    t: Rows,
    x: Points,
) -> tuple[Points, Rows]:
    """Velocity of the trajectories and rate of their log-weights."""
    first, second = velocity(t, x), weak(t, x)
    rate = guidance_rate(t, first, second, gamma, softening=softening)
    return gamma * first + (1 - gamma) * second, rate


def _drawn(log_weights: Float[Tensor, "n r"], marks: Rows) -> Tensor:
    """Index into each row, drawn by its weights."""
    sums = log_weights.double().softmax(dim=1).cumsum(dim=1)
    # By rounding the sum of a row may be below its mark.
    index = torch.searchsorted(sums, marks.to(sums)[:, None], right=True)[:, 0]
    return index.clamp(max=log_weights.shape[1] - 1)
