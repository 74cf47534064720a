"""Couplings by one plan of all cells, computed once; a draw from it is almost free."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from cellflow._batch import Batch, FiniteMarginal, Interval, Pairs
from cellflow._errors import CellflowWarning, InputError
from cellflow._random import draw_positions, draw_seed, search_cdf
from cellflow._typing import Rows
from cellflow.couplings.coupling import Coupling, PairTable
from cellflow.couplings.ground_costs import Cost, LineageCost, squared_euclidean
from cellflow.transport.blocks import blockwise_plan
from cellflow.transport.exact import exact_plan, lazy_exact_plan, plan_memory
from cellflow.transport.low_rank import LowRankPlan, low_rank_plan
from cellflow.transport.plan import Plan

#: Dimensions up to which costs are quick to take anew at every pivot of the network simplex.
_FEW_DIMENSIONS = 10

_CHUNK = 1024


@dataclass
class PlanCoupling(Coupling):
    """Pairs of cells drawn by the masses of a plan, with replacement and in random order.

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    plan
        Entries between the cells of both.
    m0, m1
        Masses at both ends of the pair of each entry, shape (k,), where mass changes on the way.
    """

    source: FiniteMarginal
    target: FiniteMarginal
    interval: Interval
    plan: Plan
    m0: Rows | None = field(default=None, kw_only=True)
    m1: Rows | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        device = self.source.masses.device
        plan = self.plan
        self._rows, self._columns, self._cdf = (
            torch.as_tensor(each, device=device)
            for each in (plan.rows, plan.columns, np.cumsum(plan.mass, dtype=np.float64))
        )
        masses = {"m0": self.m0, "m1": self.m1}
        self._masses = {name: mass.to(device) for name, mass in masses.items() if mass is not None}

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs with replacement, with probability proportional to the plan."""
        return self._pairs(search_cdf(self._cdf, draw_positions(self._cdf, n, generator)))

    def pair_table(self) -> PairTable | None:
        """Return all entries of the plan; None if a marginal transforms points at each draw."""
        if self.source.is_transformed or self.target.is_transformed:
            return None
        entries = torch.arange(len(self._cdf), device=self._cdf.device)
        return PairTable(self._pairs(entries), self._cdf, partial(draw_positions, self._cdf))

    def _pairs(self, entries: Tensor) -> Pairs:
        return Pairs.over(
            self.interval,
            self.source.take(self._rows[entries]),
            self.target.take(self._columns[entries]),
            **{name: mass[entries] for name, mass in self._masses.items()},
        )


