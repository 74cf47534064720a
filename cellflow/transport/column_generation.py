"""Exact optimal transport by column generation: the network simplex on few entries at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import ot
from scipy.sparse import coo_matrix

from cellflow.transport.approximate_duals import approximate_duals
from cellflow.transport.plan import Plan

#: Entries of a cost matrix up to which all are given to the solver.
FEW = 500_000

#: Entries of a cost matrix from which a coarser problem gives the first duals in less time than
#: Sinkhorn's algorithm.
_MANY = 2_000_000

#: Factor by which the problem that gives the first duals has fewer rows and columns.
_COARSENING = 3

#: Approximate number of initial entries per row and per column.
_N_INITIAL = 16

#: Stride of the rows and columns from which the thresholds of initial entries are estimated.
_STRIDE = 8

#: Reduced cost that counts as zero, relative to the mean cost.
_ZERO = 1e-11

#: Rounds after which solving on all entries is faster.
_MAX_ROUNDS = 25

#: Rows of the cost matrix that are priced at a time.
_CHUNK_SIZE = 256

#: Dual potentials of rows and columns, shapes (n,) and (m,).
Duals = tuple[np.ndarray, np.ndarray]


def column_generation_plan(
    cost: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    max_iter: int,
    few: int = FEW,
    start: np.ndarray | None = None,
) -> tuple[Plan, Duals] | None:
    """Solve optimal transport by column generation.

    The network simplex starts with the entries whose reduced costs c_ij - u_i - v_j are lowest at
    approximate duals or, in larger problems, at the duals of a coarser one, with a third of the
    rows and columns, solved the same way. The duals of its plan price all entries; those of
    negative reduced cost, and others close to zero, are added until none is negative (Dantzig and
    Wolfe 1960; for transport Schmitzer 2016, arXiv 1510.05466).

    Parameters
    ----------
    cost
        Cost matrix, shape (n, m), float64, with a mean of about 1.
    a, b
        Masses of rows and columns, summing to one.
    max_iter
        Largest number of pivots of the solver.
    few
        Number of entries up to which a problem is solved on all of them.
    start
        Dual potential of the rows, shape (n,), of a similar problem, instead of a coarser one.

    Returns
    -------
    The plan and its duals, not proven optimal; None if the rounds or the solver do not converge.
    """
    if not (a > 0).all() or not (b > 0).all():
        return _drop_empty(cost, a, b, max_iter=max_iter, few=few, start=start)
    if cost.size <= few:
        return dense_simplex_plan(cost, a, b, max_iter)
    if start is not None:
        v = column_minimum(cost, start)
    elif cost.size < _MANY:
        v = column_minimum(cost, approximate_duals(cost, a, b)[0])
    else:
        coarse = _coarse_potential(cost, a, b, max_iter, few)
        if coarse is None:
            return None
        v = coarse
    u = row_minimum(cost, v)
    thresholds = _thresholds(cost, u, v)
    entries = np.union1d(_corner_entries(a, b), _entries_below(thresholds, cost, u, v))
    negligible = _ZERO * cost.mean()
    for _ in range(_MAX_ROUNDS):
        found = _solve_on(entries, cost, (u, v), (a, b), max_iter)
        if found is None:
            return None
        plan, (u, v) = found
        least, missing = _negative_entries(cost, u, v, negligible)
        if not len(missing):
            return plan, (u, v)
        # Duals change by about as much as they are violated, so entries this close come next.
        near = _entries_below(tuple(np.minimum(each, least) for each in thresholds), cost, u, v)
        entries = np.union1d(entries, np.concatenate([missing, near]))
    return None


def row_minimum(cost: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the c-transform u_i = min_j c_ij - v_j, shape (n,)."""
    return np.concatenate([(chunk - v).min(axis=1) for _, chunk in _chunks(cost)])


