"""Exact transport on few of the entries of a cost matrix, and more until none is missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import ot
from scipy.sparse import coo_matrix

from cellflow.transport.plan import Plan

#: Entries of a cost matrix up to which all of them go to the solver at once.
FEW = 500_000

#: A side of the problem that gives the first duals, as a share of the whole one's.
_COARSER = 3

#: Entries of a row and of a column, about, that the solver is given first.
_FIRST = 16

#: Rows and columns that are looked at to tell which entries are among the lowest of their own.
_SAMPLED = 8

#: Reduced cost that counts as none, as a share of the mean cost.
_NONE = 1e-11

#: Rounds after which there is nothing to gain over a solver that is given everything.
_ROUNDS = 25

_CHUNK = 256

#: Potentials of rows and columns.
Duals = tuple[np.ndarray, np.ndarray]


def priced_plan(
    cost: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    max_iter: int,
    few: int = FEW,
    start: np.ndarray | None = None,
) -> tuple[Plan, Duals] | None:
    """Solve optimal transport by column generation.

    The network simplex gets those entries only whose reduced costs c_ij - u_i - v_j are lowest at
    duals of a coarser problem, a third of the rows and columns, that is solved in the same way.
    The duals that it returns price all entries; those of negative reduced cost, and others near
    to none, join, until there are none (Dantzig and Wolfe 1960; for transport Schmitzer 2016,
    arXiv 1510.05466).

    Parameters
    ----------
    cost
        Ground costs, shape (n, m), in float64, about 1 in the mean.
    a, b
        Masses of rows and columns that sum to one.
    max_iter
        Pivots after which the solver gives up.
    few
        Entries up to which a problem is solved whole.
    start
        Potential of the rows, shape (n,), of a problem like this one, in place of a coarser one's.

    Returns
    -------
    The plan and its duals, neither proven; None where rounds have no end, or the solver none.
    """
    if not (a > 0).all() or not (b > 0).all():
        return _without_empty(cost, a, b, max_iter=max_iter, few=few, start=start)
    if cost.size <= few:
        return whole_plan(cost, a, b, max_iter)
    v = _coarse(cost, a, b, max_iter, few) if start is None else column_minimum(cost, start)
    if v is None:
        return None
    u = row_minimum(cost, v)
    ceilings = _ceilings(cost, u, v)
    entries = np.union1d(_corner(a, b), _under(ceilings, cost, u, v))
    negligible = _NONE * cost.mean()
    for _ in range(_ROUNDS):
        found = _on(entries, cost, (u, v), (a, b), max_iter)
        if found is None:
            return None
        plan, (u, v) = found
        least, missing = _negative(cost, u, v, negligible)
        if not len(missing):
            return plan, (u, v)
        # Duals will move by about as much as they are off, so entries that near may be next.
        near = _under(tuple(np.minimum(each, least) for each in ceilings), cost, u, v)
        entries = np.union1d(entries, np.concatenate([missing, near]))
    return None


def row_minimum(cost: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The c-transform u_i = min_j c_ij - v_j."""
    return np.concatenate([(part - v).min(axis=1) for _, part in _chunks(cost)])


