"""Entropic plans between samples, with a strength that is read from the points.

The discrete Schrödinger bridge: of all ways to get from one sample to the other, the plan with the
largest entropy that is as cheap (Léonard 2014). Its rows spread over many cells, where those of an
exact plan have one or two entries, and are averaged over near cells: where populations fan out, a
plan amplifies the smallest differences between cells to different fates, noise as well as signal.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator

from cellflow._errors import CellflowWarning
from cellflow.transport.plan import normalise_masses
from cellflow.transport.random_blocks import BlockCost

#: Share of the columns that the mass of a row spreads over (its perplexity), in the mean.
SPREAD = 0.3

#: Share of the points of a side whose farthest one bounds the strength, and the bound relative to
#: the cost to that one: wider plans would mix groups of cells that are apart, such as lineages.
NEAR, LIMIT = 0.2, 0.6

#: Bracket of the strength, relative to the mean cost, and steps of the bisection.
_BRACKET, _BISECTIONS = (1e-3, 10.0), 12

#: L1 errors at which iterations stop, for plans and for those of the bisection; limit of the
#: iterations, and error of the row sums that is worth a warning.
_TOLERANCE, _ROUGH, _MAX_ITER, _TOO_LARGE = 1e-3, 1e-2, 2000, 1e-2

#: Scaling beyond which potentials absorb it.
_LARGEST = 1e100

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


@dataclass(frozen=True)
class NearRows:
    """Rows and those that are nearest to each.

    Attributes
    ----------
    rows
        Indices of the rows, shape (n,).
    sample
        Indices of the rows that are candidates, shape (s,).
    near
        Positions in the sample of the nearest, shape (n, k), of a small type of integers.
    """

    rows: np.ndarray
    sample: np.ndarray
    near: np.ndarray


class RowAverages(LinearOperator):
    """Means over near rows, shape (n, n); rows that are in no block become zero.

    A sparse matrix would take six times the memory.

    Parameters
    ----------
    blocks
        Near rows, of rows that differ between blocks.
    n
        Number of rows.
    """

    def __init__(self, blocks: Sequence[NearRows], n: int) -> None:
        super().__init__(np.dtype(np.float64), (n, n))
        self.blocks = blocks

    def _matmat(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros((self.shape[0], values.shape[1]))
        for block in self.blocks:
            for chunk in _chunks(len(block.rows)):
                result[block.rows[chunk]] = _weights(block, chunk) @ values[block.sample]
        return result

    def _rmatmat(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros((self.shape[1], values.shape[1]))
        for block in self.blocks:
            for chunk in _chunks(len(block.rows)):
                result[block.sample] += _weights(block, chunk).T @ values[block.rows[chunk]]
        return result

    # Older versions of SciPy do not derive it from the product with a matrix.
    def _rmatvec(self, values: np.ndarray) -> np.ndarray:
        return self._rmatmat(values.reshape(-1, 1))


def _weights(block: NearRows, chunk: slice) -> csr_array:
    """Return equal weights of the rows near to some, shape (chunk, s)."""
    near = block.near[chunk]
    k = near.shape[1]
    entries = np.full(near.size, 1 / k), near.ravel().astype(np.int32), np.arange(len(near) + 1) * k
    return csr_array(entries, shape=(len(near), len(block.sample)))


class EntropicOperator(LinearOperator):
    """A matrix of entropic blocks with smoothed rows, whose entries are computed when multiplied.

    Each row is the mean of the normalised rows of near cells, times its mass. Columns are scaled
    to one afterwards.

    Parameters
    ----------
    blocks
        Its blocks; rows and columns without a block are zero.
    cost
        Costs between rows and columns.
    smoothing
        Averages over near rows, shape (n, n).
    masses
        Masses of the rows, shape (n,).
    n_columns
        Number of columns.
    """

    def __init__(
        self,
        blocks: list[EntropicBlock],
        cost: BlockCost,
        smoothing: LinearOperator,
        masses: np.ndarray,
        n_columns: int,
    ) -> None:
        super().__init__(np.dtype(np.float64), (len(masses), n_columns))
        self.blocks, self.cost, self.smoothing = blocks, cost, smoothing
        self.masses = masses[:, None]
        self._row_sums = np.ones_like(self.masses)
        self._column_scale = np.ones((n_columns, 1))
        sums = self._multiply(self._column_scale)
        self._row_sums = np.where(sums > 0, sums, 1)
        sums = self._rmatmat(np.ones_like(self.masses))
        self._column_scale = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)

    def _matmat(self, values: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.smoothing @ self._multiply(self._column_scale * values)
        return self.masses * result

    def _rmatmat(self, values: np.ndarray) -> np.ndarray:
        weights = self.smoothing.T @ (self.masses * values) / self._row_sums
        result = np.zeros((self.shape[1], values.shape[1]))
        for block in self.blocks:
            for chunk in _chunks(len(block.rows)):
                result[block.columns] += self._entries(block, chunk).T @ weights[block.rows[chunk]]
        return self._column_scale * result

    def _rmatvec(self, values: np.ndarray) -> np.ndarray:
        return self._rmatmat(values.reshape(-1, 1))

    def _multiply(self, values: np.ndarray) -> np.ndarray:
        """Multiply by the normalised rows, before they are smoothed."""
        result = np.zeros((self.shape[0], values.shape[1]))
        for block in self.blocks:
            for chunk in _chunks(len(block.rows)):
                result[block.rows[chunk]] = self._entries(block, chunk) @ values[block.columns]
        return result / self._row_sums

    def _entries(self, block: EntropicBlock, chunk: slice) -> np.ndarray:
        cost = self.cost(block.rows[chunk], block.columns)
        cost /= -block.epsilon
        cost += block.f[chunk, None]
        cost += block.g
        return np.exp(cost, out=cost)


def solve_block(
    cost: BlockCost, rows: np.ndarray, columns: np.ndarray, a: np.ndarray, epsilon: float
) -> EntropicBlock:
    """Return the entropic plan between rows of masses `a` and columns of equal masses.

    Columns are scaled to one afterwards. Warns if row sums are off by more than 1 % of the mass.
    """
    f, g, error = _sinkhorn(cost(rows, columns), epsilon, a, _TOLERANCE)
    if error > _TOO_LARGE:
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
    the perplexity of a row, as in t-SNE. The strength is at most 0.6 times the cost to the `near`
    share of the cells of the own time, so that lineages which are apart do not mix. Both are shares
    of the cells, so more cells of the same populations give the same strength, and factors of the
    cost cancel.

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
    limit = LIMIT * float(np.exp(np.mean(np.log(reaches)))) if reaches else np.inf
    return min(mean * float(np.exp(0.5 * (low + high))), limit)


def _perplexity(cost: np.ndarray, epsilon: float) -> float:
    """Return the geometric mean of the perplexities of the rows of an entropic plan."""
    f, g, _ = _sinkhorn(cost.copy(), epsilon, np.ones(len(cost)), _ROUGH)
    plan = np.exp(f[:, None] + g - cost / epsilon)
    plan /= plan.sum(axis=1, keepdims=True)
    # 0 log 0 = 0: entries that underflow have no entropy.
    return float(np.exp(-(plan * np.log(np.maximum(plan, 1e-300))).sum(axis=1).mean()))


def _neighbour_cost(costs: np.ndarray, near: float) -> float:
    """Return the geometric mean of the costs to the farthest of the `near` share that are not 0.

    0 if there are none.
    """
    if len(costs) < 2:
        return 0.0
    rank = max(1, round(near * (len(costs) - 1)))
    # The cost of a cell to itself is the smallest, so rank 0.
    far = np.partition(costs, rank, axis=1)[:, rank]
    far = far[far > 0]
    return float(np.exp(np.log(far).mean())) if len(far) else 0.0


def _sinkhorn(
    cost: np.ndarray, epsilon: float, a: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return potentials with column sums of one, and the L1 error of the row sums.

    Replaces the costs: there may be no memory for others of this size.

    The smallest cost of each row, then of each column, is subtracted first, so that every row and
    column of the kernel has an entry of 1, and scalings are absorbed into the potentials before
    they overflow (Schmitzer 2019). POT's solver of that kind took 100 times as long on 1,000 cells
    in two dimensions, since it went on far beyond the tolerance.
    """
    a, share = normalise_masses(a, len(cost)), 1 / cost.shape[1]
    lowest_row = cost.min(axis=1)
    cost -= lowest_row[:, None]
    lowest_column = cost.min(axis=0)
    cost -= lowest_column
    cost /= epsilon
    f, g, kernel, left = np.zeros(len(a)), np.zeros(cost.shape[1]), np.negative(cost), a
    np.exp(kernel, out=kernel)
    for _ in range(_MAX_ITER):
        right = share / (left @ kernel)
        sums = kernel @ right
        error = float(np.abs(left * sums - a).sum())
        if error <= tolerance:
            break
        left = np.divide(a, sums, out=np.zeros_like(a), where=sums > 0)
        if left.max() > _LARGEST or right.max() > _LARGEST:
            with np.errstate(divide="ignore"):
                f, g = f + np.log(left), g + np.log(right)
            kernel, left = np.exp(f[:, None] + g - cost), np.ones_like(a)
    with np.errstate(divide="ignore"):
        f = f + np.log(left) + lowest_row / epsilon
    g = g + np.log(right / share) + lowest_column / epsilon
    return f, g, error


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
