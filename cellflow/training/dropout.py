"""Randomness of dropout layers, kept apart from that of the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Dropout:
    """Randomness of dropout layers, which draw from torch's global generators only.

    While training runs these are in a state of their own; afterwards they are as they were.
    """

    def __init__(self, net: nn.Module, seed: int, device: torch.device) -> None:
        self.needed = any(isinstance(each, nn.Dropout) and each.p > 0 for each in net.modules())
        self.seed, self.device = seed, device
        self.resumed: dict[str, Tensor] = {}

    @contextmanager
    def own_generator(self) -> Iterator[None]:
        """Let dropout draw from a generator of its own inside the block."""
        if not self.needed:
            yield
            return
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            # Not `torch.manual_seed`, which seeds all devices and not only those that are put back.
            torch.default_generator.manual_seed(self.seed)
            if devices:
                with torch.cuda.device(self.device):
                    torch.cuda.manual_seed(self.seed)
            if "cpu" in self.resumed:
                torch.set_rng_state(self.resumed["cpu"])
            if "cuda" in self.resumed:
                torch.cuda.set_rng_state(self.resumed["cuda"], self.device)
            yield

    def state(self) -> dict[str, Tensor]:
        """Where the generators are; nothing where none is needed."""
        if not self.needed:
            return {}
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def restore(self, states: dict[str, Tensor]) -> None:
        """Go on from there."""
        self.resumed = states
