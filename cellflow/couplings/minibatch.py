"""Minibatch optimal transport, the coupling of OT-CFM."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from cellflow._typing import Marginal, Points
from cellflow.couplings.pairs import Pairs
from cellflow.transport import assign, squared_distances


@dataclass
class MinibatchOTCoupling:
    """Exact optimal transport, squared Euclidean cost, between batches of the marginals.

    One problem of `batch_size` points a side is solved at a time, and all of its pairs are served
    before the next, however many are asked for at once (Tong et al. 2024, arXiv 2302.00482,
    section 3.3, OT-CFM).

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
        points out of each batch; without, every point is served exactly once.
    """

    source: Marginal
    target: Marginal
    interval: tuple[float, float] = (0.0, 1.0)
    batch_size: int = 256
    replace: bool = False
    _ready: list[Pairs] = field(default_factory=list, init=False, repr=False)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, solving as many transport problems as that takes."""
        parts: list[Pairs] = []
        while n > 0:
            pairs = self._ready.pop() if self._ready else self._solve(generator)
            parts.append(pairs[:n])
            if len(pairs) > n:
                self._ready.append(pairs[n:])
            n -= len(parts[-1])
        return Pairs.cat(parts)

    def _solve(self, generator: torch.Generator) -> Pairs:
        x0 = self.source.sample(self.batch_size, generator)
        x1 = self.target.sample(self.batch_size, generator)
        partner = optimal_partners(x0, x1)
        if self.replace:
            rows = torch.randint(len(x0), (len(x0),), generator=generator, device=x0.device)
            x0, partner = x0[rows], partner[rows]
        return Pairs.over(self.interval, x0, x1[partner])


def optimal_partners(x0: Points, x1: Points) -> Tensor:
    """Row of `x1` that each row of `x0` is sent to by the exact plan, shape (n,)."""
    cost = squared_distances(x0, x1).cpu().numpy()
    return torch.from_numpy(assign(cost)).to(x0.device)
