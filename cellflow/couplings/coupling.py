"""Base class of couplings, the table of all pairs of one, and the independent coupling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow._batch import Interval, Marginal, Pairs
from cellflow._random import search_cdf


class Coupling(ABC):
    """A joint distribution of source and target points.

    A subclass defines `sample`. One that computes more pairs than requested buffers the rest
    and lists the buffer in `pending_pairs`; nothing else of a coupling is mutable, so an exact
    resume requires only the state of the generator and these buffers.
    """

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs."""

    def pending_pairs(self) -> list[list[Pairs]]:
        """Return the buffers of pairs computed but not returned yet, one per buffering component.

        The lists are those that the coupling reads, so that a checkpoint can be restored into them.
        """
        return []

    def pair_table(self) -> PairTable | None:
        """Return all pairs with their weights if they are few and fixed, else None."""
        return None


@dataclass(frozen=True)
class PairTable:
    """All pairs that a coupling can draw; one lookup returns a whole batch.

    Attributes
    ----------
    pairs
        The k pairs.
    cdf
        Cumulative weights of the pairs, shape (k,), float64.
    draw_positions
        Draws `n` positions between 0 and `cdf[-1]`, given `n` and a generator.
    """

    pairs: Pairs
    cdf: Tensor
    draw_positions: Callable[[int, torch.Generator], Tensor]

    @property
    def size(self) -> int:
        """Number of array entries in all columns."""
        return sum(column.numel() for column in self.pairs.columns().values())

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs by weight."""
        return self.pairs[search_cdf(self.cdf, self.draw_positions(n, generator))]


@dataclass(frozen=True)
class IndependentCoupling(Coupling):
    """Product of the two marginals, the coupling of I-CFM (Tong et al. 2024, arXiv 2302.00482).

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
        """Draw `n` source and `n` target points independently."""
        source = self.source.sample(n, generator)
        return Pairs.over(self.interval, source, self.target.sample(n, generator))
