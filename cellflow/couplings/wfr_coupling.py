"""Unbalanced transport with the Wasserstein-Fisher-Rao cost: cells move, divide and die."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch

from cellflow._batch import FiniteMarginal, Interval
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow.couplings.full_plan import (
    PlanCoupling,
    growing_coupling,
    growing_masses,
    scale_to_masses,
)
from cellflow.transport import Plan, distances, exact_plan
from cellflow.transport.kl_unbalanced import kl_unbalanced_plan
from cellflow.transport.random_blocks import random_blocks

#: Lower bound of cos^2, which keeps costs finite for pairs farther apart than pi delta.
_MIN_COS2 = 1e-10

#: Largest number of cells per side that `default_delta` couples.
_N_SAMPLE = 1000

#: Factor from the longest sampled displacement to pi delta, since other cells may move farther.
_MARGIN = 1.25


def wfr_cost(distance: np.ndarray, delta: float) -> np.ndarray:
    """Return the ground cost -log cos^2(min(d / 2 delta, pi / 2)).

    The minimum of this transport cost plus Kullback-Leibler penalties of weight 1 on both
    marginals is half the squared Wasserstein-Fisher-Rao distance, in units of delta^2 (Liero,
    Mielke and Savaré 2018; Peng et al. 2026, arXiv 2601.06810).
    """
    angle = np.minimum(distance / (2 * delta), math.pi / 2)
    return -np.log(np.maximum(np.cos(angle) ** 2, _MIN_COS2))


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
    """Couple cells by unbalanced transport; each pair has masses at both ends.

    A cell has mass one, or its weight relative to the mean weight, so the total mass grows by m / n
    between n and m cells, clipped to `growth`. Scaling the rows of the plan to the source masses
    gives g0, scaling its columns to the target masses g1 (Peng et al. 2026, arXiv 2601.06810).
    Pairs are drawn in proportion to g0, with mass 1 at the source and g1 / g0 at the target.
    Source cells with growth rates are weighted by what they grow to, as `Pairs.over` has it: their
    mass at the source is exp(-rate T). Distances are those of the coordinates `Batch.x`, in which
    paths run, and of the conditions that costs keep.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    delta
        Length scale, in units of the coordinates; mass is not transported farther than pi delta.
    generator
        Source of randomness of the blocks.
    block_size
        Largest number of cells per side of a block; plans are solved within random blocks.
    max_blocks
        Largest number of blocks that are solved; cells of other blocks are not paired. Each block
        has the same share of both populations, so its growth is that of all. None solves all.
    growth
        Limits of the growth of total mass, between which m / n is clipped.
    """
    check_positive(delta, "delta")
    x, y = (each.append_conditions(each.x).cpu().numpy() for each in (source.cells, target.cells))
    a, b = growing_masses(source, target, growth)
    plans = []
    blocks = random_blocks(len(x), len(y), block_size, generator)[:max_blocks]
    for rows, columns in blocks:
        # Distances and costs, 32 MB each by default, are not named so that they are freed.
        soft = kl_unbalanced_plan(
            wfr_cost(distances(x[rows], y[columns]), delta), 1.0, a[rows], b[columns]
        )
        starts, ends = rows[soft.rows], columns[soft.columns]
        near = _paired_distances(x[starts], y[ends]) < math.pi * delta
        plans.append(Plan(starts[near], ends[near], soft.mass[near]))
    plan = Plan.concatenate(plans)
    n, m = (sum(map(len, side)) for side in zip(*blocks, strict=True))
    _check_unpaired(plan, n, m, delta)
    pairs, masses = (plan.rows, plan.columns), scale_to_masses(plan, a, b)
    return growing_coupling(source, target, interval, pairs, masses)


def _paired_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance between corresponding rows, shape (n,), in float64."""
    return np.linalg.norm(x.astype(np.float64) - y.astype(np.float64), axis=1)


def _check_unpaired(plan: Plan, n: int, m: int, delta: float) -> None:
    """Raise an error if no cells are paired, and warn if some are not."""
    if not len(plan.mass):
        raise InputError(
            f"no two cells are closer than pi delta = {math.pi * delta:.3g}: raise delta"
        )
    unpaired = n - len(np.unique(plan.rows)), m - len(np.unique(plan.columns))
    if any(unpaired):
        warnings.warn(
            f"{unpaired[0]} of {n} source cells and {unpaired[1]} of {m} target cells have no "
            f"partner within pi delta = {math.pi * delta:.3g} and are left out: raise delta",
            CellflowWarning,
            stacklevel=3,
        )


def default_delta(
    ends: Sequence[tuple[FiniteMarginal, FiniteMarginal]],
    generator: torch.Generator,
    shares: Sequence[float] | None = None,
) -> float:
    """Estimate the length scale delta from the cells at both ends of each coupling of a course.

    It is the mean distance of optimally coupled cells, in units of the coordinates, at which the
    mass of a typical pair is a sixteenth lower half way; and at least large enough for pi delta to
    exceed all of these distances. Up to 1,000 cells per side are coupled.

    Parameters
    ----------
    ends
        Source and target of each coupling: of an interval, or of a label within one.
    generator
        Source of randomness of the cells that are coupled.
    shares
        Weight of each coupling in the mean; None for equal weights.
    """
    distances_of_pairs = [_coupled_distances(*each, generator) for each in ends]
    mean = float(np.average([mean for mean, _ in distances_of_pairs], weights=shares))
    delta = max(mean, _MARGIN * max(largest for _, largest in distances_of_pairs) / math.pi)
    # If no cell moves, each is coupled with itself at any length scale.
    return delta if delta > 0 else 1.0


def _coupled_distances(
    source: FiniteMarginal, target: FiniteMarginal, generator: torch.Generator
) -> tuple[float, float]:
    """Return the mean and the largest distance of optimally coupled cells."""
    drawn = (each.sample(min(_N_SAMPLE, len(each.masses)), generator) for each in (source, target))
    x, y = (each.append_conditions(each.x).double().cpu().numpy() for each in drawn)
    distance = distances(x, y)
    plan = exact_plan(distance**2)
    coupled = distance[plan.rows, plan.columns]
    return float(plan.mass @ coupled), float(coupled.max())
