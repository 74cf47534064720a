"""Estimators of the transitions of cells from one time to another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._log import progress_bar
from cellflow._neighbours import NearestCells
from cellflow._random import draw_seed
from cellflow.methods.names import TRANSITION_ESTIMATORS
from cellflow.tl._plan_transitions import BridgeTransitions, CouplingTransitions
from cellflow.tl._simulator import Simulator
from cellflow.tl._time_course import TimeCourse

#: Paths that are simulated at a time.
_PATHS = 16_384


class TransitionEstimator(Protocol):
    """Estimates which cells of one time become which cells of another.

    Entry (i, j) of the transition matrix T is how much of cell j stems from cell i if j is later,
    and how much of cell i stems from cell j if j is earlier; in the latter case rows sum to one.
    The matrix is multiplied and not kept, since it has as many entries as pairs of cells.
    """

    def descend(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, values: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield sums of values of targets, shape (m, k), over descendants: `T @ values`.

        `origins` are rows of times before that of the targets, the latest first.
        """
        ...

    def spread(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, weights: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Return what targets get of the weights of each origin, shape (n, k): `T.T @ weights`.

        `origins` are rows of different times, all before or all after that of the targets.
        """
        ...

    def relate(
        self,
        rows: Mapping[float, np.ndarray],
        values: Mapping[float, np.ndarray],
        pairs: Collection[tuple[float, float]],
        *,
        backward: bool,
    ) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
        """Yield pairs of an earlier and a later time, with values of the later cells.

        At the earlier cells they are summed over descendants, `T @ values`, or with `backward` over
        the later cells that stem from each, `T.T @ values` of the matrix from the later cells to
        the earlier ones. Both are the same for plans. `rows` and `values` are those of each time.
        """
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
        Number of neighbours of each moved cell; all of its label if there are fewer. They are
        searched among 20,000 cells of a label, where there are more.
    """

    course: TimeCourse
    simulator: Simulator
    n_neighbors: int

    def descend(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, values: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Move the cells of each time to the targets; see `TransitionEstimator`."""
        with progress_bar(len(origins), "follow", "start time") as bar:
            for rows in origins:
                yield FlowOperator(self, rows, targets) @ values
                bar.update()

    def spread(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, weights: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Move the cells of each time to the targets; see `TransitionEstimator`."""
        found = []
        with progress_bar(len(origins), "follow", "start time") as bar:
            for rows, own in zip(origins, weights, strict=True):
                found.append(FlowOperator(self, rows, targets).T @ own)
                bar.update()
        return found

    def relate(
        self,
        rows: Mapping[float, np.ndarray],
        values: Mapping[float, np.ndarray],
        pairs: Collection[tuple[float, float]],
        *,
        backward: bool,
    ) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
        """Move the cells of one time of each pair to the other; see `TransitionEstimator`."""
        with progress_bar(len(pairs), "follow", "pair of times") as bar:
            for earlier, later in pairs:
                if backward:
                    operator = FlowOperator(self, rows[later], rows[earlier]).T
                else:
                    operator = FlowOperator(self, rows[earlier], rows[later])
                yield (earlier, later), operator @ values[later]
                bar.update()


class FlowOperator(LinearOperator):
    """A matrix of transitions along a flow, whose rows are computed when it is multiplied.

    Cells are moved in chunks, so memory does not grow with them; the paths are the same each time.

    Parameters
    ----------
    transitions
        The cells and how they are moved.
    rows, targets
        Rows of the cells of two times.
    """

    def __init__(self, transitions: FlowTransitions, rows: np.ndarray, targets: np.ndarray) -> None:
        super().__init__(np.dtype(np.float64), (len(rows), len(targets)))
        self.course, self.k = transitions.course, transitions.n_neighbors
        self.rows, self.targets = rows, targets
        self.times = [float(self.course.elapsed[each[0]]) for each in (rows, targets)]
        self.simulator, self.seed = (
            transitions.simulator,
            draw_seed(transitions.simulator.generator),
        )

    def _matmat(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros((self.shape[0], values.shape[1]))
        for before, matrix in self._chunks():
            result[before] = matrix @ values
        return result

    def _rmatmat(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros((self.shape[1], values.shape[1]))
        for before, matrix in self._chunks():
            result += matrix.T @ values[before]
        return result

    # Older versions of SciPy do not derive it from the product with a matrix.
    def _rmatvec(self, values: np.ndarray) -> np.ndarray:
        return self._rmatmat(values.reshape(-1, 1))

    def _chunks(self) -> Iterator[tuple[np.ndarray, csr_array]]:
        """Yield positions of rows, and these rows of the matrix."""
        simulator = self.simulator.reseed(self.seed)
        size = max(1, _PATHS // simulator.n_copies)
        with progress_bar(len(self.rows), "follow", "cell") as bar:
            for before, after in self.course.label_blocks(self.rows, self.targets):
                there = self.course.read_cells(self.targets[after]).x.cpu().numpy()
                there = self.course.append_conditions(there, self.targets[after])
                search = NearestCells.among(there)
                for first in range(0, len(before), size):
                    chunk = before[first : first + size]
                    yield chunk, self._matrix(simulator, search, chunk, after)
                    bar.update(len(chunk))

    def _matrix(
        self, simulator: Simulator, search: NearestCells, chunk: np.ndarray, after: np.ndarray
    ) -> csr_array:
        """Return the rows of some cells: equal shares of the nearest cells to all their copies."""
        rows, copies = self.rows[chunk], simulator.n_copies
        moved = simulator.run(self.course.read_cells(rows), self.times)
        arrivals = self.course.append_conditions(moved.end.cpu().numpy(), rows.repeat(copies))
        near = np.concatenate([nearest for _, _, nearest in search.find(arrivals, self.k)])
        mass = np.ones(len(near))
        if self.times[1] > self.times[0]:
            mass = moved.log_mass[-1].double().exp().cpu().numpy()
        shares = (mass / (copies * near.shape[1])).repeat(near.shape[1])
        starts = np.arange(len(rows) + 1) * copies * near.shape[1]
        return csr_array((shares, after[near].ravel(), starts), (len(rows), self.shape[1]))
