"""Riemannian metrics that are small near cells, so that geodesics pass through the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._typing import Points, Rows
from cellflow.transport import squared_distances

#: Least mean number of cells per cluster, so that clusters have a spread.
_CELLS_PER_CENTRE = 5

#: Maximum number of k-means iterations.
_ROUNDS = 50

#: Least spread of a cluster, relative to the spread of all cells, so that widths are finite.
_LEAST_SPREAD = 1e-6

#: Training of the weights of radial basis functions, and their least value (Kapuśniak et al.).
_VALIDATION, _BATCH, _EPOCHS, _PATIENCE, _RATE, _LEAST_WEIGHT = 0.1, 128, 200, 5, 1e-2, 1e-4

#: Cells that these weights are fitted to, at most.
_FITTED = 10_000

#: Upper bound of the validation error, so that epsilon is positive after a poor fit.
_LARGEST_ERROR = 0.99


@runtime_checkable
class Metric(Protocol):
    """A diagonal metric tensor."""

    def __call__(self, x: Points) -> Points:
        """Return the diagonal at `x`, shape (n, d)."""
        ...


@dataclass(frozen=True)
class RBFMetric:
    """RBF metric: inverse of a sum of radial basis functions that is about 1 on cells.

    For many dimensions. M(x) = (h(x) + epsilon)^-alpha in each dimension, with
    h(x) = sum_k W_k exp(-lambda_k |x - c_k|^2 / 2)
    (Kapuśniak et al. 2024, arXiv 2405.14780).

    Attributes
    ----------
    centres
        Cluster centres c, shape (k, d).
    widths
        lambda, shape (k,), in units of the points to the power -2.
    weights
        W, shape (k,).
    epsilon
        Offset. Lower values raise the metric far from cells.
    alpha
        Power.
    """

    centres: Float[Tensor, "k d"]
    widths: Float[Tensor, " k"]
    weights: Float[Tensor, " k"]
    epsilon: float
    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.epsilon, "epsilon")
        check_positive(self.alpha, "alpha")

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
        """Fit the metric to `cells`: k-means clusters, then the weights.

        Parameters
        ----------
        cells
            Points where the metric is small, shape (n, d).
        generator
            Source of randomness of clustering and training.
        n_centres
            Maximum number of clusters; at most one per 5 cells.
        kappa
            Width in units of the spread of the cluster: lambda = 1 / (2 kappa^2 sigma^2).
        contrast
            For alpha = 1, the metric far from cells is 1 + `contrast` times that at h = 1:
            epsilon = (1 - error) / contrast, where error is the mean of (1 - h)^2 over validation
            cells. The rho of the publication is -contrast.
        alpha
            Power.
        """
        for name, value in (("n_centres", n_centres), ("kappa", kappa), ("contrast", contrast)):
            check_positive(value, name)
        if len(cells) < 2:
            raise InputError(f"a metric needs two or more cells, got {len(cells)}")
        number = min(n_centres, max(1, len(cells) // _CELLS_PER_CENTRE))
        centres, labels = _kmeans(cells, number, generator)
        widths = 0.5 / (kappa * _cluster_spreads(cells, centres, labels)) ** 2
        weights, error = _fit_weights(_radial_basis(cells, centres, widths), generator)
        epsilon = (1 - min(error, _LARGEST_ERROR)) / contrast
        return cls(centres, widths, weights, epsilon, alpha)

    def __call__(self, x: Points) -> Points:
        """Return the diagonal of the metric at `x`, shape (n, d), equal in all dimensions."""
        h = _radial_basis(x, self.centres, self.widths) @ self.weights
        return ((h + self.epsilon) ** -self.alpha)[:, None].expand_as(x)


@dataclass(frozen=True)
class IntervalMetrics:
    """One metric per interval of a time course.

    Attributes
    ----------
    starts
        Flow times where the intervals start, shape (k,).
    metrics
        One metric per interval.
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
        """Return the diagonal at `x`, by the metric of the interval that starts nearest to `t0`."""
        own = (t0[:, None] - self.starts).abs().argmin(dim=1)
        values = torch.zeros_like(x)
        for k, metric in enumerate(self.metrics):
            rows = torch.nonzero(own == k)[:, 0]
            if len(rows):
                values = values.index_copy(0, rows, metric(x[rows]))
        return values


