"""LAND metric, small near cells in few dimensions, and the width of its kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._typing import OtherPoints, Points

#: Widths that are compared, in units of the spread of the cells.
_WIDTHS = tuple(2 ** (-k / 4) for k in range(21))

#: Cells at which the likelihood of a width is measured, at most.
_MEASURED = 500


@dataclass(frozen=True)
class LandMetric:
    """LAND metric: inverse local variance, for few dimensions (Arvanitidis et al. 2016).

    M_d(x) = (h_d(x) + rho)^-alpha with
    h_d(x) = sum_n w_n (S_nd - x_d)^2 exp(-|x - S_n|^2 / (2 gamma^2))
    (Kapuśniak et al. 2024, arXiv 2405.14780, with w = 1).

    The squares are expanded, so that h takes kernel-weighted moments of the cells only: one product
    of the matrix of kernels with that of the moments, and no array of shape (n, m, d).

    Attributes
    ----------
    samples
        Cells S, shape (m, d).
    gamma
        Width of the kernel, in units of the points.
    rho
        Offset, in squared units of the points. Lower values raise the metric far from cells.
    alpha
        Power.
    weights
        Weights w of the cells, shape (m,); None for 1.
    """

    samples: OtherPoints
    gamma: float
    rho: float = 1e-3
    alpha: float = 2.0
    weights: Float[Tensor, " m"] | None = None

    def __post_init__(self) -> None:
        check_positive(self.gamma, "gamma")
        check_positive(self.rho, "rho")
        check_positive(self.alpha, "alpha")

    @classmethod
    def between(
        cls,
        source: Points,
        target: OtherPoints,
        gamma: float,
        *,
        rho: float = 1e-3,
        alpha: float = 2.0,
        n_cells: int | None = None,
    ) -> LandMetric:
        """Build the metric of all cells of two populations.

        Each population counts as `n_cells` cells, those of the smaller one if None: h is the mean
        of its values for so many cells drawn from each, as published. A metric of drawn cells
        would not be the mean of such metrics: the power makes it steeper.
        """
        number = min(len(source), len(target)) if n_cells is None else n_cells
        weights = [x.new_full((len(x),), number / len(x)) for x in (source, target)]
        return cls(torch.cat([source, target]), gamma, rho, alpha, torch.cat(weights))

    def __call__(self, x: Points) -> Points:
        """Return the diagonal of the metric at `x`, shape (n, d)."""
        centre, samples, moments = self._centred
        x = x - centre
        norms = x.square().sum(dim=1, keepdim=True)
        # -|x - S|^2 / (2 gamma^2) as one product of matrices. Powers of two are up to ten times as
        # fast on a CPU as exp, which is slow where it underflows: of most cells.
        factor = 1 / (math.log(2) * self.gamma**2)
        ends = torch.cat([x, norms, torch.ones_like(norms)], dim=1) * factor
        near = torch.exp2(ends @ samples) @ moments
        d = x.shape[1]
        total, first, second = near[:, :1], near[:, 1 : d + 1], near[:, d + 1 :]
        h = second - 2 * x * first + x.square() * total
        return (h.clamp(min=0) + self.rho) ** -self.alpha

    @cached_property
    def _centred(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return centre, factor of the exponents, shape (d + 2, m), and moments 1, S and S^2.

        Cells are relative to their mean, for precision.
        """
        centre = self.samples.mean(dim=0)
        samples = self.samples - centre
        ones, squares = torch.ones_like(samples[:, :1]), samples.square()
        halves = -squares.sum(dim=1, keepdim=True) / 2
        moments = torch.cat([ones, samples, squares], dim=1)
        if self.weights is not None:
            moments = moments * self.weights[:, None]
        return centre, torch.cat([samples, -ones / 2, halves], dim=1).T.contiguous(), moments


def likelihood_width(source: Points, target: OtherPoints, generator: torch.Generator) -> float:
    """Return the kernel width with the highest leave-one-out likelihood of two populations.

    The density at a cell is the mean of Gaussian kernels at all cells elsewhere, with equal masses
    of both populations. Widths from 1/32 of the spread of the cells to all of it are compared, in
    steps of a factor 2^(1/4), by the mean log-density at up to 500 cells.

    Parameters
    ----------
    source, target
        Cells, shapes (n, d) and (m, d).
    generator
        Source of randomness of the cells where the density is measured.

    Returns
    -------
    The width, in units of the points.
    """
    cells = torch.cat([source, target])
    masses = torch.cat([x.new_full((len(x),), 0.5 / len(x)) for x in (source, target)])
    order = torch.randperm(len(cells), generator=generator, device=generator.device)
    exact = "donot_use_mm_for_euclid_dist"
    squares = torch.cdist(cells[order[:_MEASURED]], cells, compute_mode=exact).square()
    # Neither a cell nor its copies say how far others are.
    logits = masses.log().where(squares > 0, -torch.inf)
    spread = float(cells.std(dim=0, correction=0).square().mean().sqrt()) or 1.0
    likelihoods = [
        float(_log_density(squares, logits, width * spread, cells.shape[1])) for width in _WIDTHS
    ]
    return spread * _WIDTHS[max(range(len(_WIDTHS)), key=likelihoods.__getitem__)]


def _log_density(squares: Tensor, logits: Tensor, width: float, dim: int) -> Tensor:
    """Return the mean log-density of Gaussian kernels, up to a constant."""
    density = torch.logsumexp(logits - squares / (2 * width**2), dim=1)
    return density.mean() - dim * math.log(width)
