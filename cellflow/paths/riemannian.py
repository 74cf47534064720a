"""Riemannian metrics that are small where cells are, so that short ways lead past cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._typing import OtherPoints, Points, Rows
from cellflow.transport import squared_distances

#: Cells to a centre at least, on average, so that clusters have a spread.
_CELLS_PER_CENTRE = 5

#: Rounds of k-means at most.
_ROUNDS = 50

#: Least spread of a cluster, as a share of that of all cells, so that no width is infinite.
_LEAST_SPREAD = 1e-6

#: Training of the weights of radial basis functions, and their least value, as published.
_VALIDATION, _BATCH, _EPOCHS, _PATIENCE, _RATE, _LEAST_WEIGHT = 0.1, 128, 200, 5, 1e-2, 1e-4

#: Largest error that counts, so that the offset of a poor fit stays positive.
_LARGEST_ERROR = 0.99


@runtime_checkable
class Metric(Protocol):
    """A diagonal metric tensor."""

    def __call__(self, x: Points) -> Points:
        """Diagonal at `x`, shape (n, d)."""
        ...


@dataclass(frozen=True)
class LandMetric:
    """Inverse local variance, for a few dimensions (LAND; Arvanitidis et al. 2016).

    M_d(x) = (h_d(x) + rho)^-alpha with
    h_d(x) = sum_n (S_nd - x_d)^2 exp(-|x - S_n|^2 / (2 gamma^2))
    (Kapuśniak et al. 2024, arXiv 2405.14780).

    Attributes
    ----------
    samples
        Cells S, shape (m, d).
    gamma
        Width of the kernel, in units of the points.
    rho
        Offset, in these units squared: the lower, the higher the metric far from all cells.
    alpha
        Power.
    count
        Number of cells that each sample stands for.
    """

    samples: OtherPoints
    gamma: float
    rho: float = 1e-3
    alpha: float = 2.0
    count: float = 1.0

    def __post_init__(self) -> None:
        for name in ("gamma", "rho", "alpha", "count"):
            check_positive(getattr(self, name), name)

    @classmethod
    def between(
        cls,
        source: Points,
        target: OtherPoints,
        gamma: float,
        generator: torch.Generator,
        *,
        rho: float = 1e-3,
        alpha: float = 2.0,
        max_samples: int = 1000,
    ) -> LandMetric:
        """Metric of equally many cells of two populations, as many as the smaller one has.

        At most `max_samples` of them are drawn, once, and stand for the others, so that the
        metric does not depend on that limit but for noise.
        """
        fewest = min(len(source), len(target))
        drawn = max(1, min(fewest, max_samples // 2))
        samples = [_some(cells, drawn, generator) for cells in (source, target)]
        return cls(torch.cat(samples), gamma, rho, alpha, fewest / drawn)

    def __call__(self, x: Points) -> Points:
        """Diagonal of the metric at `x`, shape (n, d)."""
        # Squares are multiplied out, so that no (n, m, d) array is made; around the mean of the
        # samples that loses few digits.
        centre = self.samples.mean(dim=0)
        x, samples = x - centre, self.samples - centre
        near = self.count * torch.exp(-squared_distances(x, samples) / (2 * self.gamma**2))
        total = near.sum(dim=1, keepdim=True)
        h = near @ samples.square() - 2 * x * (near @ samples) + x.square() * total
        return (h.clamp(min=0) + self.rho) ** -self.alpha


@dataclass(frozen=True)
class RBFMetric:
    """Inverse of radial basis functions that sum to about 1 on cells, for many dimensions.

    M(x) = (h(x) + epsilon)^-alpha in all dimensions, with
    h(x) = sum_k W_k exp(-lambda_k |x - c_k|^2 / 2)
    (Kapuśniak et al. 2024, arXiv 2405.14780).

    Attributes
    ----------
    centres
        Centres c of clusters of cells, shape (k, d).
    widths
        lambda, shape (k,), in units of the points to the power -2.
    weights
        W, shape (k,).
    epsilon
        Offset: the lower, the higher the metric far from all cells.
    alpha
        Power.
    """

    centres: Float[Tensor, "k d"]
    widths: Float[Tensor, " k"]
    weights: Float[Tensor, " k"]
    epsilon: float
    alpha: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epsilon", "alpha"):
            check_positive(getattr(self, name), name)

    @classmethod
    def fit(
        cls,
        cells: Points,
        generator: torch.Generator,
        *,
        n_centres: int = 150,
        kappa: float = 1.5,
        contrast: float = 2.75,
        alpha: float = 1.0,
    ) -> RBFMetric:
        """Metric of the clusters of `cells`.

        Parameters
        ----------
        cells
            Where the metric is to be small, shape (n, d).
        generator
            Of clustering and training.
        n_centres
            Number of clusters at most; of few cells, one for every 5.
        kappa
            Width of the functions in spreads of their clusters: lambda = 1 / (2 kappa^2 sigma^2).
        contrast
            Far from all cells the metric, for alpha = 1, is 1 + `contrast` times that where h is
            1: epsilon = (1 - error) / contrast, with the mean of (1 - h)^2 over unseen cells for
            the error. The published rho is -contrast.
        alpha
            Power.
        """
        for name, value in (("n_centres", n_centres), ("kappa", kappa), ("contrast", contrast)):
            check_positive(value, name)
        if len(cells) < 2:
            raise InputError(f"a metric needs two or more cells, got {len(cells)}")
        number = min(n_centres, max(1, len(cells) // _CELLS_PER_CENTRE))
        centres, labels = _kmeans(cells, number, generator)
        widths = 0.5 / (kappa * _spreads(cells, centres, labels)) ** 2
        weights, error = _fitted_weights(_kernels(cells, centres, widths), generator)
        epsilon = (1 - min(error, _LARGEST_ERROR)) / contrast
        return cls(centres, widths, weights, epsilon, alpha)

    def __call__(self, x: Points) -> Points:
        """Diagonal of the metric at `x`, shape (n, d), equal in all dimensions."""
        h = _kernels(x, self.centres, self.widths) @ self.weights
        return ((h + self.epsilon) ** -self.alpha)[:, None].expand_as(x)


@dataclass(frozen=True)
class IntervalMetrics:
    """One metric for each interval of a time course.

    Attributes
    ----------
    starts
        Flow times at which the intervals start, shape (k,).
    metrics
        One metric for each of them.
    """

    starts: Rows
    metrics: Sequence[Metric]

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.metrics) or not len(self.metrics):
            raise InputError(
                f"each interval needs one metric, got {len(self.starts)} intervals and "
                f"{len(self.metrics)} metrics"
            )

    def __call__(self, x: Points, t0: Rows) -> Points:
        """Diagonal of the metric at `x`, of the intervals that start at (or nearest to) `t0`."""
        own = (t0[:, None] - self.starts).abs().argmin(dim=1)
        values = torch.zeros_like(x)
        for k, metric in enumerate(self.metrics):
            rows = torch.nonzero(own == k)[:, 0]
            if len(rows):
                values = values.index_copy(0, rows, metric(x[rows]))
        return values


def _some(rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` of the rows, all different, in random order."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device)
    return rows[order[:n]]


def _kernels(x: Tensor, centres: Tensor, widths: Tensor) -> Tensor:
    """Radial basis functions at `x`, shape (n, k)."""
    return torch.exp(-0.5 * widths * squared_distances(x, centres))


def _kmeans(cells: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres of `n` clusters and the cluster of each cell: Lloyd's rounds after k-means++."""
    centres = _spread_out(cells, n, generator)
    labels = squared_distances(cells, centres).argmin(dim=1)
    for _ in range(_ROUNDS):
        sizes = torch.bincount(labels, minlength=n)[:, None]
        sums = torch.zeros_like(centres).index_add(0, labels, cells)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
        before, labels = labels, squared_distances(cells, centres).argmin(dim=1)
        if torch.equal(before, labels):
            break
    return centres, labels


