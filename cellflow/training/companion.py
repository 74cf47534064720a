"""What goes along with a training: it follows each step, takes readings and may stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Companion(Protocol):
    """Something that changes with the net that is trained, and that couplings may ask."""

    def update(self, step: int) -> None:
        """Follow the weights after step number `step`, from 1."""
        ...

    def read(self, step: int, net: Any) -> tuple[dict[str, float], bool]:
        """Readings for the history at a step, of the net to use; True where it is time to stop."""
        ...

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What it needs to go on from here."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        ...
