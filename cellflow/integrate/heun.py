"""The sampler of EDM: Heun steps between decreasing noise levels."""

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
    """Guidance of the sampler; noise levels may differ between rows."""

    def add_noise(self, step: int, n_steps: int, sigma: Rows, x: Points) -> tuple[Rows, Points]:
        """Return noise levels and points that step `step` (from 0) starts from."""
        ...

    def slope_correction(self, step: int, order: int, sigma: Rows, x: Points) -> Points:
        """Return a term added to dx / dsigma, at the start (`order` 1) or end (2) of a step."""
        ...


def noise_levels(
    n_steps: int, rho: float = 7.0, sigma_min: float = 0.002, sigma_max: float = 80.0
) -> Tensor:
    """Return noise levels from `sigma_max` to `sigma_min`, then 0, float64, shape (n_steps + 1,).

    sigma^(1 / rho) is evenly spaced (Karras et al. 2022, arXiv 2206.00364, equation 5). For
    large rho the ratio of consecutive levels is constant.

    Raises
    ------
    InputError
        If a number is not positive, or `sigma_max` is not above `sigma_min`.
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
    """Validate that the flow times of the sampler are 0 and 1.

    Raises
    ------
    InputError
        If they are not.
    """
    if list(times) != [0, 1]:
        raise InputError(
            f"solver 'edm-heun' integrates from flow time 0 to 1, without times between, got "
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
    """Integrate standard normal noise to data by the deterministic sampler of EDM.

    Karras et al. 2022, arXiv 2206.00364, algorithm 1, for a velocity on straight paths. With
    t = 1 / (1 + sigma), the point x at noise level sigma is t x on the path, and dx / dsigma =
    (x - D) / sigma = t (x - v). States are float64; the velocity is evaluated in the precision of
    the noise.

    Parameters
    ----------
    velocity
        Field v(t, x), t from 0 (noise) to 1 (data).
    noise
        Standard normal, shape (n, d).
    n_steps
        Number of noise levels above 0. Published: 18 with rho 7, 14 with 90, 15 with 72.
    rho
        Exponent of the noise levels; larger values give more levels at low noise.
    sigma_min, sigma_max
        Lowest and highest noise level.
    guide
        Adds noise before a step and corrects its slopes; None for no guidance.

    Returns
    -------
    Noise and data, with 2 n_steps - 1 evaluations of the velocity.
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
    return Solution.checked(torch.stack([noise, x.to(noise.dtype)]), 2 * n_steps - 1)
