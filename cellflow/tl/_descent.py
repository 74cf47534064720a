"""Which cells of one time stem from which cells of another."""

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
from cellflow.couplings import COSTS, LineageCost, exact_full_coupling, wfr_coupling
from cellflow.io import Conditions, SideColumns, populations
from cellflow.marginals import Population
from cellflow.methods.method import Method
from cellflow.methods.names import WAYS
from cellflow.methods.parts import WFR_GROWTH
from cellflow.representation import points_of
from cellflow.tl._course import Course
from cellflow.tl._labels import common_labels
from cellflow.tl._motion import Mover

#: Matrices whose product says how many cells at its columns each row becomes.
Steps = Sequence[csr_array]


class Descent(Protocol):
    """A way to tell descent."""

    def steps(self, rows: np.ndarray, targets: np.ndarray) -> Steps:
        """Descent between cells of one time, shape (n,), and of another, shape (m,).

        Entry (i, j) of the product is how much of cell j stems from cell i where j is later, and
        how much of cell i stems from j where j is earlier; then rows sum to one.
        """
        ...


def descent_of(
    course: Course, by: str, *, n_neighbors: int, n_samples: int | None, seed: int
) -> Descent:
    """The way of a name.

    Raises
    ------
    InputError
        For an unknown way, or samples of one that draws none.
    """
    check_choice(by, WAYS, "way to tell descent (by)")
    if by == "flow":
        check_positive(n_neighbors, "n_neighbors")
        return FlowDescent(course, Mover.of(course.flow, n_samples, seed), n_neighbors)
    if n_samples is not None:
        raise InputError("n_samples is of by='flow'; a coupling draws no paths")
    return CouplingDescent(course, seed)


def gathered(steps: Steps, values: np.ndarray) -> np.ndarray:
    """The product of the steps with values of the targets, shape (m, k)."""
    for step in reversed(steps):
        values = step @ values
    return values


def spread(steps: Steps, weights: np.ndarray) -> np.ndarray:
    """Weights of the rows, shape (n,), passed on to the targets, shape (m,)."""
    for step in steps:
        weights = step.T @ weights
    return weights


def one_hot(codes: np.ndarray, n: int) -> np.ndarray:
    """Indicator of each code, shape (len(codes), n)."""
    return np.eye(n)[codes]


def normalised_rows(values: np.ndarray) -> np.ndarray:
    """Rows that sum to one; NaN where there was nothing."""
    sums = values.sum(axis=1, keepdims=True)
    return np.divide(values, sums, out=np.full(values.shape, np.nan), where=sums > 0)


