"""Counts that are embedded from disk, in time, memory, and equality to those in memory.

    python tests/benchmarks/counts_on_disk.py FOLDER --cells 500000

Counts of 2,000 genes are simulated from a seed and written part by part. The embedding from disk
and the one in memory run in processes of their own.
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
from anndata.io import sparse_dataset, write_elem
from memory import Peak
from scipy import sparse

GENES, KINDS, PART, SEED = 2000, 12, 5000, 0


def simulate(path: Path, n: int) -> None:
    """Counts of `n` cells of twelve kinds, about a sixth of them not zero."""
    rng = np.random.default_rng(SEED)
    rates = rng.gamma(0.3, 0.7, size=GENES) * np.exp(rng.normal(size=(KINDS, GENES)) * 0.7)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        names = np.char.add("cell", np.arange(n).astype(str)).astype(object)
        day = np.arange(n) % 4
        write_elem(file, "obs", pd.DataFrame({"day": day}, index=names))
        write_elem(file, "var", pd.DataFrame(index=[f"gene{k}" for k in range(GENES)]))
        first = _counts(rng, rates, min(PART, n))
        write_elem(file, "X", first, dataset_kwargs={"chunks": (65_536,)})
        rest = sparse_dataset(file["X"])
        for start in range(PART, n, PART):
            rest.append(_counts(rng, rates, min(PART, n - start)))


def _counts(rng: np.random.Generator, rates: np.ndarray, n: int) -> sparse.csr_matrix:
    depth = np.exp(rng.normal(size=(n, 1)) * 0.4)
    counts = rng.poisson(rates[rng.integers(KINDS, size=n)] * depth)
    return sparse.csr_matrix(counts, dtype=np.float32)


def imported() -> None:
    """Import what an embedding imports on its way, by a tiny one."""
    import cellflow as cf

    cf.pp.embed(cf.datasets.semrau2017(), n_dims=2)


def measure(path: Path, way: str) -> dict[str, object]:
    """Embed the file in chunks, or whole."""
    import dask.array
    import dask.distributed  # noqa: F401
    import scanpy  # noqa: F401

    import cellflow as cf
    from cellflow.io import open_cells, write_copy
    from cellflow.representation import chunks

    imported()
    peak, start, cpu = Peak(), time.perf_counter(), time.process_time()
    adata = open_cells(path)
    group = adata.X.group
    size = sum(group[name].size * group[name].dtype.itemsize for name in ("data", "indices"))
    chunks.WHOLE = 0 if way == "chunks" else 10**12
    cf.pp.embed(adata)
    embedded = peak.above
    if way == "chunks":
        write_copy(adata, path, path.with_suffix(".embedded.h5ad"), overwrite=True)
    else:
        np.save(path.with_suffix(".npy"), adata.obsm["X_cellflow"])
    return {
        "way": way,
        "cells": adata.n_obs,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "sparse_mb": size / 1e6,
        "dense_mb": adata.n_obs * GENES * 4 / 1e6,
        "embed_peak_mb": embedded,
        "peak_mb": peak.above,
        "peak_over_sparse": peak.above / (size / 1e6),
    }


def compare(path: Path) -> dict[str, float]:
    """Largest difference of points, up to the sign of each dimension."""
    whole = np.load(path.with_suffix(".npy"))
    with h5py.File(path.with_suffix(".embedded.h5ad")) as file:
        chunked = file["obsm/X_cellflow"][:]
    signs = np.sign((whole * chunked).sum(axis=0))
    return {
        "largest_difference": float(np.abs(whole - chunked * signs).max()),
        "largest_value": float(np.abs(whole).max()),
    }


def main() -> None:
    """Simulate, embed both ways, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=500_000)
    parser.add_argument("--way", choices=["chunks", "whole"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.folder.mkdir(exist_ok=True)
    path = asked.folder / f"counts{asked.cells}.h5ad"
    if asked.way:
        print(json.dumps(measure(path, asked.way)), flush=True)
        return
    if not path.exists():
        simulate(path, asked.cells)
    for way in ("chunks", "whole"):
        words = [asked.folder, "--cells", asked.cells, "--way", way]
        subprocess.run([sys.executable, __file__, *map(str, words)], check=True)
    print(json.dumps(compare(path)))


if __name__ == "__main__":
    main()
