"""Levels of noise of EDM as times of the variance-preserving process, and back."""

from __future__ import annotations

import torch

from cellflow._typing import Rows

#: Rates of the process at times 0 and 1 (Song et al. 2021, arXiv 2011.13456).
BETA_0, BETA_1 = 0.1, 20.0


def vp_time(sigma: Rows) -> Rows:
    """Time tau at which signal and noise are mixed as in y + `sigma` n.

    The root of tau beta_0 + tau^2 (beta_1 - beta_0) / 2 = ln(1 + sigma^2), in a form that keeps its
    digits at little noise (Kim et al. 2023, arXiv 2211.17091).
    """
    mass = torch.log1p(sigma.square())
    return 2 * mass / (BETA_0 + (BETA_0**2 + 2 * (BETA_1 - BETA_0) * mass).sqrt())


def vp_sigma(tau: Rows) -> Rows:
    """Level of noise at time `tau`; undoes `vp_time`."""
    return torch.expm1(tau * BETA_0 + tau.square() * (BETA_1 - BETA_0) / 2).sqrt()


def vp_scale(sigma: Rows) -> Rows:
    """What y + `sigma` n is multiplied by there: 1 / sqrt(1 + sigma^2)."""
    return torch.rsqrt(1 + sigma.square())
