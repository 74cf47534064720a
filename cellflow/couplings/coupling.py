"""What a coupling is, and what it keeps between two draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from cellflow._batch import Interval, Marginal, Pairs


@runtime_checkable
class Coupling(Protocol):
    """A joint law of endpoints.

    One that solves for more pairs than it is asked for keeps the rest in a list `ready`; one that
    is made of others has them in `parts`. Apart from these lists a coupling does not change.
    """

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs."""
        ...


def waiting(coupling: Coupling) -> list[list[Pairs]]:
    """The lists of pairs, of a coupling and all of its parts, that are ready to be served."""
    own = [coupling.ready] if hasattr(coupling, "ready") else []
    return own + [ready for part in getattr(coupling, "parts", ()) for ready in waiting(part)]


@dataclass(frozen=True)
class IndependentCoupling:
    """Source and target drawn apart (Tong et al. 2024, arXiv 2302.00482, I-CFM).

    Attributes
    ----------
    source, target
        The two marginals.
    interval
        Flow times of source and target.
    """

    source: Marginal
    target: Marginal
    interval: Interval = (0.0, 1.0)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` independent pairs."""
        source = self.source.sample(n, generator)
        return Pairs.over(self.interval, source, self.target.sample(n, generator))
