"""One coupling for a whole time course, made of one for each interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cellflow.couplings.pairs import Coupling, Pairs


@dataclass(frozen=True)
class PiecewiseCoupling:
    """Serves pairs of all intervals, each pair of an interval drawn uniformly.

    Attributes
    ----------
    intervals
        One coupling for each interval.
    """

    intervals: Sequence[Coupling]

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, those of one interval after those of another."""
        draws = torch.randint(
            len(self.intervals), (n,), generator=generator, device=generator.device
        )
        counts = torch.bincount(draws, minlength=len(self.intervals)).tolist()
        return Pairs.cat(
            [
                coupling.sample(count, generator)
                for coupling, count in zip(self.intervals, counts, strict=True)
                if count
            ]
        )
