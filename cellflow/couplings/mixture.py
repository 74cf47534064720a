"""One coupling made of several: for the intervals of a time course, for groups of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from cellflow._batch import Pairs
from cellflow.couplings.coupling import Coupling
from cellflow.couplings.table import Joined, Table


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
        if self._joined is not None:
            return self._joined.table.at(self.marks(n, generator))
        return Pairs.cat(
            [
                self.parts[k].sample(count, generator)
                for k, count in enumerate(self._counts(n, generator))
                if count
            ]
        )

    def table(self) -> Table | None:
        """Pairs of all parts, where each part has a list of them."""
        return None if self._joined is None else self._joined.table

    def marks(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw `n` places on the line of that list."""
        assert self._joined is not None
        counts = self._counts(n, generator)
        marks = [
            self.parts[k].marks(count, generator)  # type: ignore[attr-defined]
            for k, count in enumerate(counts)
            if count
        ]
        drawn = torch.tensor(counts, device=generator.device)
        return torch.cat(marks).add_(self._joined.starts.repeat_interleave(drawn, output_size=n))

    @cached_property
    def _joined(self) -> Joined | None:
        return Joined.of(self.parts)

    def _counts(self, n: int, generator: torch.Generator) -> list[int]:
        draws = self._draw(n, generator)
        return torch.bincount(draws, minlength=len(self.parts)).tolist()

    def _draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        if self.weights is None:
            return torch.randint(
                len(self.parts), (n,), generator=generator, device=generator.device
            )
        shares = torch.tensor(self.weights, device=generator.device)
        return torch.multinomial(shares, n, replacement=True, generator=generator)
