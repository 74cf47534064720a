"""Optimal transport between minibatches, the couplings of OT-CFM and its kin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cellflow._batch import Interval, Marginal, Pairs
from cellflow.couplings.costs import Cost, squared_euclidean
from cellflow.transport import Plan, assign

#: A plan of a cost matrix (n, m) between equally heavy rows and columns.
Solver = Callable[[np.ndarray], Plan]


def exact(cost: np.ndarray) -> Plan:
    """The optimal permutation."""
    return Plan.from_permutation(assign(cost))


@dataclass
class MinibatchCoupling:
    """Optimal transport between batches of the marginals.

    One problem of `batch_size` points a side is solved at a time, and all of its pairs are served
    before the next, however many are asked for at once (Tong et al. 2024, arXiv 2302.00482,
    section 3.3: OT-CFM with the exact solver, SB-CFM with the entropic one of epsilon =
    2 sigma^2; Eyring et al. 2024, arXiv 2311.15100: UOT-FM with an unbalanced one).

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    batch_size
        Points a side of each transport problem. The bias of minibatch transport falls as it
        grows; the time to solve grows with about its cube.
    replace
        Draw pairs from the plan with replacement, as published, which leaves about 1/e of the
        points out of each batch; without, each pair is served as often as its mass says, so a
        permutation serves every point once.
    solver
        Makes the plan from the costs.
    cost
        Ground cost between rows of source and target.
    ready
        Pairs that were solved for and not served yet.
    """

    source: Marginal
    target: Marginal
    interval: Interval = (0.0, 1.0)
    batch_size: int = 256
    replace: bool = False
    solver: Solver = exact
    cost: Cost = squared_euclidean
    ready: list[Pairs] = field(default_factory=list, init=False, repr=False)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, solving as many transport problems as that takes."""
        return served(self.ready, n, lambda: self._solve(generator))

    def _solve(self, generator: torch.Generator) -> Pairs:
        source = self.source.sample(self.batch_size, generator)
        target = self.target.sample(self.batch_size, generator)
        plan = self.solver(self.cost(source, target).cpu().numpy())
        rows, columns = drawn(plan, self.batch_size, generator, replace=self.replace)
        return Pairs.over(self.interval, source[rows], target[columns])


def served(ready: list[Pairs], n: int, solve: Callable[[], Pairs]) -> Pairs:
    """Take `n` pairs of those that are ready, solving for more where needed; the rest stays."""
    while sum(map(len, ready)) < n:
        ready.append(solve())
    pairs = Pairs.cat(ready)
    ready[:] = [pairs[n:]] if len(pairs) > n else []
    return pairs[:n]


def drawn(
    plan: Plan, n: int, generator: torch.Generator, *, replace: bool
) -> tuple[Tensor, Tensor]:
    """Rows and columns of `n` pairs drawn by the masses of a plan.

    Without replacement the draw is stratified: each row is drawn as often as its mass says,
    rounded up or down at random, so a permutation of n rows comes out whole.
    """
    device = generator.device
    rows, columns = (torch.from_numpy(index).to(device) for index in (plan.rows, plan.columns))
    mass = torch.from_numpy(plan.mass).to(device)
    if replace:
        entries = torch.multinomial(mass, n, replacement=True, generator=generator)
    elif len(mass) == n and bool((mass == mass[0]).all()):
        return rows, columns
    else:
        # Each stratum has a random place of its own: a common one would make all rows of a dense
        # plan draw the same columns.
        place = torch.rand(n, generator=generator, device=device, dtype=mass.dtype)
        marks = (torch.arange(n, device=device) + place) / n * mass.sum()
        entries = torch.searchsorted(mass.cumsum(0), marks).clamp(max=len(mass) - 1)
    return rows[entries], columns[entries]
