"""Random blocks of two point sets, and the plan composed of exact plans within blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch

from cellflow.transport.exact import exact_plan
from cellflow.transport.plan import Plan, normalise_masses

#: Returns the cost matrix of some rows and columns, given their indices.
BlockCost = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Mass that counts as rounding error.
_ROUNDING = 1e-12


def block_count(n: int, m: int, block_size: int) -> int:
    """Return the number of blocks with at most `block_size` points per side."""
    return -(-max(n, m) // block_size)


def random_blocks(
    n: int, m: int, block_size: int, generator: torch.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split two point sets at random into the same number of blocks of nearly equal size.

    Returns
    -------
    Row and column indices of each block; each point is in one block. The number of blocks is at
    most the number of points of the smaller side.
    """
    count = min(block_count(n, m, block_size), n, m)
    sides = [np.array_split(_permutation(size, generator), count) for size in (n, m)]
    return list(zip(*sides, strict=True))


def blockwise_plan(
    cost: BlockCost,
    a: np.ndarray,
    b: np.ndarray,
    *,
    block_size: int,
    generator: torch.Generator,
    rounds: int = 2,
) -> Plan:
    """Return the mean of plans that are exact within blocks (Fatras et al. 2020, arXiv 1910.04091).

    Both sides of a block have equal mass: a point at its border belongs to both neighbouring
    blocks with part of its mass, so row sums are `a` and column sums `b`. Memory grows with the
    square of `block_size`.

    Parameters
    ----------
    cost
        Returns the cost matrix of a block, given row and column indices.
    a, b
        Masses of rows and columns, normalised to sum to one.
    block_size
        Largest number of points per side of a block.
    generator
        Source of randomness of the blocks.
    rounds
        Number of random splits; the plan is the mean over them.

    Returns
    -------
    Plan whose row sums are `a` and column sums `b`.
    """
    a, b = normalise_masses(a, len(a)), normalise_masses(b, len(b))
    plans = []
    for _ in range(rounds):
        orders = _permutation(len(a), generator), _permutation(len(b), generator)
        for rows, columns in _equal_mass_blocks(a, b, orders, block_size):
            plan = exact_plan(cost(rows[0], columns[0]), rows[1], columns[1])
            mass = plan.mass * rows[1].sum() / rounds
            plans.append(Plan(rows[0][plan.rows], columns[0][plan.columns], mass))
    return Plan.concatenate(plans)


def _permutation(n: int, generator: torch.Generator) -> np.ndarray:
    order: np.ndarray = (
        torch.randperm(n, generator=generator, device=generator.device).cpu().numpy()
    )
    return order


_Side = tuple[np.ndarray, np.ndarray]


def _equal_mass_blocks(
    a: np.ndarray, b: np.ndarray, orders: tuple[np.ndarray, np.ndarray], block_size: int
) -> Iterator[tuple[_Side, _Side]]:
    """Yield indices and masses of rows and of columns of each block, in the given orders."""
    sides = [(masses[order], order) for masses, order in zip((a, b), orders, strict=True)]
    ends = [_cumulative_masses(masses) for masses, _ in sides]
    count = block_count(len(a), len(b), block_size)
    # One more than an equal share, for the point that is split at a border.
    sizes = [min(block_size, -(-len(end) // count) + 1) for end in ends]
    for low, high in pairwise(_find_cuts(ends, sizes)):
        rows, columns = (
            _select_between(end, *side, low, high) for end, side in zip(ends, sides, strict=True)
        )
        if len(rows[0]) and len(columns[0]):
            yield rows, columns


def _cumulative_masses(masses: np.ndarray) -> np.ndarray:
    ends = np.cumsum(masses)
    ends[-1] = 1.0
    return ends


def _find_cuts(ends: list[np.ndarray], sizes: list[int]) -> list[float]:
    """Return cumulative masses between which each side has at most `sizes` points."""
    cuts = [0.0]
    while cuts[-1] < 1:
        first = [int(np.searchsorted(end, cuts[-1] + _ROUNDING, side="right")) for end in ends]
        stops = [
            float(end[min(start + size, len(end)) - 1])
            for end, start, size in zip(ends, first, sizes, strict=True)
        ]
        cuts.append(min(stops))
    return cuts


def _select_between(
    end: np.ndarray, masses: np.ndarray, order: np.ndarray, low: float, high: float
) -> _Side:
    """Return the points with mass between two cumulative masses, and that mass."""
    mass = np.minimum(end, high) - np.maximum(np.append(0.0, end[:-1]), low)
    # Points that are not split keep their exact masses: equal masses give sparser plans.
    mass = np.where(np.abs(mass - masses) < _ROUNDING, masses, mass)
    inside = mass > _ROUNDING / len(end)
    return order[inside], mass[inside]
