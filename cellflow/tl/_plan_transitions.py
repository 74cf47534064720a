"""Transitions by chains of transport plans between all cells of consecutive times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
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
from cellflow.io import SideColumns, conditions_of, populations
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

    Costs are those that the flow was fitted with (`cost`, `cost_rep`, `lineage_key`), and cells are
    coupled within its labels. Growth rates, where the flow uses them, weigh the cells of the
    earlier time. Columns are scaled to one: a later cell is one cell, and its column holds the
    shares of the cells it stems from.

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
        stop = self._time_of(targets)
        values = self._selection(targets, stop).T @ values
        times = [self._time_of(rows) for rows in origins]
        before = [time for time in self.course.times if min(times, default=stop) <= time < stop]
        with progress_bar(len(before), "plans", "interval") as bar:
            for rows, origin in zip(origins, times, strict=True):
                for start in [time for time in reversed(before) if origin <= time < stop]:
                    values = self._solve_interval(start, stop) @ values
                    stop = start
                    bar.update()
                yield self._selection(rows, origin) @ values

    def spread(
        self, origins: Sequence[np.ndarray], targets: np.ndarray, weights: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Carry the weights of all origins to the targets; see `TransitionEstimator`."""
        goal, times = self._time_of(targets), [self._time_of(rows) for rows in origins]
        low, high = min([goal, *times]), max([goal, *times])
        stops = [time for time in self.course.times if low <= time <= high]
        # From the farthest origin to the targets; the others join on the way, in columns.
        stops = stops if goal == high else stops[::-1]
        carried: dict[int, slice] = {}
        values = np.zeros((len(self.course.rows_at(stops[0])), 0))
        with progress_bar(len(stops) - 1, "plans", "interval") as bar:
            for here, following in pairwise(stops):
                for k in [k for k, time in enumerate(times) if time == here]:
                    joined = self._selection(origins[k], here).T @ weights[k]
                    carried[k] = slice(values.shape[1], values.shape[1] + joined.shape[1])
                    values = np.column_stack([values, joined])
                plan = self._solve_interval(min(here, following), max(here, following))
                values = (plan.T if following > here else plan) @ values
                bar.update()
        values = self._selection(targets, goal) @ values
        return [values[:, carried[k]] for k in range(len(origins))]

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
