"""Optimal transport between minibatches: the couplings of OT-CFM, SB-CFM and UOT-FM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cellflow._batch import Interval, Marginal, Pairs
from cellflow._random import draw_weighted, search_cdf
from cellflow.couplings.coupling import Coupling
from cellflow.couplings.ground_costs import Cost, squared_euclidean
from cellflow.transport import Plan, assign

#: Computes the plan of a cost matrix (n, m) between uniform marginals.
Solver = Callable[[np.ndarray], Plan]


def solve_assignment(cost: np.ndarray) -> Plan:
    """Return the exact plan between uniform marginals of equal size, a permutation."""
    return Plan.from_permutation(assign(cost))


@dataclass
class MinibatchCoupling(Coupling):
    """Optimal transport between minibatches of the marginals.

    One problem with `batch_size` points per side is solved at a time, and all of its pairs are
    returned before the next one is solved, whatever the `n` of `sample` (Tong et al. 2024, arXiv
    2302.00482, section 3.3: OT-CFM with the exact solver, SB-CFM with the entropic one and epsilon
    = 2 sigma^2; Eyring et al. 2024, arXiv 2311.15100: UOT-FM with an unbalanced one).

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    batch_size
        Points per side of each transport problem. The bias of minibatch transport decreases with
        it; the time to solve grows with about its cube.
    replace
        Draw pairs from the plan with replacement, as published, which leaves about 1/e of the
        points out of each batch. Without replacement each row of the plan is drawn as often as its
        mass says, so a permutation returns every point once.
    solver
        Computes the plan from the cost matrix.
    cost
        Ground cost between source and target points.
    buffer
        Pairs computed but not returned yet.
    """

    source: Marginal
    target: Marginal
    interval: Interval = (0.0, 1.0)
    batch_size: int = 256
    replace: bool = False
    solver: Solver = solve_assignment
    cost: Cost = squared_euclidean
    buffer: list[Pairs] = field(default_factory=list, init=False, repr=False)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, solving as many transport problems as needed."""
        while sum(map(len, self.buffer)) < n:
            self.buffer.append(self._solve(generator))
        pairs = Pairs.cat(self.buffer)
        # In place: `pending_pairs` hands out this list.
        self.buffer[:] = [pairs[n:]] if len(pairs) > n else []
        return pairs[:n]

    def pending_pairs(self) -> list[list[Pairs]]:
        """Return the buffer."""
        return [self.buffer]

    def _solve(self, generator: torch.Generator) -> Pairs:
        source = self.source.sample(self.batch_size, generator)
        target = self.target.sample(self.batch_size, generator)
        plan = self.solver(self.cost(source, target).cpu().numpy())
        rows, columns = draw_from_plan(plan, self.batch_size, generator, replace=self.replace)
        return Pairs.over(self.interval, source[rows], target[columns])


def draw_from_plan(
    plan: Plan, n: int, generator: torch.Generator, *, replace: bool
) -> tuple[Tensor, Tensor]:
    """Draw row and column indices of `n` pairs, with probability proportional to the plan.

    Without replacement the draw is stratified: each row is drawn as often as its mass says,
    rounded up or down at random, so a permutation of n rows is returned whole.
    """
    device = generator.device
    rows, columns = (torch.from_numpy(index).to(device) for index in (plan.rows, plan.columns))
    mass = torch.from_numpy(plan.mass).to(device)
    if replace:
        entries = draw_weighted(mass, n, generator)
    elif len(mass) == n and bool((mass == mass[0]).all()):
        return rows, columns
    else:
        # Each stratum has its own random offset: with a common one all rows of a dense plan would
        # draw the same columns.
        offsets = torch.rand(n, generator=generator, device=device, dtype=mass.dtype)
        positions = (torch.arange(n, device=device) + offsets) / n * mass.sum()
        entries = search_cdf(mass.cumsum(0), positions)
    return rows[entries], columns[entries]
