"""The product coupling of I-CFM."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Interval, Marginal, Pairs


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
