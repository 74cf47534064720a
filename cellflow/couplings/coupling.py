"""What a coupling is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from cellflow._batch import Pairs


@runtime_checkable
class Coupling(Protocol):
    """A joint law of endpoints."""

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs."""
        ...
