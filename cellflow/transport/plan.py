"""Transport plans as sparse lists of entries, and validation of transport problems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellflow._errors import InputError


@dataclass(frozen=True)
class Plan:
    """A transport plan: `mass[k]` goes from `rows[k]` to `columns[k]`.

    Attributes
    ----------
    rows, columns
        Indices of the entries, shape (k,), sorted by row.
    mass
        Positive masses, shape (k,); they sum to one unless the plan is unbalanced.
    """

    rows: np.ndarray
    columns: np.ndarray
    mass: np.ndarray

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Plan:
        """Return the plan of the positive entries of a matrix (n, m)."""
        rows, columns = np.nonzero(matrix > 0)
        return cls(rows, columns, matrix[rows, columns])

    @classmethod
    def from_permutation(cls, partner: np.ndarray) -> Plan:
        """Return the plan with mass 1 / n from each row i to the column `partner[i]`."""
        n = len(partner)
        return cls(np.arange(n), partner, np.full(n, 1 / n))

    @classmethod
    def concatenate(cls, plans: list[Plan]) -> Plan:
        """Return the sum of plans with disjoint or repeated entries, sorted by row."""
        rows, columns, mass = (
            np.concatenate([getattr(plan, name) for plan in plans])
            for name in ("rows", "columns", "mass")
        )
        order = np.argsort(rows, kind="stable")
        return cls(rows[order], columns[order], mass[order])

    def matrix(self, n: int, m: int) -> np.ndarray:
        """Return the dense plan, shape (n, m)."""
        dense = np.zeros((n, m))
        np.add.at(dense, (self.rows, self.columns), self.mass)
        return dense


def normalise_masses(weights: np.ndarray | None, n: int) -> np.ndarray:
    """Return masses of `n` points that sum to one; None for uniform masses."""
    if weights is None:
        return np.full(n, 1 / n)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n,) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise InputError(
            f"masses must be {n} non-negative numbers with a positive sum, got shape "
            f"{weights.shape} and sum {weights.sum():g}"
        )
    return weights / weights.sum()


def validate_cost(cost: np.ndarray) -> np.ndarray:
    """Return the cost matrix in float64; raise `InputError` if it is not finite."""
    cost = np.ascontiguousarray(cost, dtype=np.float64)
    if cost.ndim != 2 or not np.isfinite(cost).all():
        raise InputError(
            "the cost matrix must be 2-dimensional and finite, got NaN or infinite entries"
        )
    return cost


def validate_problem(
    cost: np.ndarray, a: np.ndarray | None, b: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cost matrix in float64 and masses summing to one, or raise `InputError`."""
    cost = validate_cost(cost)
    return cost, normalise_masses(a, cost.shape[0]), normalise_masses(b, cost.shape[1])
