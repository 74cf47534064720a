"""Chains of points through all times of a course, each linked to the next by optimal transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from cellflow._batch import Batch, Marginal, Pairs
from cellflow._errors import InputError
from cellflow.couplings.costs import Cost, squared_euclidean
from cellflow.couplings.minibatch import Solver, exact, served
from cellflow.transport import Plan


@dataclass
class ChainCoupling:
    """Optimal transport from each time to the next, followed from point to point.

    A batch is drawn at every time and a plan solved between neighbouring ones. Each point of the
    first batch starts a chain, and the point after i is drawn from row i of the plan, so the
    chains are a Markov chain whose links are the plans; those of permutations pass through every
    point once. Each chain is served once, before the next batches are drawn, as the pair of one of
    its links, all links equally often on average.

    Attributes
    ----------
    populations
        Two or more marginals, in order of time.
    times
        Their flow times, increasing.
    batch_size
        Points a time of each transport problem.
    solver
        Makes a plan from costs, with mass in every row; several make those of each link, in order.
    cost
        Ground cost between rows of two batches.
    ready
        Pairs that were solved for and not served yet.
    """

    populations: Sequence[Marginal]
    times: Sequence[float]
    batch_size: int = 256
    solver: Solver | Sequence[Solver] = exact
    cost: Cost = squared_euclidean
    ready: list[Pairs] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.times) != len(self.populations) or len(self.times) < 2:
            raise InputError(
                f"a chain needs two or more times with one population each, got "
                f"{len(self.times)} times and {len(self.populations)} populations"
            )
        if any(later <= earlier for earlier, later in pairwise(self.times)):
            raise InputError(f"times must increase, got {tuple(self.times)}")
        if len(self._solvers) != len(self.times) - 1:
            raise InputError(
                f"a chain of {len(self.times)} times needs one solver, or {len(self.times) - 1}; "
                f"got {len(self._solvers)}"
            )

    @property
    def _solvers(self) -> Sequence[Solver]:
        return [self.solver] * (len(self.times) - 1) if callable(self.solver) else self.solver

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs with their chains, solving as many transport problems as that takes."""
        return served(self.ready, n, lambda: self._solve(generator))

    def _solve(self, generator: torch.Generator) -> Pairs:
        batches = self._chained(generator)
        device = generator.device
        links = torch.randint(
            len(batches) - 1, (self.batch_size,), generator=generator, device=device
        )
        chain = torch.stack([batch.x for batch in batches], dim=1)
        knots = chain.new_tensor(self.times).expand(self.batch_size, -1)
        parts = []
        for k, (span, ends) in enumerate(zip(pairwise(self.times), pairwise(batches), strict=True)):
            rows = torch.nonzero(links == k)[:, 0]
            source, target = (batch[rows] for batch in ends)
            parts.append(Pairs.over(span, source, target, chain=chain[rows], knots=knots[rows]))
        order = torch.randperm(self.batch_size, generator=generator, device=device)
        return Pairs.cat(parts)[order]

    def _chained(self, generator: torch.Generator) -> list[Batch]:
        """One batch a time, of which equal rows make a chain."""
        batches = [each.sample(self.batch_size, generator) for each in self.populations]
        chained = batches[:1]
        rows = torch.arange(self.batch_size, device=generator.device)
        for solver, (source, target) in zip(self._solvers, pairwise(batches), strict=True):
            plan = solver(self.cost(source, target).cpu().numpy())
            rows = _next_rows(plan, rows, self.batch_size, generator)
            chained.append(target[rows])
        return chained


def _next_rows(plan: Plan, rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """For each of `rows`, a column drawn by the masses in that row of the plan (n, n)."""
    masses = torch.from_numpy(plan.matrix(n, n)).to(generator.device)
    return torch.multinomial(masses[rows], 1, generator=generator)[:, 0]