def share_sparser(metric: Metric, pairs: Pairs) -> float:
    """Return the share of pairs whose middle lies where cells are sparser than at both ends.

    Sparser is where the mean logarithm of the diagonal of the metric is larger. Of three points
    that are drawn alike, each is the sparsest with probability 1/3.
    """
    middle = (pairs.x0 + pairs.x1) / 2
    here, *ends = (metric(x).log().mean(dim=1) for x in (middle, pairs.x0, pairs.x1))
    return float((here > torch.maximum(*ends)).double().mean())


def _subsample(rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` rows without replacement, in random order."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device)
    return rows[order[:n]]


def _radial_basis(x: Tensor, centres: Tensor, widths: Tensor) -> Tensor:
    """Evaluate the radial basis functions at `x`, shape (n, k)."""
    return torch.exp(-0.5 * widths * squared_distances(x, centres))


def _kmeans(cells: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the centres of `n` clusters and the cluster of each cell (Lloyd, from k-means++)."""
    centres = _kmeans_plus_plus(cells, n, generator)
    labels = squared_distances(cells, centres).argmin(dim=1)
    for _ in range(_ROUNDS):
        sizes = torch.bincount(labels, minlength=n)[:, None]
        sums = torch.zeros_like(centres).index_add(0, labels, cells)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
        before, labels = labels, squared_distances(cells, centres).argmin(dim=1)
        if torch.equal(before, labels):
            break
    return centres, labels


def _kmeans_plus_plus(cells: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw initial centres by squared distance to earlier ones (Arthur, Vassilvitskii 2007)."""
    chosen = [_subsample(cells, 1, generator)]
    away = squared_distances(cells, chosen[0])[:, 0]
    while len(chosen) < n:
        odds = away if bool(away.sum() > 0) else torch.ones_like(away)
        chosen.append(cells[torch.multinomial(odds, 1, generator=generator)])
        away = torch.minimum(away, squared_distances(cells, chosen[-1])[:, 0])
    return torch.cat(chosen)


def _cluster_spreads(cells: Tensor, centres: Tensor, labels: Tensor) -> Tensor:
    """Return the root mean square deviation within each cluster, per dimension, shape (k,)."""
    squares = (cells - centres[labels]).square().mean(dim=1)
    sums = squares.new_zeros(len(centres)).index_add(0, labels, squares)
    sizes = torch.bincount(labels, minlength=len(centres)).clamp(min=1)
    unit = cells.std(dim=0, correction=0).square().mean().sqrt()
    least = _LEAST_SPREAD * torch.where(unit > 0, unit, torch.ones_like(unit))
    return torch.maximum((sums / sizes).sqrt(), least)


def _fit_weights(functions: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """Fit weights so that the weighted sum h of the functions, shape (n, k), is about 1.

    Adam on the mean of (1 - h)^2, stopped when its value on validation cells no longer improves;
    of more than 10,000 cells on so many. Returns the weights and the last validation error.
    """
    functions = _subsample(functions, _FITTED, generator)
    n_validation = max(1, round(_VALIDATION * len(functions)))
    validation, training = functions[:n_validation], functions[n_validation:]
    weights = torch.rand(
        functions.shape[1], generator=generator, device=generator.device, dtype=functions.dtype
    ).requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=_RATE, fused=True)
    errors: list[float] = []
    while len(errors) < _EPOCHS and _still_improves(errors):
        order = torch.randperm(len(training), generator=generator, device=generator.device)
        for batch in torch.split(training[order], _BATCH):
            weights.grad = _gradient(batch, weights.detach())
            optimiser.step()
            weights.detach().clamp_(min=_LEAST_WEIGHT)
        errors.append(float(_error(validation, weights.detach())))
    return weights.detach(), errors[-1]


def _error(functions: Tensor, weights: Tensor) -> Tensor:
    return (1 - functions @ weights).square().mean()


def _gradient(functions: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient of the error; written out, it takes a third of the time."""
    return (2 / len(functions)) * ((functions @ weights - 1) @ functions)


def _still_improves(errors: list[float]) -> bool:
    """Return whether the lowest error is among the last few."""
    return min(errors[-_PATIENCE:], default=0.0) <= min(errors, default=0.0)
