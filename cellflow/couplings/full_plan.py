"""Couplings by one transport plan of all cells, computed before training."""

from __future__ import annotations

import warnings
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
from cellflow.transport.exact import exact_plan, lazy_exact_plan, plan_memory
from cellflow.transport.low_rank import LowRankPlan, low_rank_plan
from cellflow.transport.plan import Plan
from cellflow.transport.random_blocks import BlockCost, blockwise_plan

#: Dimensions up to which recomputing costs at every pivot of the network simplex is fast.
_MAX_LAZY_DIM = 10

#: Rows of a cost matrix that are computed at a time.
_CHUNK_SIZE = 1024


@dataclass
class PlanCoupling(Coupling):
    """Pairs of cells drawn from a transport plan, with replacement.

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    plan
        Transport plan between the cells of both, with k entries.
    m0, m1
        Masses at source and target of each entry, shape (k,), if mass changes between them.
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
        """Draw `n` pairs with probability proportional to the plan."""
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


def growing_masses(
    source: FiniteMarginal, target: FiniteMarginal, growth: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the masses of the cells of both sides, shapes (n,) and (m,).

    A cell has mass one, or its weight relative to the mean weight. Masses of the target are scaled
    so that the total grows by m / n, clipped to the limits `growth`.
    """
    a, b = (each.masses.double().cpu().numpy() * len(each.cells) for each in (source, target))
    observed_growth = b.sum() / a.sum()
    return a, b * (np.clip(observed_growth, *growth) / observed_growth)


def scale_to_masses(plan: Plan, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the masses of the entries of a plan at both ends, shape (k,) each.

    They are the plan with its rows scaled to the masses `a` of the source, and with its columns
    scaled to the masses `b` of the target.
    """
    at_start, at_end = (
        plan.mass / np.bincount(index, plan.mass)[index] * each[index]
        for index, each in ((plan.rows, a), (plan.columns, b))
    )
    return at_start, at_end


def growing_coupling(
    source: FiniteMarginal,
    target: FiniteMarginal,
    interval: Interval,
    pairs: tuple[np.ndarray, np.ndarray],
    masses: tuple[np.ndarray, np.ndarray],
) -> PlanCoupling:
    """Return the coupling of pairs of rows with a mass at either end.

    Pairs are drawn in proportion to their mass at the source, and have that as unit of mass. Source
    cells with growth rates are weighted by what they grow to, as `Pairs.over` has it: their mass at
    the source is exp(-rate T).
    """
    (rows, columns), (at_start, at_end) = pairs, masses
    m1 = torch.from_numpy(at_end / at_start).to(source.cells.x.dtype)
    m0, rate = torch.ones_like(m1), source.cells.rate
    if rate is not None:
        m0 = torch.exp(-rate.cpu()[torch.from_numpy(rows)] * (interval[1] - interval[0]))
    drawn = Plan(rows, columns, at_start / at_start.sum())
    return PlanCoupling(source, target, interval, drawn, m0=m0, m1=m1)


@dataclass
class LowRankCoupling(Coupling):
    """Pairs of cells drawn from a low-rank plan, which is never written as a matrix.

    A class is drawn by its mass, then source and target independently by their masses in that
    class (Scetbon et al. 2021, arXiv 2103.04737).

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    plan
        Factors of the plan.
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
    """Couple all cells by the exact optimal transport plan (Bonneel et al. 2011).

    The solver requires 40 n m bytes. Beyond `max_memory`, squared distances in few dimensions are
    solved without a cost matrix, with a warning because this is slower.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    cost
        Ground cost.
    max_memory
        Memory limit of the solver, in GB.

    Raises
    ------
    InputError
        If the plan requires more memory than `max_memory`.
    """
    before, after = to_float64(source.cells), to_float64(target.cells)
    n, m = len(before), len(after)
    a, b = masses_of(source), masses_of(target)
    needed = plan_memory(n, m)
    if needed <= max_memory:
        plan = exact_plan(_cost_matrix(cost, before, after), a, b)
    elif (
        _is_squared_distance(cost, before, after) and before.cost_features.shape[1] <= _MAX_LAZY_DIM
    ):
        warnings.warn(
            f"the exact plan of {n} x {m} cells needs {needed:.3g} GB, more than max_memory = "
            f"{max_memory:g}, so it is solved without a cost matrix, which is slower; coupling "
            "'blockwise' is faster",
            CellflowWarning,
            stacklevel=2,
        )
        plan = lazy_exact_plan(before.cost_features.numpy(), after.cost_features.numpy(), a, b)
    else:
        raise InputError(
            f"the exact plan of {n} x {m} cells needs {needed:.3g} GB, more than max_memory = "
            f"{max_memory:g}: use coupling 'blockwise' or raise max_memory"
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
    """Couple all cells by exact plans within large random blocks (Fatras et al. 2020).

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    generator
        Source of randomness of the blocks.
    cost
        Ground cost.
    block_size
        Largest number of cells per side of a block; memory grows with its square.
    rounds
        Number of random splits into blocks; the plan is the mean over them.
    """
    plan = blockwise_plan(
        block_cost(cost, source.cells, target.cells),
        masses_of(source),
        masses_of(target),
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
    """Couple all cells by a low-rank plan of squared distances.

    It is coarse, and its memory grows with the number of cells only.

    Parameters
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    generator
        Source of randomness of the solver's initial factors.
    rank
        Rank of the plan, the number of classes that mass is transported through.
    epsilon
        Entropic regularisation of the factors, in units of the cost.
    """
    seed = draw_seed(generator, 2**31)
    x, y = (to_float64(marginal.cells).cost_features.numpy() for marginal in (source, target))
    plan = low_rank_plan(
        x, y, rank, masses_of(source), masses_of(target), epsilon=epsilon, seed=seed
    )
    return LowRankCoupling(source, target, interval, plan)


def masses_of(marginal: FiniteMarginal) -> np.ndarray:
    """Return the masses of a marginal, float64 on the CPU."""
    masses: np.ndarray = marginal.masses.double().cpu().numpy()
    return masses


def to_float64(batch: Batch) -> Batch:
    """Return the batch on the CPU with coordinates in float64, as exact solvers require."""
    batch = batch.to("cpu")
    features = None if batch.features is None else batch.features.double()
    return replace(batch, x=batch.x.double(), features=features)


def _is_squared_distance(cost: Cost, source: Batch, target: Batch) -> bool:
    """Return whether the cost is the squared distance for these batches."""
    if source.penalties is not None:
        return False
    if isinstance(cost, LineageCost) and (source.clones is None or target.clones is None):
        return _is_squared_distance(cost.base, source, target)
    return cost is squared_euclidean


def block_cost(cost: Cost, source: Batch, target: Batch) -> BlockCost:
    """Return the function of row and column indices that computes their costs in float64."""

    def block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        chosen = (source, rows), (target, columns)
        pair = (to_float64(batch[torch.from_numpy(index)]) for batch, index in chosen)
        costs: np.ndarray = cost(*pair).numpy()
        return costs

    return block


def _cost_matrix(cost: Cost, source: Batch, target: Batch) -> np.ndarray:
    """Return the cost matrix, computed in chunks of rows to bound temporary memory."""
    matrix = np.empty((len(source), len(target)))
    for start in range(0, len(source), _CHUNK_SIZE):
        rows = slice(start, start + _CHUNK_SIZE)
        matrix[rows] = cost(source[rows], target).numpy()
    return matrix
