"""Estimators of the transitions of cells from one time to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow.methods.names import TRANSITION_ESTIMATORS
from cellflow.tl._plan_transitions import BridgeTransitions, CouplingTransitions
from cellflow.tl._simulator import Simulator
from cellflow.tl._time_course import TimeCourse

#: Matrices whose product is the transition matrix from cells of one time, shape (n,), to cells of
#: another, shape (m,). Entry (i, j) of the product is how much of cell j stems from cell i if j is
#: later, and how much of cell i stems from cell j if j is earlier; in the latter case rows sum to
#: one.
TransitionMatrices = Sequence[csr_array | LinearOperator]


class TransitionEstimator(Protocol):
    """Estimates which cells of one time become which cells of another."""

    def estimate(self, rows: np.ndarray, targets: np.ndarray) -> TransitionMatrices:
        """Return the transitions from rows of one time to rows of another, earlier or later."""
        ...


def make_estimator(
    course: TimeCourse, by: str, *, n_neighbors: int, n_samples: int | None, seed: int
) -> TransitionEstimator:
    """Return the estimator of transitions called `by`.

    Raises
    ------
    InputError
        For an unknown name, or `n_samples` with an estimator that does not simulate paths.
    """
    check_choice(by, TRANSITION_ESTIMATORS, "estimator of transitions (by)")
    if by == "flow":
        check_positive(n_neighbors, "n_neighbors")
        simulator = Simulator.make(course.flow, n_samples, seed)
        return FlowTransitions(course, simulator, n_neighbors)
    if n_samples is not None:
        raise InputError(
            f"n_samples goes with by='flow' (--by flow); transport plans (by={by!r}) simulate no "
            "paths"
        )
    plans = BridgeTransitions if by == "bridge" else CouplingTransitions
    return plans(course, seed)


def propagate_backward(transitions: TransitionMatrices, values: np.ndarray) -> np.ndarray:
    """Multiply values of the targets, shape (m, k), by the transition matrix: shape (n, k)."""
    for matrix in reversed(transitions):
        values = matrix @ values
    return values


def propagate_forward(transitions: TransitionMatrices, weights: np.ndarray) -> np.ndarray:
    """Multiply weights of the rows, shape (n,), by the transposed matrix: shape (m,)."""
    for matrix in transitions:
        weights = matrix.T @ weights
    return weights


def one_hot(codes: np.ndarray, n: int) -> np.ndarray:
    """Return indicators of codes, shape (len(codes), n)."""
    return np.eye(n)[codes]


def normalise_rows(values: np.ndarray) -> np.ndarray:
    """Divide rows by their sums; NaN for rows of zeros."""
    sums = values.sum(axis=1, keepdims=True)
    return np.divide(values, sums, out=np.full(values.shape, np.nan), where=sums > 0)


@dataclass(frozen=True)
class FlowTransitions:
    """Move cells along the flow; transition probabilities are equal for the nearest cells there.

    Forward in time, the row of a cell is multiplied by its mass after growth. Neighbours are taken
    from the cells of its label; its row is zero if that label has no cells.

    Attributes
    ----------
    course, simulator
        All cells, and the simulator of their paths.
    n_neighbors
        Number of neighbours of each moved cell; all of its label if there are fewer.
    """

    course: TimeCourse
    simulator: Simulator
    n_neighbors: int

    def estimate(self, rows: np.ndarray, targets: np.ndarray) -> TransitionMatrices:
        """Return one matrix; see `TransitionEstimator`."""
        times = [float(self.course.elapsed[each[0]]) for each in (rows, targets)]
        moved = self.simulator.run(self.course.read_cells(rows), times)
        copies = (len(rows), self.simulator.n_copies)
        ends = rows.repeat(self.simulator.n_copies)
        arrivals = self.course.append_conditions(moved.end.cpu().numpy(), ends)
        arrivals = arrivals.reshape(*copies, -1)
        mass = np.ones(copies)
        if times[1] > times[0]:
            mass = moved.log_mass[-1].double().exp().cpu().numpy().reshape(copies)
        there = self.course.read_cells(targets).x.cpu().numpy()
        there = self.course.append_conditions(there, targets)
        total = csr_array((len(rows), len(targets)))
        for before, after in self.course.label_blocks(rows, targets):
            shares, near = self._nearest(arrivals[before], mass[before], there[after])
            entries = before.repeat(near.shape[1]), after[near].ravel()
            total = total + csr_array((shares.ravel(), entries), shape=total.shape)
        return [total]

    def _nearest(
        self, arrivals: np.ndarray, mass: np.ndarray, there: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells nearest to all copies of each, and their shares: shape (n, copies k)."""
        n, copies, dims = arrivals.shape
        k = min(self.n_neighbors, len(there))
        search = NearestNeighbors(n_neighbors=k).fit(there)
        near = search.kneighbors(arrivals.reshape(-1, dims), return_distance=False)
        return (mass / (copies * k)).repeat(k, axis=1), near.reshape(n, -1)
