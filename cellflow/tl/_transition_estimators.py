"""Estimators of the transitions of cells from one time to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._random import torch_generator
from cellflow.couplings import exact_full_coupling, wfr_coupling
from cellflow.io import Conditions, SideColumns, populations
from cellflow.marginals import Population
from cellflow.methods.names import TRANSITION_ESTIMATORS
from cellflow.methods.parts import ExactFullSettings, WFRSettings
from cellflow.representation import points_of
from cellflow.tl._simulator import Simulator
from cellflow.tl._time_course import TimeCourse
from cellflow.training import ground_cost

#: Matrices whose product is the transition matrix from cells of one time, shape (n,), to cells of
#: another, shape (m,). Entry (i, j) of the product is how much of cell j stems from cell i if j is
#: later, and how much of cell i stems from cell j if j is earlier; in the latter case rows sum to
#: one.
TransitionMatrices = Sequence[csr_array]


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
            "n_samples goes with by='flow'; transport plans (by='coupling') simulate no paths"
        )
    return CouplingTransitions(course, seed)


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
        arrivals = moved.end.cpu().numpy().reshape(*copies, -1)
        mass = np.ones(copies)
        if times[1] > times[0]:
            mass = moved.log_mass[-1].double().exp().cpu().numpy().reshape(copies)
        there = self.course.read_cells(targets).x.cpu().numpy()
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


@dataclass(frozen=True)
class CouplingTransitions:
    """Multiply optimal transport plans between consecutive times.

    Plans couple all cells of both times exactly, with the costs that the flow was fitted with
    (`cost`, `cost_rep`, `lineage_key`) and within its labels. If its coupling is `wfr`, plans are
    unbalanced, with the length scale of the fit; growth by gene sets weighs the cells of the
    earlier time. Columns of either are scaled to one: a later cell is one cell, and its column
    holds the shares of the cells it stems from.

    Attributes
    ----------
    course
        The cells.
    seed
        Seed of the blocks that large unbalanced plans are solved in.
    """

    course: TimeCourse
    seed: int
    _plans: dict[float, csr_array] = field(default_factory=dict)

    def estimate(self, rows: np.ndarray, targets: np.ndarray) -> TransitionMatrices:
        """Return one matrix for each interval in between; see `TransitionEstimator`."""
        elapsed = self.course.elapsed
        origin, goal = (float(elapsed[each[0]]) for each in (rows, targets))
        low, high = sorted((origin, goal))
        stops = [time for time in self.course.times if low <= time <= high]
        matrices = [self._between(*ends) for ends in pairwise(stops)]
        if goal < origin:
            matrices = [matrix.T.tocsr() for matrix in reversed(matrices)]
        matrices[0] = matrices[0][self._places(rows, origin)]
        matrices[-1] = matrices[-1][:, self._places(targets, goal)]
        return matrices

    def _places(self, rows: np.ndarray, time: float) -> np.ndarray:
        return np.searchsorted(self.course.rows_at(time), rows)

    def _between(self, start: float, stop: float) -> csr_array:
        """Return the plan of an interval with columns that sum to one, solved once."""
        if start not in self._plans:
            self._plans[start] = self._solve(start, stop)
        return self._plans[start]

    def _solve(self, start: float, stop: float) -> csr_array:
        source, target = self._populations(start, stop)
        plan = csr_array((len(source), len(target)))
        ends = (self.course.rows_at(time) for time in (start, stop))
        for before, after in self.course.label_blocks(*ends):
            plan = plan + self._solve_block(source, target, before, after)
        sums = plan.sum(axis=0)
        scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
        return csr_array(plan.multiply(scale[None]))

    def _solve_block(
        self, source: Population, target: Population, before: np.ndarray, after: np.ndarray
    ) -> csr_array:
        """Return the plan between some cells, in a matrix of all."""
        settings = self.course.flow.method.coupling
        ends = source[torch.as_tensor(before)], target[torch.as_tensor(after)]
        if isinstance(settings, WFRSettings):
            length_scale = self.course.flow.record.wfr_length_scale
            assert length_scale is not None
            generator = torch_generator(self.seed)
            pairs = wfr_coupling(
                *ends,
                delta=length_scale,
                generator=generator,
                block_size=settings.block_size,
                growth=settings.growth_bounds,
            )
        else:
            full = settings if isinstance(settings, ExactFullSettings) else ExactFullSettings()
            cost, memory = ground_cost(settings), full.max_memory
            pairs = exact_full_coupling(*ends, cost=cost, max_memory=memory)
        plan = pairs.plan
        mass = plan.mass if pairs.m1 is None else plan.mass * pairs.m1.double().numpy()
        entries = before[plan.rows], after[plan.columns]
        return csr_array((mass, entries), shape=(len(source), len(target)))

    def _populations(self, start: float, stop: float) -> tuple[Population, Population]:
        """Return the cells of two times with what couplings use of them."""
        course, inputs = self.course, self.course.flow.inputs
        rows = np.concatenate([course.rows_at(start), course.rows_at(stop)])
        columns = SideColumns(
            lineage_key=inputs.lineage_key,
            cost_rep=inputs.cost_rep,
            growth=course.flow.method.needs_growth_rates,
        )
        conditions = Conditions(tuple(course.flow.context.settings.get("conditions", ())))
        points = points_of(course.adata, course.representation, rows)
        batch = columns.batch(course.adata[rows], points, conditions)
        both = populations(batch, course.elapsed[rows], (start, stop), course.flow.axis)
        source, target = both.finite
        if source.rate is not None:
            span = both.times[1] - both.times[0]
            source = source.scale_masses(torch.exp(source.rate * span))
        return source, target
