"""Transport of cells after the composition of their population has changed in place."""

from __future__ import annotations

import math

import numpy as np
import torch

from cellflow._batch import Batch, FiniteMarginal, Interval
from cellflow.couplings.full_plan import (
    PlanCoupling,
    block_cost,
    growing_coupling,
    growing_masses,
    scale_to_masses,
)
from cellflow.couplings.ground_costs import Cost, squared_euclidean
from cellflow.transport import Plan, exact_plan
from cellflow.transport.random_blocks import random_blocks

#: The kernel of density estimates is as wide as the distance of this neighbour.
N_NEIGHBORS = 15

#: Share of the pairs that is coupled after the change of composition if cells are many, and the
#: number of cells at which it is half of that: densities of few cells are mostly noise.
_MAX_SHARE, _N_HALF = 0.6, 100.0

#: Least squared width of the kernel, where neighbours coincide with a cell: relative to the squared
#: norm of the cell, and absolute.
_ROUNDING, _LEAST_WIDTH = 1e-10, 1e-200

#: Rows of a matrix of distances that are computed at a time; so few stay in the cache.
_CHUNK_SIZE = 64


def log_density_ratio(
    x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, *, n_neighbors: int = N_NEIGHBORS
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the log-ratio of the densities of two populations, later over earlier, at each cell.

    Densities are those of a Gaussian kernel, whose width at each cell is its distance to the
    neighbour number `n_neighbors` of both populations together. A cell does not count for itself.
    One more cell of the mean composition bounds the ratio where all others are of one population.

    Parameters
    ----------
    x, y
        Cells of the earlier and the later population, shapes (n, d) and (m, d).
    a, b
        Their masses, shapes (n,) and (m,), any positive scale.
    n_neighbors
        Neighbour that sets the width; the farthest if there are fewer.

    Returns
    -------
    The log-ratios at `x` and at `y`, shapes (n,) and (m,).
    """
    cells, n = np.concatenate([x, y]), len(x)
    # Squared distances come from inner products, which are precise near the origin.
    cells -= np.median(cells, axis=0)
    norms, ones = np.square(cells).sum(axis=1), np.ones(len(cells))
    left, right = np.column_stack([-2 * cells, norms, ones]), np.column_stack([cells, ones, norms])
    # Squared widths below the rounding error of the squared distances have no meaning.
    least = np.maximum(_ROUNDING * norms, _LEAST_WIDTH)
    # A population of n cells has mass n.
    mass = np.zeros((2, len(cells)))
    mass[0, :n], mass[1, n:] = a * (n / a.sum()), b * (len(y) / b.sum())
    rank = min(n_neighbors, len(cells) - 1) - 1
    sums = np.empty((2, len(cells)))
    for start in range(0, len(cells), _CHUNK_SIZE):
        rows = np.arange(start, min(start + _CHUNK_SIZE, len(cells)))
        kernel = left[rows] @ right.T
        kernel[np.arange(len(rows)), rows] = np.inf
        width = np.maximum(np.partition(kernel, rank, axis=1)[:, rank], least[rows])
        kernel *= (-0.5 / width)[:, None]
        np.exp(kernel, out=kernel)
        sums[:, rows] = mass @ kernel.T
    totals = np.tile([[float(n)], [float(len(y))]], len(cells))
    totals -= mass
    # A population of a single cell has no others.
    totals = np.maximum(totals, 1.0)
    prior = totals / totals.sum(axis=0)
    earlier, later = np.log((sums + prior) / totals)
    ratio = later - earlier
    return ratio[:n], ratio[n:]


def default_share(n: int, m: int) -> float:
    """Return the default share of pairs coupled after the change of composition.

    It is 0.6 h / (h + 100) with h the harmonic mean of the numbers of cells of both times.
    """
    mean = 2 * n * m / (n + m)
    return _MAX_SHARE * mean / (mean + _N_HALF)


def composition_coupling(
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval = (0.0, 1.0),
    *,
    generator: torch.Generator,
    cost: Cost = squared_euclidean,
    share: float | None = None,
    n_neighbors: int = N_NEIGHBORS,
    block_size: int = 2000,
    max_blocks: int | None = None,
    growth: tuple[float, float] = (0.0, math.inf),
) -> PlanCoupling:
    """Couple cells by exact transport, a share of them after the composition has changed in place.

    States that cells of both times are in become more or less frequent, at constant rates: with
    the log-ratio r of the densities, later over earlier, cells of the source grow to mass
    exp(r / 2) until half way, and those of the target come from mass exp(-r / 2). What differs
    between the two at half way moves, by the exact plan between them. If the populations overlap
    everywhere nothing does, and the density between them is the geometric mean
    rho0^(1 - s) rho1^s. The other pairs are those of the exact plan between all cells. Both kinds
    have the masses of all cells at both ends.

    Growth rates of the source, where it has any, take the place of the log-ratios: it is
    weighted by what its cells grow to, and all pairs are those of the exact plan.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    generator
        Source of randomness of the blocks.
    cost
        Ground cost. Densities are those of the coordinates `Batch.x` and of the conditions that
        costs keep.
    share
        Share of the pairs that is coupled after the change of composition; None uses
        `default_share`.
    n_neighbors
        As in `log_density_ratio`.
    block_size
        Largest number of cells per side of a block; plans are solved within random blocks.
    max_blocks
        Largest number of blocks that are solved; cells of other blocks are not paired. None solves
        all.
    growth
        Limits of the growth of total mass, as in `wfr_coupling`.
    """
    a, b = growing_masses(source, target, growth)
    blocks = random_blocks(len(a), len(b), block_size, generator)[:max_blocks]
    if source.cells.rate is not None:
        share = 0.0
    elif share is None:
        share = default_share(*(sum(map(len, side)) for side in zip(*blocks, strict=True)))
    r0, r1 = np.zeros(len(a)), np.zeros(len(b))
    if share:
        rows, columns = (np.concatenate(side) for side in zip(*blocks, strict=True))
        x, y = _positions(source.cells, rows), _positions(target.cells, columns)
        r0[rows], r1[columns] = log_density_ratio(
            x, y, a[rows], b[columns], n_neighbors=n_neighbors
        )
    costs = block_cost(cost, source.cells, target.cells)
    parts = [(1 - share, a, b), (share, a * np.exp(r0 / 2), b * np.exp(-r1 / 2))]
    plans: tuple[list[Plan], list[Plan]] = ([], [])
    for before, after in blocks:
        block = costs(before, after)
        for solved, (part, starts, stops) in zip(plans, parts, strict=True):
            if part:
                plan = exact_plan(block, starts[before], stops[after])
                solved.append(Plan(before[plan.rows], after[plan.columns], plan.mass))
    pairs, masses = [], []
    for solved, (part, _, _) in zip(plans, parts, strict=True):
        for each in solved:
            pairs.append((each.rows, each.columns))
            masses.append([part * mass for mass in scale_to_masses(each, a, b)])
    rows, columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    at_start, at_end = (np.concatenate(side) for side in zip(*masses, strict=True))
    return growing_coupling(source, target, interval, (rows, columns), (at_start, at_end))


def _positions(cells: Batch, rows: np.ndarray) -> np.ndarray:
    """Return coordinates of some cells and the conditions that costs keep, in float64."""
    batch = cells[torch.from_numpy(rows)]
    return batch.append_conditions(batch.x).double().cpu().numpy()
