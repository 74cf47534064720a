"""One coupling made of several: for the intervals of a time course, for groups of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow.couplings.coupling import Coupling


@dataclass(frozen=True)
class MixtureCoupling:
    """Serves pairs of all its parts, each pair of a part drawn by weight.

    Attributes
    ----------
    parts
        The couplings.
    weights
        Their shares, any positive scale; None for equal ones.
    """

    parts: Sequence[Coupling]
    weights: Sequence[float] | None = None

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, those of one part after those of another."""
        draws = self._draw(n, generator)
        counts = torch.bincount(draws, minlength=len(self.parts)).tolist()
        return Pairs.cat(
            [
                coupling.sample(count, generator)
                for coupling, count in zip(self.parts, counts, strict=True)
                if count
            ]
        )

    def _draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        if self.weights is None:
            return torch.randint(
                len(self.parts), (n,), generator=generator, device=generator.device
            )
        shares = torch.tensor(self.weights, device=generator.device)
        return torch.multinomial(shares, n, replacement=True, generator=generator)