@dataclass
class LowRankCoupling(Coupling):
    """Pairs of cells drawn through the classes of a low-rank plan, which is never written out.

    A class is drawn by its mass, and source and target by theirs in it (Scetbon et al. 2021,
    arXiv 2103.04737).

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    plan
        The factors.
    """

    source: FiniteMarginal
    target: FiniteMarginal
    interval: Interval
    plan: LowRankPlan

    def __post_init__(self) -> None:
        device = self.source.masses.device
        # The factors are flattened class by class, so that one search finds a class and a cell.
        self._left_cdf, self._right_cdf = (
            torch.as_tensor(np.cumsum(factor.T, dtype=np.float64), device=device)
            for factor in (self.plan.left, self.plan.right)
        )

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs: source point and class together, then a target point of that class."""
        share = torch.rand(
            (2, n), generator=generator, device=self._left_cdf.device, dtype=torch.float64
        )
        n_source, n_target = len(self.plan.left), len(self.plan.right)
        left = search_cdf(self._left_cdf, share[0] * self._left_cdf[-1])
        group = left // n_source
        ends = self._right_cdf[n_target - 1 :: n_target]
        starts = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
        positions = starts[group] + share[1] * (ends - starts)[group]
        first = group * n_target
        right = search_cdf(self._right_cdf, positions).clamp(min=first, max=first + n_target - 1)
        source, target = self.source.take(left % n_source), self.target.take(right % n_target)
        return Pairs.over(self.interval, source, target)


def exact_full_coupling(
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval = (0.0, 1.0),
    *,
    cost: Cost = squared_euclidean,
    max_memory: float = 4.0,
) -> PlanCoupling:
    """Couple all cells by the exact optimal plan between them (Bonneel et al. 2011).

    It needs 40 n m bytes. Beyond `max_memory`, squared distances in few dimensions are solved
    without a cost matrix, with a warning, since that is slower.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    cost
        Ground cost.
    max_memory
        Largest memory of the solver, in GB.

    Raises
    ------
    InputError
        If the plan needs more memory than it may take.
    """
    before, after = _precise(source.cells), _precise(target.cells)
    n, m = len(before), len(after)
    a, b = _masses(source), _masses(target)
    needed = plan_memory(n, m)
    if needed <= max_memory:
        plan = exact_plan(_matrix(cost, before, after), a, b)
    elif (
        _is_squared_distance(cost, before, after)
        and before.cost_features.shape[1] <= _FEW_DIMENSIONS
    ):
        warnings.warn(
            f"the exact plan of {n} x {m} cells needs {needed:.3g} GB, more than max_memory = "
            f"{max_memory:g}, so it is solved without a cost matrix, which is slower; coupling "
            "'blockwise' is quick",
            CellflowWarning,
            stacklevel=2,
        )
        plan = lazy_exact_plan(before.cost_features.numpy(), after.cost_features.numpy(), a, b)
    else:
        raise InputError(
            f"the exact plan of {n} x {m} cells needs {needed:.3g} GB, more than max_memory = "
            f"{max_memory:g}: take coupling 'blockwise' or raise max_memory"
        )
    return PlanCoupling(source, target, interval, plan)


def blockwise_coupling(
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval = (0.0, 1.0),
    *,
    generator: torch.Generator,
    cost: Cost = squared_euclidean,
    block_size: int = 2000,
    rounds: int = 2,
) -> PlanCoupling:
    """Couple all cells by exact plans inside large random blocks (Fatras et al. 2020).

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    generator
        Draws the blocks.
    cost
        Ground cost.
    block_size
        Most cells of a side in a block; memory grows with its square.
    rounds
        Times that the cells are split anew; the plan is the mean over them.
    """
    plan = blockwise_plan(
        _block_cost(cost, _precise(source.cells), _precise(target.cells)),
        _masses(source),
        _masses(target),
        block_size=block_size,
        generator=generator,
        rounds=rounds,
    )
    return PlanCoupling(source, target, interval, plan)


def low_rank_coupling(
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval = (0.0, 1.0),
    *,
    generator: torch.Generator,
    rank: int = 50,
    epsilon: float = 0.0,
) -> LowRankCoupling:
    """Couple all cells by a low-rank plan of squared distances: coarse, but of any size.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    generator
        Draws the start of the solver.
    rank
        Classes of cells that mass goes through.
    epsilon
        Strength of the entropy of the factors, in units of the cost.
    """
    seed = draw_seed(generator, 2**31)
    x, y = (_precise(marginal.cells).cost_features.numpy() for marginal in (source, target))
    plan = low_rank_plan(x, y, rank, _masses(source), _masses(target), epsilon=epsilon, seed=seed)
    return LowRankCoupling(source, target, interval, plan)


def _masses(marginal: FiniteMarginal) -> np.ndarray:
    masses: np.ndarray = marginal.masses.double().cpu().numpy()
    return masses


def _precise(batch: Batch) -> Batch:
    """The same points where and as precise as exact solvers want them."""
    batch = batch.to("cpu")
    features = None if batch.features is None else batch.features.double()
    return replace(batch, x=batch.x.double(), features=features)


def _is_squared_distance(cost: Cost, source: Batch, target: Batch) -> bool:
    """Whether a cost is that of the coordinates alone."""
    if isinstance(cost, LineageCost) and (source.clones is None or target.clones is None):
        return _is_squared_distance(cost.base, source, target)
    return cost is squared_euclidean


def _block_cost(
    cost: Cost, source: Batch, target: Batch
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        pair = source[torch.from_numpy(rows)], target[torch.from_numpy(columns)]
        costs: np.ndarray = cost(*pair).numpy()
        return costs

    return block


def _matrix(cost: Cost, source: Batch, target: Batch) -> np.ndarray:
    """All costs, made in parts so that what they are made of stays small."""
    matrix = np.empty((len(source), len(target)))
    for start in range(0, len(source), _CHUNK):
        part = slice(start, start + _CHUNK)
        matrix[part] = cost(source[part], target).numpy()
    return matrix