def column_minimum(cost: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the c-transform v_j = min_i c_ij - u_i, shape (m,)."""
    least = np.full(cost.shape[1], np.inf)
    for first, chunk in _chunks(cost):
        np.minimum(least, (chunk - u[first : first + len(chunk), None]).min(axis=0), out=least)
    return least


def _chunks(cost: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(cost), _CHUNK_SIZE):
        yield first, cost[first : first + _CHUNK_SIZE]


def _iter_reduced_costs(
    cost: np.ndarray, u: np.ndarray, v: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row index and the reduced costs of consecutive chunks of rows."""
    for first, chunk in _chunks(cost):
        reduced = chunk - u[first : first + len(chunk), None]
        reduced -= v
        yield first, reduced


def dense_simplex_plan(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, max_iter: int
) -> tuple[Plan, Duals]:
    """Solve on all entries; returns the best plan so far if the solver stops early."""
    dense, log = ot.emd(a, b, cost, numItermax=max_iter, log=True)
    return Plan.from_matrix(dense), (log["u"], log["v"])


def _solve_on(
    entries: np.ndarray, cost: np.ndarray, duals: Duals, masses: Duals, max_iter: int
) -> tuple[Plan, Duals] | None:
    """Solve on some entries, given as indices into the flattened matrix.

    The solver is given reduced costs, which have the same optimal plans: near optimal duals they
    are almost zero on the plan, and it takes a tenth of the time.
    """
    u, v = duals
    rows, columns = np.divmod(entries, len(v))
    reduced = cost[rows, columns] - u[rows] - v[columns]
    some = coo_matrix((reduced, (rows, columns)), shape=cost.shape)
    sparse, log = ot.emd(*masses, some, numItermax=max_iter, log=True)
    if log["warning"] is not None:
        return None
    flow = sparse.tocsr().tocoo()
    used = flow.data > 0
    plan = Plan(flow.row[used].astype(np.int64), flow.col[used].astype(np.int64), flow.data[used])
    return plan, (u + log["u"], v + log["v"])


def _drop_empty(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, **options: object
) -> tuple[Plan, Duals] | None:
    """Solve without rows and columns of zero mass, whose duals follow from the others."""
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    start = options.pop("start")
    start = start if start is None else start[rows]  # type: ignore[index]
    inside = np.ascontiguousarray(cost[np.ix_(rows, columns)])
    found = column_generation_plan(inside, a[rows], b[columns], start=start, **options)  # type: ignore[arg-type]
    if found is None:
        return None
    plan, (u, _) = found
    v = column_minimum(cost[rows], u)
    return Plan(rows[plan.rows], columns[plan.columns], plan.mass), (row_minimum(cost, v), v)


def _coarse_potential(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, max_iter: int, few: int
) -> np.ndarray | None:
    """Return the column potential from a problem of randomly drawn rows and columns."""
    rng = np.random.default_rng(0)
    rows, columns = (
        np.sort(rng.choice(n, -(-n // _COARSENING), replace=False)) for n in cost.shape
    )
    some, masses, others = np.ascontiguousarray(cost[np.ix_(rows, columns)]), a[rows], b[columns]
    found = column_generation_plan(
        some, masses / masses.sum(), others / others.sum(), max_iter=max_iter, few=few
    )
    return None if found is None else column_minimum(cost[rows], found[1][0])


def _corner_entries(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the entries of the north-west corner rule, which make the problem feasible."""
    rows, columns = np.cumsum(a), np.cumsum(b)
    ends = np.union1d(rows, columns)
    middle = (ends + np.concatenate([[0.0], ends[:-1]])) / 2
    i, j = (np.minimum(np.searchsorted(each, middle), len(each) - 1) for each in (rows, columns))
    return i * len(b) + j


def _thresholds(cost: np.ndarray, u: np.ndarray, v: np.ndarray) -> Duals:
    """Return reduced costs below which each row and each column has about `_N_INITIAL` entries."""
    rank = _N_INITIAL // _STRIDE - 1
    rows = cost[:, ::_STRIDE] - u[:, None] - v[::_STRIDE]
    columns = np.ascontiguousarray((cost[::_STRIDE] - u[::_STRIDE, None] - v).T)
    return tuple(  # type: ignore[return-value]
        np.partition(each, min(rank, each.shape[1] - 1), axis=1)[:, min(rank, each.shape[1] - 1)]
        for each in (rows, columns)
    )


def _entries_below(
    thresholds: tuple[np.ndarray, ...], cost: np.ndarray, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Return the entries with reduced costs up to the threshold of their row or column."""
    rows, columns = thresholds
    return np.concatenate(
        [
            np.flatnonzero(chunk <= np.maximum(rows[first : first + len(chunk), None], columns))
            + first * cost.shape[1]
            for first, chunk in _iter_reduced_costs(cost, u, v)
        ]
    )


def _negative_entries(
    cost: np.ndarray, u: np.ndarray, v: np.ndarray, negligible: float
) -> tuple[float, np.ndarray]:
    """Return the largest violation, and the most negative entry of each row and column."""
    m = cost.shape[1]
    least, place, entries = np.full(m, np.inf), np.zeros(m, dtype=np.int64), []
    for first, chunk in _iter_reduced_costs(cost, u, v):
        k = np.arange(len(chunk))
        columns = chunk.argmin(axis=1)
        low = chunk[k, columns] < -negligible
        entries.append((k[low] + first) * m + columns[low])
        rows = chunk.argmin(axis=0)
        lower = chunk[rows, np.arange(m)] < least
        least[lower] = chunk[rows, np.arange(m)][lower]
        place[lower] = rows[lower] + first
    low = least < -negligible
    entries.append(place[low] * m + np.flatnonzero(low))
    return max(0.0, -float(least.min())), np.concatenate(entries)
