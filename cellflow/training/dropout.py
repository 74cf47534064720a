"""Randomness of dropout layers, separate from that of the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Dropout:
    """State of the global generators of torch, which dropout layers draw from, during a training.

    The generators are put back to their previous state afterwards.
    """

    def __init__(self, net: nn.Module, seed: int, device: torch.device) -> None:
        self.needed = any(isinstance(each, nn.Dropout) and each.p > 0 for each in net.modules())
        self.seed, self.device = seed, device
        self.resumed: dict[str, Tensor] = {}

    @contextmanager
    def own_generator(self) -> Iterator[None]:
        """Seed the global generators inside the block, and put them back afterwards."""
        if not self.needed:
            yield
            return
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            # Not `torch.manual_seed`: it also seeds devices that are not put back.
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
        """Return the states of the generators; empty for a net without dropout."""
        if not self.needed:
            return {}
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def restore(self, states: dict[str, Tensor]) -> None:
        """Continue from these states."""
        self.resumed = states
