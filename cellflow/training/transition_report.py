"""The share of the mass that would take transitions that are not allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from cellflow._batch import Batch
from cellflow.couplings.ground_costs import squared_euclidean
from cellflow.marginals import Marginals, Population
from cellflow.training.time_course import split_ends
from cellflow.transport import exact_plan

#: Largest number of cells per side of a plan.
_MAX_CELLS = 500


@dataclass(frozen=True)
class TransitionConflict:
    """Agreement of known transitions with transport between two times, from samples of the cells.

    Attributes
    ----------
    unaware
        Share of the mass that takes transitions that are not allowed, by transport without the
        penalties.
    paying
        The same share by transport with the penalties, paid since masses of groups do not match.
        Transitions with a weight count in part.
    excess
        Cost, penalties excluded, of the plan with the penalties over that of the plan without.
    """

    unaware: float
    paying: float
    excess: float


def transition_conflicts(marginals: Marginals, seed: int) -> list[TransitionConflict]:
    """Couple up to 500 cells of consecutive times exactly, with and without penalties.

    Returns one conflict for each interval.
    """
    generator = torch.Generator().manual_seed(seed)
    return [
        _compare_plans(source, target, generator)
        for (source, target), _ in marginals.intervals
        if isinstance(source, Population) and isinstance(target, Population)
    ]


def _compare_plans(
    source: Population, target: Population, generator: torch.Generator
) -> TransitionConflict:
    assert source.stored.penalties is not None
    full = float(source.stored.penalties.max()) or 1.0
    found, shares = [], []
    for (before, after), share in split_ends(source, target):
        x, y = (_sample(each, generator) for each in (before, after))
        costs = squared_euclidean(replace(x, penalties=None), y).double().numpy()
        told = squared_euclidean(x, y).double().numpy()
        penalties = (told - costs) / full
        masses = [np.full(len(each), 1 / len(each)) for each in (x, y)]
        plans = [exact_plan(matrix, *masses) for matrix in (costs, told)]
        found.append(
            [
                float(plan.mass @ matrix[plan.rows, plan.columns])
                for plan in plans
                for matrix in (penalties, costs)
            ]
        )
        shares.append(share)
    unaware, least, paying, cost = np.average(found, axis=0, weights=shares)
    return TransitionConflict(unaware, paying, cost / least if least > 0 else 1.0)


def _sample(population: Population, generator: torch.Generator) -> Batch:
    order = torch.randperm(len(population), generator=generator)[:_MAX_CELLS]
    return population.cells[order].to("cpu")