def _spread_out(cells: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` cells, each by its squared distance to those before (Arthur, Vassilvitskii 2007)."""
    chosen = [_some(cells, 1, generator)]
    away = squared_distances(cells, chosen[0])[:, 0]
    while len(chosen) < n:
        odds = away if bool(away.sum() > 0) else torch.ones_like(away)
        chosen.append(cells[torch.multinomial(odds, 1, generator=generator)])
        away = torch.minimum(away, squared_distances(cells, chosen[-1])[:, 0])
    return torch.cat(chosen)


def _spreads(cells: Tensor, centres: Tensor, labels: Tensor) -> Tensor:
    """Root of the variance inside each cluster, mean over dimensions, shape (k,)."""
    squares = (cells - centres[labels]).square().mean(dim=1)
    sums = squares.new_zeros(len(centres)).index_add(0, labels, squares)
    sizes = torch.bincount(labels, minlength=len(centres)).clamp(min=1)
    unit = cells.std(dim=0, correction=0).square().mean().sqrt()
    least = _LEAST_SPREAD * torch.where(unit > 0, unit, torch.ones_like(unit))
    return torch.maximum((sums / sizes).sqrt(), least)


def _fitted_weights(functions: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """Weights with which the functions, shape (n, k), sum to about 1 on each of n cells.

    Adam on the mean of (1 - h)^2 until it stops falling on cells held back, with its last value
    there.
    """
    functions = _some(functions, len(functions), generator)
    held_back = max(1, round(_VALIDATION * len(functions)))
    unseen, seen = functions[:held_back], functions[held_back:]
    weights = torch.rand(
        functions.shape[1], generator=generator, device=generator.device, dtype=functions.dtype
    ).requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=_RATE)
    errors: list[float] = []
    while len(errors) < _EPOCHS and _still_falls(errors):
        order = torch.randperm(len(seen), generator=generator, device=generator.device)
        for rows in torch.split(order, _BATCH):
            optimiser.zero_grad()
            _error(seen[rows], weights).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                weights.clamp_(min=_LEAST_WEIGHT)
        errors.append(float(_error(unseen, weights.detach())))
    return weights.detach(), errors[-1]


def _error(functions: Tensor, weights: Tensor) -> Tensor:
    return (1 - functions @ weights).square().mean()


def _still_falls(errors: list[float]) -> bool:
    """Whether the lowest of the errors is one of the last few."""
    return min(errors[-_PATIENCE:], default=0.0) <= min(errors, default=0.0)
