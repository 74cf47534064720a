"""Measure the stages of one tool. Standard library and numpy only, for any environment."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Stages:
    """Times and memory of the stages of a process, written after each.

    `arrays` are the results that scores are computed from. Both stay on disk if a later stage runs
    out of memory or time.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.rows: list[dict[str, object]] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._idle = _megabytes("VmRSS")

    def measure(self, stage: str, function: Callable[[], Result]) -> Result:
        """Return the result of `function`, after its wall and CPU seconds and peak MB are kept.

        The peak is that above the memory of the process before its first stage.
        """
        print(f"{stage} ...", file=sys.stderr, flush=True)
        _RESET.write_text("5")
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        self.rows.append(
            {
                "stage": stage,
                "seconds": time.perf_counter() - wall,
                "cpu_seconds": time.process_time() - cpu,
                "peak_mb": _megabytes("VmHWM") - self._idle,
            }
        )
        self.write()
        return result

    def write(self) -> None:
        """Write `stages.json` and `arrays.npz` to the folder of the output."""
        self.output.mkdir(parents=True, exist_ok=True)
        (self.output / "stages.json").write_text(json.dumps(self.rows))
        np.savez(self.output / "arrays.npz", **self.arrays)


def read_arguments() -> argparse.Namespace:
    """Return the course, the output folder, the variant of the tool, and the number of passes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("course", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--variant", default="default")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--held-out", type=float, default=4.0)
    return parser.parse_args()


def _megabytes(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
