"""The couplings of fits that go side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from cellflow._batch import Pairs
from cellflow.couplings.coupling import Coupling
from cellflow.couplings.table import Joined


@dataclass(frozen=True)
class SideBySide:
    """Serves as many pairs of each part, by its own generator: those that it would draw alone.

    Attributes
    ----------
    parts
        A coupling a fit.
    """

    parts: Sequence[Coupling]

    def sample(self, n: int, generator: Any) -> Pairs:
        """Draw `n` pairs of each part, those of one part after those of another.

        `generator` is a `Generators` with one for each.
        """
        pairs = list(zip(self.parts, generator.each, strict=True))
        if self._joined is None:
            return Pairs.cat([part.sample(n, each) for part, each in pairs])
        marks = torch.stack([part.marks(n, each) for part, each in pairs])  # type: ignore[attr-defined]
        return self._joined.table.at((marks + self._joined.starts[:, None]).flatten())

    @cached_property
    def _joined(self) -> Joined | None:
        return Joined.of(self.parts)
