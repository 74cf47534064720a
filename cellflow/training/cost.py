"""What a training costs: seconds and memory, kept with the flow beside what it reaches."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

import torch


class Stopwatch:
    """Takes the time of a training and of what goes before it.

    Parameters
    ----------
    device
        Where it computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start = self.ready = perf_counter()

    def lap(self) -> None:
        """From here on steps are taken."""
        self.ready = perf_counter()

    def read(self, waited: float) -> dict[str, Any]:
        """What it cost up to now, `waited` seconds of the steps having gone by for pairs.

        Returns
        -------
        `setup_seconds` before the first step (plans, potentials, learned paths), `seconds` of the
        steps, `pairing_seconds` of these in which they waited for pairs, and `peak_memory_mb`, the
        most that the process has held since its start, or that it holds on a GPU.
        """
        return {
            "setup_seconds": self.ready - self.start,
            "seconds": (perf_counter() - self.ready),
            "pairing_seconds": waited,
            "peak_memory_mb": peak_memory(self.device),
        }


def peak_memory(device: torch.device) -> float | None:
    """Most megabytes held so far; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        # Not on Windows.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
