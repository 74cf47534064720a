"""What a coupling is, and what it keeps between two draws."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from cellflow._batch import Pairs


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
