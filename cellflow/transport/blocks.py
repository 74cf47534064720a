"""Random blocks of two populations, and large plans made of plans between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch

from cellflow.transport.exact import exact_plan
from cellflow.transport.plan import Plan, normalise_masses

#: Ground costs between some rows and some columns, by their indices.
BlockCost = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Masses that are rounding errors of sums.
_ROUNDING = 1e-12


def block_count(n: int, m: int, block_size: int) -> int:
    """Blocks it takes to have at most `block_size` points of each side in one."""
    return -(-max(n, m) // block_size)


def random_blocks(
    n: int, m: int, block_size: int, generator: torch.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split two sets of points at random into equally many blocks of nearly equal counts.

    Returns
    -------
    Indices of the points of both sides of each block, each point in one block. Where one side has
    fewer points than that takes blocks, there are as many blocks as points of it.
    """
    count = min(block_count(n, m, block_size), n, m)
    sides = [np.array_split(_shuffled(size, generator), count) for size in (n, m)]
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
    """Mean of plans that are exact inside random blocks (Fatras et al. 2020, arXiv 1910.04091).

    Both sides of a block have one mass: a point at its border belongs to both neighbours with a
    part of its mass, so rows sum to `a` and columns to `b`. Memory grows with the square of
    `block_size`.

    Parameters
    ----------
    cost
        Gives the costs of a block, shape (rows, columns).
    a, b
        Masses of rows and columns; each is normalised to sum to one.
    block_size
        Most points of a side in a block.
    generator
        Draws the blocks.
    rounds
        Times that the points are split anew; the plan is the mean over them.

    Returns
    -------
    The plan.
    """
    a, b = normalise_masses(a, len(a)), normalise_masses(b, len(b))
    parts = []
    for _ in range(rounds):
        orders = _shuffled(len(a), generator), _shuffled(len(b), generator)
        for rows, columns in _equal_mass_blocks(a, b, orders, block_size):
            plan = exact_plan(cost(rows[0], columns[0]), rows[1], columns[1])
            mass = plan.mass * rows[1].sum() / rounds
            parts.append(Plan(rows[0][plan.rows], columns[0][plan.columns], mass))
    return Plan.concatenate(parts)


def _shuffled(n: int, generator: torch.Generator) -> np.ndarray:
    order: np.ndarray = (
        torch.randperm(n, generator=generator, device=generator.device).cpu().numpy()
    )
    return order


_Side = tuple[np.ndarray, np.ndarray]


def _equal_mass_blocks(
    a: np.ndarray, b: np.ndarray, orders: tuple[np.ndarray, np.ndarray], block_size: int
) -> Iterator[tuple[_Side, _Side]]:
    """Indices and masses of rows and of columns of each block, in the given orders."""
    sides = [(masses[order], order) for masses, order in zip((a, b), orders, strict=True)]
    ends = [_ends(masses) for masses, _ in sides]
    count = block_count(len(a), len(b), block_size)
    # One more than an equal share, for the point that a border cuts.
    sizes = [min(block_size, -(-len(end) // count) + 1) for end in ends]
    for low, high in pairwise(_cuts(ends, sizes)):
        rows, columns = (
            _between(end, *side, low, high) for end, side in zip(ends, sides, strict=True)
        )
        if len(rows[0]) and len(columns[0]):
            yield rows, columns


def _ends(masses: np.ndarray) -> np.ndarray:
    ends = np.cumsum(masses)
    ends[-1] = 1.0
    return ends


def _cuts(ends: list[np.ndarray], sizes: list[int]) -> list[float]:
    """Cumulative masses between which each side has at most its size of points."""
    cuts = [0.0]
    while cuts[-1] < 1:
        first = [int(np.searchsorted(end, cuts[-1] + _ROUNDING, side="right")) for end in ends]
        stops = [
            float(end[min(start + size, len(end)) - 1])
            for end, start, size in zip(ends, first, sizes, strict=True)
        ]
        cuts.append(min(stops))
    return cuts


def _between(
    end: np.ndarray, masses: np.ndarray, order: np.ndarray, low: float, high: float
) -> _Side:
    """Points that have mass between two cumulative masses, and how much of it."""
    part = np.minimum(end, high) - np.maximum(np.append(0.0, end[:-1]), low)
    # Whole points keep their masses to the last digit: equal ones make sparser plans.
    part = np.where(np.abs(part - masses) < _ROUNDING, masses, part)
    inside = part > _ROUNDING / len(end)
    return order[inside], part[inside]
