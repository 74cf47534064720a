"""The Wasserstein-Fisher-Rao coupling: cells that move, divide and die."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable

import numpy as np
import torch

from cellflow._batch import FiniteMarginal, Interval
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow.couplings.full_plan import PlanCoupling
from cellflow.transport import Plan, distances, exact_plan
from cellflow.transport.blocks import random_blocks
from cellflow.transport.kl_unbalanced import kl_unbalanced_plan

#: Keeps costs finite where cells are out of each other's reach.
_CLIP = 1e-10

#: Cells a side that a length scale is read from.
_SAMPLE = 1000

#: How far the reach goes beyond the farthest pair of these, since other cells may be farther.
_MARGIN = 1.25


def wfr_cost(distance: np.ndarray, delta: float) -> np.ndarray:
    """Cost -log cos^2(min(d / 2 delta, pi / 2)) of transport that may destroy and create mass.

    Half the squared Wasserstein-Fisher-Rao distance, in units of delta^2, is the least of this
    cost plus Kullback-Leibler penalties of weight 1 on both marginals (Liero, Mielke and Savaré
    2018; Peng et al. 2026, arXiv 2601.06810).
    """
    angle = np.minimum(distance / (2 * delta), math.pi / 2)
    return -np.log(np.maximum(np.cos(angle) ** 2, _CLIP))


def wfr_coupling(
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval = (0.0, 1.0),
    *,
    delta: float,
    generator: torch.Generator,
    block_size: int = 2000,
    max_blocks: int | None = None,
    growth: tuple[float, float] = (0.0, math.inf),
) -> PlanCoupling:
    """Couple cells by unbalanced transport, each pair with its masses at both ends.

    A cell counts as one, or by its weight in units of the mean weight, so populations of n and m
    cells grow by m / n where that lies inside the limits of `growth`. Scaling the rows of the
    plan to the masses of the source gives g0, scaling its columns to those of the target g1
    (Peng et al. 2026, arXiv 2601.06810); pairs are drawn in proportion to g0, with mass 1 at the
    start and g1 / g0 at the end. Distances are those of the coordinates that paths live in.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    delta
        Length scale, in units of the coordinates: mass is not moved farther than pi delta.
    generator
        Draws the blocks.
    block_size
        Most cells of a side in a block; plans are solved inside random blocks.
    max_blocks
        Most blocks that are solved; cells of others are in no pair. Each block has the same share
        of both populations, so growth is read from it as from all. None solves all.
    growth
        Least and largest growth of the whole population: m / n is brought between them.
    """
    check_positive(delta, "delta")
    x, y = (each.cells.x.cpu().numpy() for each in (source, target))
    a, b = (each.masses.double().cpu().numpy() * len(each.cells) for each in (source, target))
    counted = b.sum() / a.sum()
    b = b * (np.clip(counted, *growth) / counted)
    parts = []
    blocks = random_blocks(len(x), len(y), block_size, generator)[:max_blocks]
    for rows, columns in blocks:
        # No name is kept for distances and costs, each of which is 32 MB by default.
        soft = kl_unbalanced_plan(
            wfr_cost(distances(x[rows], y[columns]), delta), 1.0, a[rows], b[columns]
        )
        starts, ends = rows[soft.rows], columns[soft.columns]
        near = _apart(x[starts], y[ends]) < math.pi * delta
        parts.append(Plan(starts[near], ends[near], soft.mass[near]))
    plan = Plan.concatenate(parts)
    n, m = (sum(map(len, side)) for side in zip(*blocks, strict=True))
    _check_reach(plan, n, m, delta)
    return _with_masses(plan, source, target, interval, (a, b))


def _apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances of the points of each row, shape (n,), in float64."""
    return np.linalg.norm(x.astype(np.float64) - y.astype(np.float64), axis=1)


def _with_masses(
    plan: Plan,
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval,
    masses: tuple[np.ndarray, np.ndarray],
) -> PlanCoupling:
    """The coupling of both scalings of a plan, to the masses of its rows and of its columns."""
    rows, columns, mass = plan.rows, plan.columns, plan.mass
    at_start, at_end = (
        mass / np.bincount(index, mass)[index] * each[index]
        for index, each in zip((rows, columns), masses, strict=True)
    )
    m1 = torch.from_numpy(at_end / at_start).to(source.cells.x.dtype)
    drawn = Plan(rows, columns, at_start / at_start.sum())
    return PlanCoupling(source, target, interval, drawn, m0=torch.ones_like(m1), m1=m1)


def _check_reach(plan: Plan, n: int, m: int, delta: float) -> None:
    """Tell of cells that no pair has."""
    if not len(plan.mass):
        raise InputError(
            f"no two cells are nearer than pi delta = {math.pi * delta:.3g}: raise delta"
        )
    alone = n - len(np.unique(plan.rows)), m - len(np.unique(plan.columns))
    if any(alone):
        warnings.warn(
            f"{alone[0]} of {n} source cells and {alone[1]} of {m} target cells have no partner "
            f"within pi delta = {math.pi * delta:.3g} and are left out: raise delta",
            CellflowWarning,
            stacklevel=3,
        )


def default_delta(
    intervals: Iterable[tuple[FiniteMarginal, FiniteMarginal]], generator: torch.Generator
) -> float:
    """Length scale read from the cells at the ends of intervals, in their units.

    The mean distance of optimally coupled cells, so that half way the typical pair weighs a
    sixteenth less than one that stays, and at least what leaves no such pair out of reach. Up to
    1,000 cells a side are coupled.
    """
    moved = [_moved(*ends, generator) for ends in intervals]
    typical = float(np.mean([mean for mean, _ in moved]))
    delta = max(typical, _MARGIN * max(farthest for _, farthest in moved) / math.pi)
    # Where no cell moves, each is coupled with itself at any length scale.
    return delta if delta > 0 else 1.0


def _moved(
    source: FiniteMarginal, target: FiniteMarginal, generator: torch.Generator
) -> tuple[float, float]:
    """Mean and largest distance of optimally coupled cells."""
    x, y = (
        each.sample(min(_SAMPLE, len(each.masses)), generator).x.double().cpu().numpy()
        for each in (source, target)
    )
    distance = distances(x, y)
    plan = exact_plan(distance**2)
    moved = distance[plan.rows, plan.columns]
    return float(plan.mass @ moved), float(moved.max())