def column_minimum(cost: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The c-transform v_j = min_i c_ij - u_i."""
    least = np.full(cost.shape[1], np.inf)
    for first, part in _chunks(cost):
        np.minimum(least, (part - u[first : first + len(part), None]).min(axis=0), out=least)
    return least


def _chunks(cost: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(cost), _CHUNK):
        yield first, cost[first : first + _CHUNK]


def _reduced(cost: np.ndarray, u: np.ndarray, v: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Reduced costs, and the number of the first row of each part."""
    for first, part in _chunks(cost):
        reduced = part - u[first : first + len(part), None]
        reduced -= v
        yield first, reduced


def whole_plan(cost: np.ndarray, a: np.ndarray, b: np.ndarray, max_iter: int) -> tuple[Plan, Duals]:
    """What the network simplex makes of all entries; the best so far where it stops early."""
    dense, log = ot.emd(a, b, cost, numItermax=max_iter, log=True)
    return Plan.from_matrix(dense), (log["u"], log["v"])


def _on(
    entries: np.ndarray, cost: np.ndarray, duals: Duals, masses: Duals, max_iter: int
) -> tuple[Plan, Duals] | None:
    """The optimum over some entries, given as places in the flat matrix.

    The solver is given reduced costs, which have the same optimal plans: near to optimal duals
    those of the plan are next to nothing, and it finds them in a tenth of the time.
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


def _without_empty(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, **options: object
) -> tuple[Plan, Duals] | None:
    """The same without rows and columns of no mass, whose duals follow from the others."""
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    start = options.pop("start")
    start = start if start is None else start[rows]  # type: ignore[index]
    inside = np.ascontiguousarray(cost[np.ix_(rows, columns)])
    found = priced_plan(inside, a[rows], b[columns], start=start, **options)  # type: ignore[arg-type]
    if found is None:
        return None
    plan, (u, _) = found
    v = column_minimum(cost[rows], u)
    return Plan(rows[plan.rows], columns[plan.columns], plan.mass), (row_minimum(cost, v), v)


def _coarse(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, max_iter: int, few: int
) -> np.ndarray | None:
    """Potential of all columns by a problem of some rows and columns, drawn at random."""
    rng = np.random.default_rng(0)
    rows, columns = (np.sort(rng.choice(n, -(-n // _COARSER), replace=False)) for n in cost.shape)
    some, masses, others = np.ascontiguousarray(cost[np.ix_(rows, columns)]), a[rows], b[columns]
    found = priced_plan(
        some, masses / masses.sum(), others / others.sum(), max_iter=max_iter, few=few
    )
    return None if found is None else column_minimum(cost[rows], found[1][0])


def _corner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Entries of the north-west corner rule, which make every problem feasible."""
    rows, columns = np.cumsum(a), np.cumsum(b)
    ends = np.union1d(rows, columns)
    middle = (ends + np.concatenate([[0.0], ends[:-1]])) / 2
    i, j = (np.minimum(np.searchsorted(each, middle), len(each) - 1) for each in (rows, columns))
    return i * len(b) + j


def _ceilings(cost: np.ndarray, u: np.ndarray, v: np.ndarray) -> Duals:
    """Reduced costs that about `_FIRST` entries of each row, and of each column, are under."""
    rank = _FIRST // _SAMPLED - 1
    rows = cost[:, ::_SAMPLED] - u[:, None] - v[::_SAMPLED]
    columns = np.ascontiguousarray((cost[::_SAMPLED] - u[::_SAMPLED, None] - v).T)
    return tuple(  # type: ignore[return-value]
        np.partition(each, min(rank, each.shape[1] - 1), axis=1)[:, min(rank, each.shape[1] - 1)]
        for each in (rows, columns)
    )


def _under(
    ceilings: tuple[np.ndarray, ...], cost: np.ndarray, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Entries whose reduced costs are under the ceiling of their row or of their column."""
    rows, columns = ceilings
    return np.concatenate(
        [
            np.flatnonzero(part <= np.maximum(rows[first : first + len(part), None], columns))
            + first * cost.shape[1]
            for first, part in _reduced(cost, u, v)
        ]
    )


def _negative(
    cost: np.ndarray, u: np.ndarray, v: np.ndarray, negligible: float
) -> tuple[float, np.ndarray]:
    """How far reduced costs are below zero at most, and the lowest of each row and column."""
    m = cost.shape[1]
    least, place, entries = np.full(m, np.inf), np.zeros(m, dtype=np.int64), []
    for first, part in _reduced(cost, u, v):
        k = np.arange(len(part))
        columns = part.argmin(axis=1)
        low = part[k, columns] < -negligible
        entries.append((k[low] + first) * m + columns[low])
        rows = part.argmin(axis=0)
        lower = part[rows, np.arange(m)] < least
        least[lower] = part[rows, np.arange(m)][lower]
        place[lower] = rows[lower] + first
    low = least < -negligible
    entries.append(place[low] * m + np.flatnonzero(low))
    return max(0.0, -float(least.min())), np.concatenate(entries)
