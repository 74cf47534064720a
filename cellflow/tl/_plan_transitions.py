"""Transitions by chains of transport plans between all cells of consecutive times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from cellflow._log import progress_bar
from cellflow._random import torch_generator
from cellflow.couplings import (
    bridge_transitions,
    composition_coupling,
    exact_full_coupling,
    wfr_coupling,
)
from cellflow.io import KnownTransitions, SideColumns, conditions_of, populations
from cellflow.io.matrices import take_cells
from cellflow.marginals import Population
from cellflow.methods.parts import CompositionSettings, ExactFullSettings, WFRSettings
from cellflow.representation import points_of
from cellflow.tl._time_course import TimeCourse
from cellflow.training import ground_cost

#: Positions of the cells of each label at an earlier and a later time.
Blocks = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class PlanTransitions(ABC):
    """Multiply transport plans between consecutive times.

    Costs are those that the flow was fitted with (`cost`, `cost_rep`, `lineage_key`,
    `allowed_transitions`), and cells are coupled within its labels. Growth rates, where the flow
    uses them, weigh the cells of the earlier time. Columns are scaled to one: a later cell is one
    cell, and its column holds the shares of the cells it stems from.

    Attributes
    ----------
    course
        The cells.
    seed
        Seed of the blocks that large plans are solved in.
    """

    course: TimeCourse
    seed: int

    def descend(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, values: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Multiply by each plan once; see `TransitionEstimator`."""
        goal, times = self._time_of(targets), [self._time_of(rows) for rows in origins]
        there = self._carry(self._stops(goal, *times)[::-1], {goal: (targets, values)})
        here, carried = goal, dict[float, np.ndarray]()
        for rows, origin in zip(origins, times, strict=True):
            while here > origin:
                here, carried = next(there)
            yield self._selection(rows, origin) @ carried[goal]

    def spread(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, weights: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Carry the weights of all origins to the targets; see `TransitionEstimator`."""
        goal, times = self._time_of(targets), [self._time_of(rows) for rows in origins]
        stops = self._stops(goal, *times)
        joining = dict(zip(times, zip(origins, weights, strict=True), strict=True))
        *_, (_, carried) = self._carry(stops if goal == stops[-1] else stops[::-1], joining)
        return [self._selection(targets, goal) @ carried[time] for time in times]

    def relate(
        self,
        rows: Mapping[float, np.ndarray],
        values: Mapping[float, np.ndarray],
        pairs: Collection[tuple[float, float]],
        *,
        backward: bool,  # noqa: ARG002
    ) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
        """Multiply by each plan once, the same in both directions; see `TransitionEstimator`."""
        joining = {later: (rows[later], values[later]) for _, later in pairs}
        stops = self._stops(*(time for pair in pairs for time in pair))
        for here, carried in self._carry(stops[::-1], joining):
            selection = self._selection(rows[here], here) if here in rows else None
            for later, descent in carried.items():
                if (here, later) in pairs:
                    yield (here, later), selection @ descent

    def _stops(self, *times: float) -> list[float]:
        """Return the times of the course from the first to the last of some."""
        return [time for time in self.course.times if min(times) <= time <= max(times)]

    def _carry(
        self, stops: Sequence[float], joining: Mapping[float, tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[float, dict[float, np.ndarray]]]:
        """Multiply values by the plans from stop to stop, forward or backward in time.

        Yields each stop but the first, and there the values of all its cells by the time that they
        come from. `joining` has rows and their values by time; they join on the way, in columns, so
        that each plan is solved once.
        """
        parts: dict[float, slice] = {}
        values = np.zeros((len(self.course.rows_at(stops[0])), 0))
        with progress_bar(len(stops) - 1, "plans", "interval") as bar:
            for here, following in pairwise(stops):
                if here in joining:
                    rows, own = joining[here]
                    joined = self._selection(rows, here).T @ own
                    parts[here] = slice(values.shape[1], values.shape[1] + joined.shape[1])
                    values = np.column_stack([values, joined])
                plan = self._solve_interval(min(here, following), max(here, following))
                values = (plan.T if following > here else plan) @ values
                bar.update()
                yield following, {time: values[:, part] for time, part in parts.items()}

    def _time_of(self, rows: np.ndarray) -> float:
        return float(self.course.elapsed[rows[0]])

    def _selection(self, rows: np.ndarray, time: float) -> csr_array:
        """Return the matrix that selects rows from all cells of a time, shape (len(rows), n)."""
        everyone = self.course.rows_at(time)
        entries = np.arange(len(rows)), np.searchsorted(everyone, rows)
        return csr_array((np.ones(len(rows)), entries), shape=(len(rows), len(everyone)))

    def _solve_interval(self, start: float, stop: float) -> LinearOperator:
        """Return the plan of an interval with columns that sum to one.

        It is used at once and not kept: plans of all intervals may not fit into memory.
        """
        source, target = self._populations(start, stop)
        ends = (self.course.rows_at(time) for time in (start, stop))
        return self._solve(source, target, self.course.label_blocks(*ends))

    @abstractmethod
    def _solve(self, source: Population, target: Population, blocks: Blocks) -> LinearOperator:
        """Return the plan between two populations, within blocks of rows and columns."""

    def _populations(self, start: float, stop: float) -> tuple[Population, Population]:
        """Return the cells of two times with what couplings use of them."""
        course, inputs = self.course, self.course.flow.inputs
        rows = np.concatenate([course.rows_at(start), course.rows_at(stop)])
        columns = SideColumns(
            lineage_key=inputs.lineage_key,
            cost_rep=inputs.cost_rep,
            growth=course.flow.method.needs_growth_rates,
            growth_key=inputs.growth_key,
            transitions=KnownTransitions.of_flow(course.flow),
        )
        points = points_of(course.adata, course.representation, rows)
        batch = columns.batch(take_cells(course.adata, rows), points, conditions_of(course.flow))
        both = populations(batch, course.elapsed[rows], (start, stop), course.flow.axis)
        source, target = both.finite
        if source.rate is not None:
            span = both.times[1] - both.times[0]
            source = source.scale_masses(torch.exp(source.rate * span))
        return source, target


@dataclass(frozen=True)
class CouplingTransitions(PlanTransitions):
    """Multiply exact transport plans, or those of the flow if its coupling changes mass.

    Unbalanced plans have the length scale of the fit.
    """

    def _solve(self, source: Population, target: Population, blocks: Blocks) -> LinearOperator:
        plan = csr_array((len(source), len(target)))
        for before, after in blocks:
            plan = plan + self._solve_block(source, target, before, after)
        sums = plan.sum(axis=0)
        scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
        return aslinearoperator(csr_array(plan.multiply(scale[None])))

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
        elif isinstance(settings, CompositionSettings):
            pairs = composition_coupling(
                *ends,
                generator=torch_generator(self.seed),
                cost=ground_cost(settings),
                share=settings.share,
                n_neighbors=settings.n_neighbors,
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


@dataclass(frozen=True)
class BridgeTransitions(PlanTransitions):
    """Multiply entropic plans, whose strength is read from the cells of each interval.

    Above 4,000 cells of a label on a side, both sides are split at random into blocks, and plans
    are solved within them.
    """

    def _solve(self, source: Population, target: Population, blocks: Blocks) -> LinearOperator:
        cost, generator = ground_cost(self.course.flow.method.coupling), torch_generator(self.seed)
        return bridge_transitions(source, target, blocks, generator=generator, cost=cost)
