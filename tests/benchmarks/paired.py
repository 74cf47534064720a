"""Two ways of doing one thing, timed in turns in one process, and their ratio with its spread."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

Way = Callable[[], object]


def seconds(way: Way, *, wall: bool = False) -> float:
    """CPU time of this process, which others on the machine do not lengthen by their turns.

    `wall` gives the time that passes, for ways that use several cores.
    """
    clock = perf_counter if wall else process_time
    start = clock()
    way()
    return clock() - start


def ratios(slow: Way, fast: Way, repeats: int, *, wall: bool = False) -> list[float]:
    """Time of the first over that of the second, in turns, after one turn that does not count."""
    if repeats > 1:
        slow(), fast()
    return [seconds(slow, wall=wall) / seconds(fast, wall=wall) for _ in range(repeats)]


def row(what: str, goal: str, values: Sequence[float]) -> None:
    """Print a row of the table."""
    spread = f"{statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f}"
    print(f"| {what} | {goal} | {spread} |", flush=True)


def header(what: str = "what") -> None:
    """Print the head of the table."""
    print(f"\n| {what} | goal | median | min | max |\n| --- | --- | --- | --- | --- |")


def cite(dims: int, *, whiten: bool) -> dict[float, np.ndarray]:
    """Principal components of the CITE-seq cells by day."""
    import anndata

    folder = os.environ.get("CELLFLOW_DATA")
    if not folder:
        sys.exit("CELLFLOW_DATA names no folder of larger data sets")
    adata = anndata.read_h5ad(Path(folder) / "cite_pca100.h5ad")
    x = np.asarray(adata.obsm["X_pca"][:, :dims], dtype=np.float64)
    if whiten:
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    days = adata.obs["time"].to_numpy().astype(float)
    return {float(day): x[days == day] for day in np.unique(days)}
