"""Entropic plans between samples, with a strength that is read from the points.

The discrete Schrödinger bridge: of all ways to get from one sample to the other, the plan with the
largest entropy that is as cheap (Léonard 2014). Its rows spread over all cells that the data cannot
tell apart, where those of an exact plan have one or two entries.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator

from cellflow._errors import CellflowWarning
from cellflow.transport.plan import normalise_masses
from cellflow.transport.random_blocks import BlockCost

#: Share of the columns that the mass of a row spreads over (its perplexity), in the mean.
SPREAD = 0.4

#: Share of the points of a side whose farthest one bounds the strength: wider plans would mix
#: groups of cells that are apart, such as separate lineages.
NEAR = 0.1

#: Bracket of the strength, relative to the mean cost, and steps of the bisection.
_BRACKET, _BISECTIONS = (1e-3, 10.0), 12

#: Largest L1 error of row sums, that of the bisection's plans, and limit of the iterations.
_TOLERANCE, _ROUGH, _MAX_ITER = 1e-3, 1e-2, 2000

#: Rows of a plan that are computed at a time.
_CHUNK = 1024


@dataclass(frozen=True)
class EntropicBlock:
    """The entropic plan between some rows and columns, by its potentials.

    Attributes
    ----------
    rows, columns
        Indices of the points, shapes (n,) and (m,).
    f, g
        Potentials in units of `epsilon`: the plan is `exp(f_i + g_j - cost_ij / epsilon)`, and its
        columns sum to one.
    epsilon
        Strength of the entropy, in units of the cost.
    """

    rows: np.ndarray
    columns: np.ndarray
    f: np.ndarray
    g: np.ndarray
    epsilon: float


class EntropicOperator(LinearOperator):
    """A matrix of entropic blocks, whose entries are computed when it is multiplied.

    Parameters
    ----------
    shape
        Numbers of rows and columns of the matrix.
    blocks
        Its blocks; rows and columns without a block are zero.
    cost
        Costs between rows and columns.
    """

    def __init__(
        self, shape: tuple[int, int], blocks: list[EntropicBlock], cost: BlockCost
    ) -> None:
        super().__init__(np.dtype(np.float64), shape)
        self.blocks, self.cost = blocks, cost

    def _matmat(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros((self.shape[0], values.shape[1]))
        for block in self.blocks:
            for chunk in _chunks(len(block.rows)):
                result[block.rows[chunk]] = self._entries(block, chunk) @ values[block.columns]
        return result

    def _rmatmat(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros((self.shape[1], values.shape[1]))
        for block in self.blocks:
            for chunk in _chunks(len(block.rows)):
                result[block.columns] += self._entries(block, chunk).T @ values[block.rows[chunk]]
        return result

    def _entries(self, block: EntropicBlock, chunk: slice) -> np.ndarray:
        cost = self.cost(block.rows[chunk], block.columns)
        entries: np.ndarray = np.exp(block.f[chunk, None] + block.g - cost / block.epsilon)
        return entries


def solve_block(
    cost: BlockCost, rows: np.ndarray, columns: np.ndarray, a: np.ndarray, epsilon: float
) -> EntropicBlock:
    """Return the entropic plan between rows of masses `a` and columns of equal masses.

    Columns are scaled to one afterwards. Warns if row sums are off by more than 0.1 % of the mass.
    """
    f, g, error = _sinkhorn(cost(rows, columns), epsilon, a, _TOLERANCE)
    if error > _TOLERANCE:
        warnings.warn(
            f"an entropic plan of {len(rows)} x {len(columns)} cells did not converge: its row "
            f"sums are off by {error:.2g} of the mass",
            CellflowWarning,
            stacklevel=2,
        )
    return EntropicBlock(rows, columns, f, g, epsilon)


def choose_epsilon(
    between: np.ndarray,
    within: tuple[np.ndarray, np.ndarray],
    *,
    spread: float = SPREAD,
    near: float = NEAR,
) -> float:
    """Return the strength of the entropy that suits two samples, in units of their costs.

    A cell's descendants spread over `spread` of the cells of the later time, in the geometric mean:
    the perplexity of a row, as in t-SNE. The strength is at most the cost to the `near` share of
    the cells of the own time, so that lineages which are apart do not mix. Both are shares of the
    cells, so more cells of the same populations give the same strength, and factors of the cost
    cancel.

    Parameters
    ----------
    between
        Costs between cells of both samples, shape (n, m).
    within
        Costs among cells of each sample, shapes (n, n) and (m, m).
    spread, near
        The two shares.
    """
    mean = float(between.mean())
    if not mean > 0:
        return 1.0
    low, high = np.log(_BRACKET)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _perplexity(between / mean, float(np.exp(middle))) < spread * between.shape[1]:
            low = middle
        else:
            high = middle
    reaches = [reach for costs in within if (reach := _neighbour_cost(costs, near)) > 0]
    limit = float(np.exp(np.mean(np.log(reaches)))) if reaches else np.inf
    return min(mean * float(np.exp(0.5 * (low + high))), limit)


def _perplexity(cost: np.ndarray, epsilon: float) -> float:
    """Return the geometric mean of the perplexities of the rows of an entropic plan."""
    f, g, _ = _sinkhorn(cost, epsilon, np.ones(len(cost)), _ROUGH)
    plan = np.exp(f[:, None] + g - cost / epsilon)
    plan /= plan.sum(axis=1, keepdims=True)
    # 0 log 0 = 0: entries that underflow have no entropy.
    return float(np.exp(-(plan * np.log(np.maximum(plan, 1e-300))).sum(axis=1).mean()))


def _neighbour_cost(costs: np.ndarray, near: float) -> float:
    """Return the geometric mean of the costs to the farthest of the `near` share; 0 if all are."""
    rank = max(1, round(near * (len(costs) - 1)))
    if len(costs) < 2:
        return 0.0
    # The cost of a cell to itself is the smallest, so rank 0.
    far = np.partition(costs, rank, axis=1)[:, rank]
    far = far[far > 0]
    return float(np.exp(np.log(far).mean())) if len(far) else 0.0


def _sinkhorn(
    cost: np.ndarray, epsilon: float, a: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return potentials with column sums of one, and the L1 error of the row sums.

    The smallest cost of each row, then of each column, is subtracted before the exponential, so
    that every row and column has an entry of 1 and none underflows as a whole.
    """
    a = normalise_masses(a, len(cost))
    with np.errstate(divide="ignore"):
        log_a = np.log(a)
    lowest_row = cost.min(axis=1)
    lowest_column = (cost - lowest_row[:, None]).min(axis=0)
    kernel = np.exp((lowest_row[:, None] + lowest_column - cost) / epsilon)
    share = 1 / cost.shape[1]
    left = np.exp(log_a)
    error = np.inf
    for _ in range(_MAX_ITER):
        right = share / (left @ kernel)
        sums = kernel @ right
        error = float(np.abs(left * sums - a).sum())
        if error <= tolerance:
            break
        left = a / sums
    with np.errstate(divide="ignore"):
        f = np.log(left) + lowest_row / epsilon
        g = np.log(right / share) + lowest_column / epsilon
    return f, g, error


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
