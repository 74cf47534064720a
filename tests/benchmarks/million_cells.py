"""Fit and push of up to a million cells from a file, in time and memory.

    python tests/benchmarks/million_cells.py FOLDER --cells 10000 100000 1000000 --n-steps 20000

Cells are simulated from a seed: ten times, fifty dimensions with falling spread, a centre that
moves. Each size runs in a process of its own, on one thread, and gives one line of JSON. Seconds
are of the processor, so that they hold on a machine that others use.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from memory import Peak

TIMES, DIMS, SEED = 10, 50, 0


def simulate(path: Path, n: int) -> None:
    """Write a course of `n` cells, a time after another."""
    rng = np.random.default_rng(SEED)
    spread = np.exp(-np.arange(DIMS) / 10)
    turn = rng.normal(size=(TIMES, DIMS)).cumsum(axis=0) * spread / 2
    # In random order, which is what makes populations copies.
    order = rng.permutation(n)
    day = np.repeat(np.arange(TIMES, dtype=np.float32), n // TIMES)[order]
    names = np.char.add("cell", np.arange(n).astype(str)).astype(object)
    obs = pd.DataFrame({"day": day, "depth": rng.poisson(5000, n)}, index=names)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", obs)
        write_elem(file, "var", pd.DataFrame(index=pd.Index([], dtype=object)))
        points = np.concatenate(
            [(rng.normal(size=(n // TIMES, DIMS)) * spread + c).astype(np.float32) for c in turn]
        )
        write_elem(file, "obsm", {"X_pca": points[order], "X_other": points})


def imported(method: str) -> None:
    """Import what a fit and a push import on their way, by a tiny one."""
    import cellflow as cf

    adata = cf.datasets.semrau2017()
    adata.obsm["X_pca"] = np.random.default_rng(SEED).normal(size=(adata.n_obs, 2))
    recipe = cf.recipe("default", n_steps=2)
    flow = cf.tl.fit(
        adata[::8].copy(), use_rep="X_pca", method=method, recipe=recipe, progress=False
    )
    cf.tl.interpolate(adata, flow, 30)


def measure(path: Path, n_steps: int, method: str, push_steps: int) -> dict[str, object]:
    """Fit to the file and push all cells to the time that follows, the last ones back."""
    import torch

    import cellflow as cf
    from cellflow.io import open_cells
    from cellflow.training import callbacks

    callbacks.perf_counter = time.process_time
    torch.set_num_threads(1)
    imported(method)
    peak, start = Peak(), time.process_time()
    adata = open_cells(path, ["day"])
    recipe = cf.recipe("default", n_steps=n_steps, batch_size=1024)
    flow = cf.tl.fit(
        adata, time_key="day", use_rep="X_pca", method=method, recipe=recipe, progress=False
    )
    whole = time.process_time() - start
    after_fit, start = peak.above, time.process_time()
    x = torch.from_numpy(np.asarray(adata.obsm["X_pca"]))
    day = adata.obs["day"].to_numpy()
    for k, here in enumerate(flow.axis.times):
        rows = torch.from_numpy(np.flatnonzero(day == here))
        there = flow.axis.times[k + 1 if k + 1 < TIMES else k - 1]
        x[rows] = flow.push(x[rows], here, there, n_steps=push_steps)
    taken = flow.record.cost
    return {
        "cells": adata.n_obs,
        "method": method,
        "n_steps": n_steps,
        "open_seconds": whole - taken["setup_seconds"] - taken["seconds"],
        "setup_seconds": taken["setup_seconds"],
        "step_ms": taken["seconds"] / n_steps * 1000,
        "push_seconds": time.process_time() - start,
        "data_mb": x.nbytes / 1e6,
        "peak_of_fit_mb": after_fit,
        "peak_mb": peak.above,
        "peak_over_data": peak.above / (x.nbytes / 1e6),
        "finite": bool(x.isfinite().all()),
    }


def main() -> None:
    """Simulate and measure each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--n-steps", type=int, default=20_000)
    parser.add_argument("--method", default="default")
    parser.add_argument("--push-steps", type=int, default=10)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.folder.mkdir(exist_ok=True)
    for n in asked.cells:
        path = asked.folder / f"{n}.h5ad"
        if asked.one:
            print(json.dumps(measure(path, asked.n_steps, asked.method, asked.push_steps)))
            continue
        if not path.exists():
            simulate(path, n)
        words = [asked.folder, "--cells", n, "--n-steps", asked.n_steps, "--method", asked.method]
        words += ["--push-steps", asked.push_steps, "--one"]
        subprocess.run([sys.executable, __file__, *map(str, words)], check=True)


if __name__ == "__main__":
    main()