@dataclass(frozen=True)
class FlowDescent:
    """Cells are carried along the flow, and the nearest cells there share each of them equally.

    Forward, a cell becomes as many as its mass grows to. Only cells of its own label share it, so
    that its row is empty where there are none.

    Attributes
    ----------
    course, mover
        The cells, and how they are carried.
    n_neighbors
        Nearest cells that each carried one is shared by, all of its label where there are fewer.
    """

    course: Course
    mover: Mover
    n_neighbors: int

    def steps(self, rows: np.ndarray, targets: np.ndarray) -> Steps:
        """As of `Descent`."""
        times = [float(self.course.points.elapsed[each[0]]) for each in (rows, targets)]
        motion = self.mover.move(self.course.batch(rows), times)
        copies = (len(rows), self.mover.copies)
        arrivals = motion.points[-1].reshape(*copies, -1)
        gains = motion.gains[-1].astype(np.float64).reshape(copies)
        mass = np.exp(gains) if times[1] > times[0] else np.ones(copies)
        there, labels = self.course.batch(targets).x.numpy(), self.course.labels
        found = csr_array((len(rows), len(targets)))
        for before, after in common_labels(labels[rows], labels[targets]):
            shares, near = self._nearest(arrivals[before], mass[before], there[after])
            entries = before.repeat(near.shape[1]), after[near].ravel()
            found = found + csr_array((shares.ravel(), entries), shape=found.shape)
        return [found]

    def _nearest(
        self, arrivals: np.ndarray, mass: np.ndarray, there: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the cells near to each arrived one's copies, and which, shape (n, copies k)."""
        n, copies, dims = arrivals.shape
        k = min(self.n_neighbors, len(there))
        search = NearestNeighbors(n_neighbors=k).fit(there)
        near = search.kneighbors(arrivals.reshape(-1, dims), return_distance=False)
        return (mass / (copies * k)).repeat(k, axis=1), near.reshape(n, -1)


@dataclass(frozen=True)
class CouplingDescent:
    """Plans of optimal transport between consecutive times, multiplied.

    Plans are exact, between all cells of both times, with the costs that the flow was fitted with
    (`cost`, `cost_rep`, `lineage_key`) and inside its labels. Where its coupling is `wfr` they are
    those unbalanced ones, at the length scale of the fit; growth by gene sets weighs the cells of
    the earlier time. Either way columns are scaled to one: a later cell is one cell, and its column
    says which cells it stems from.

    Attributes
    ----------
    course
        The cells.
    seed
        Of the blocks that large unbalanced plans are solved in.
    """

    course: Course
    seed: int
    _known: dict[float, csr_array] = field(default_factory=dict)

    def steps(self, rows: np.ndarray, targets: np.ndarray) -> Steps:
        """As of `Descent`."""
        elapsed = self.course.points.elapsed
        origin, goal = (float(elapsed[each[0]]) for each in (rows, targets))
        low, high = sorted((origin, goal))
        stops = [time for time in self.course.times if low <= time <= high]
        steps = [self._between(*ends) for ends in pairwise(stops)]
        if goal < origin:
            steps = [step.T.tocsr() for step in reversed(steps)]
        steps[0] = steps[0][self._places(rows, origin)]
        steps[-1] = steps[-1][:, self._places(targets, goal)]
        return steps

    def _places(self, rows: np.ndarray, time: float) -> np.ndarray:
        return np.searchsorted(self.course.rows(time), rows)

    def _between(self, start: float, stop: float) -> csr_array:
        """Which share of each cell at `stop` stems from each at `start`, columns sum to one."""
        if start not in self._known:
            self._known[start] = self._solved(start, stop)
        return self._known[start]

    def _solved(self, start: float, stop: float) -> csr_array:
        source, target = self._populations(start, stop)
        plan = csr_array((len(source), len(target)))
        labels = (self.course.labels[self.course.rows(time)] for time in (start, stop))
        for before, after in common_labels(*labels):
            plan = plan + self._plan(source, target, before, after)
        sums = plan.sum(axis=0)
        scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
        return csr_array(plan.multiply(scale[None]))

    def _plan(
        self, source: Population, target: Population, before: np.ndarray, after: np.ndarray
    ) -> csr_array:
        """Masses between some cells, in a matrix of all."""
        method = self._method
        ends = source[torch.as_tensor(before)], target[torch.as_tensor(after)]
        if method.coupling == "wfr":
            generator = torch_generator(self.seed)
            found = wfr_coupling(
                *ends,
                delta=self._delta,
                generator=generator,
                block_size=method.block_size,
                growth=WFR_GROWTH[method.growth],
            )
        else:
            cost = LineageCost(COSTS[method.cost], method.lineage_strength)
            found = exact_full_coupling(*ends, cost=cost, max_memory=method.max_memory)
        plan = found.plan
        mass = plan.mass if found.m1 is None else plan.mass * found.m1.double().numpy()
        entries = before[plan.rows], after[plan.columns]
        return csr_array((mass, entries), shape=(len(source), len(target)))

    @property
    def _method(self) -> Method:
        return Method(**self.course.flow.settings["method"])

    @property
    def _delta(self) -> float:
        """The length scale of the fit, one for all of its intervals."""
        delta = self.course.flow.settings.get("delta")
        if delta is None:
            raise InputError(
                "this flow does not say at which length scale (delta) its cells were coupled, as "
                "flows of earlier versions; fit it again, or take by='flow'"
            )
        return float(delta)

    def _populations(self, start: float, stop: float) -> tuple[Population, Population]:
        """Cells of two times as couplings see them."""
        course, settings = self.course, self.course.flow.settings
        rows = np.concatenate([course.rows(start), course.rows(stop)])
        known = SideColumns(
            lineage_key=settings.get("lineage_key"),
            cost_rep=settings.get("cost_rep"),
            growth=self._method.growth == "gene-sets",
        )
        conditions = Conditions(tuple(course.flow.context.settings.get("conditions", ())))
        points = points_of(course.adata, course.representation, rows)
        batch = known.batch(course.adata[rows], points, conditions)
        both = populations(batch, course.points.elapsed[rows], (start, stop), course.flow.axis)
        source, target = both.finite
        if source.rate is not None:
            span = both.times[1] - both.times[0]
            source = source.scale_masses(torch.exp(source.rate * span))
        return source, target
