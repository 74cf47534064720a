"""The sampler of EDM: Heun steps between falling levels of noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._typing import Points, Rows, VelocityField
from cellflow.integrate.solution import Solution


@runtime_checkable
class Guide(Protocol):
    """What has a say in the steps of the sampler; levels of noise may differ from row to row."""

    def add_noise(self, step: int, n_steps: int, sigma: Rows, x: Points) -> tuple[Rows, Points]:
        """Levels and points that step number `step`, from 0, begins with, for those it finds."""
        ...

    def slope_correction(self, step: int, order: int, sigma: Rows, x: Points) -> Points:
        """What is added to dx / dsigma: of order 1 where a step begins, of order 2 at its end."""
        ...


def noise_levels(
    n_steps: int, rho: float = 7.0, sigma_min: float = 0.002, sigma_max: float = 80.0
) -> Tensor:
    """Levels of noise from `sigma_max` down to `sigma_min`, then 0, float64, shape (n_steps + 1,).

    Evenly spaced as powers 1 / rho (Karras et al. 2022, arXiv 2206.00364, equation 5); the ratio of
    neighbours becomes constant as rho grows.

    Raises
    ------
    InputError
        For numbers that make no falling levels.
    """
    for name, value in (("n_steps", n_steps), ("rho", rho), ("sigma_min", sigma_min)):
        check_positive(value, name)
    if not sigma_max > sigma_min:
        raise InputError(f"sigma_max must be above sigma_min, got {sigma_max} and {sigma_min}")
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    share = torch.arange(n_steps, dtype=torch.float64) / max(n_steps - 1, 1)
    levels = (first + share * (last - first)) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def check_unit_interval(times: Sequence[float]) -> None:
    """Refuse flow times other than 0 and 1, between which the sampler knows none.

    Raises
    ------
    InputError
        With the times.
    """
    if list(times) != [0, 1]:
        raise InputError(
            f"solver 'edm-heun' goes from noise at time 0 to time 1 in one go, not through "
            f"{list(times)}; take another, such as 'dopri5'"
        )


@torch.no_grad()
def heun(
    velocity: VelocityField,
    noise: Points,
    *,
    n_steps: int = 18,
    rho: float = 7.0,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    guide: Guide | None = None,
) -> Solution:
    """Carry standard normal noise to data along a velocity on straight paths.

    The deterministic sampler of EDM (Karras et al. 2022, arXiv 2206.00364, algorithm 1). With
    t = 1 / (1 + sigma) the point x of noise level sigma lies at t x on the path, and its slope
    dx / dsigma = (x - D) / sigma is t (x - v). States are float64; the velocity is asked in the
    precision of the noise.

    Parameters
    ----------
    velocity
        The field v(t, x), t from 0 (noise) to 1 (data).
    noise
        Standard normal, shape (n, d).
    n_steps
        Levels of noise before 0; published are 18 with rho 7, 14 with 90 and 15 with 72.
    rho
        How much denser levels lie at little noise.
    sigma_min, sigma_max
        The least and the largest level.
    guide
        May add noise before a step and changes both slopes of it; None leaves the way alone.

    Returns
    -------
    Noise and data, and 2 n_steps - 1 evaluations of the velocity.
    """
    levels = noise_levels(n_steps, rho, sigma_min, sigma_max).tolist()

    def slope(step: int, order: int, sigma: Tensor, x: Points) -> Points:
        t = 1 / (1 + sigma)
        times = t[:, 0].to(noise.dtype)
        plain = t * (x - velocity(times, (t * x).to(noise.dtype)).double())
        return (
            plain if guide is None else plain + guide.slope_correction(step, order, sigma[:, 0], x)
        )

    x = sigma_max * noise.double()
    for step, (level, there) in enumerate(pairwise(levels)):
        here = x.new_full((len(x), 1), level)
        if guide is not None:
            rows, x = guide.add_noise(step, n_steps, here[:, 0], x)
            here = rows[:, None]
        first = slope(step, 1, here, x)
        ahead = x + (there - here) * first
        if there:
            second = slope(step, 2, torch.full_like(here, there), ahead)
            ahead = x + (there - here) * (first + second) / 2
        x = ahead
    return Solution(torch.stack([noise, x.to(noise.dtype)]), 2 * n_steps - 1)
