"""Compare embeddings of the same cells, stored as counts and on other scales.

Usage: python benchmarks/expression_kinds.py [FILE ...] [--time-key COLUMN] [--seeds N ...]

Without files, counts are simulated (6,000 genes, two seeds), those of the worm neurons in
CELLFLOW_DATA are added if the variable is set, and each is stored on nine scales. Files are used
as they are. Printed is R2 of time by linear regression on five whitened dimensions, in five folds.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict

import cellflow as cf


def score_embedding(adata: AnnData, time_key: str) -> tuple[str, float]:
    """Return the kind of expression that was recognised, and R2 of time from the embedding."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cf.CellflowWarning)
        cf.pp.embed(adata, n_dims=5, whiten=True)
    time = adata.obs[time_key].to_numpy(dtype=float)
    folds = KFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(LinearRegression(), adata.obsm["X_cellflow"], time, cv=folds)
    kind = adata.uns["cellflow"]["representations"]["X_cellflow"]["kind"]
    return str(kind), float(r2_score(time, predicted))


def list_scales(counts: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names of scales, and the counts (cells, genes) on each."""
    depth = counts.sum(axis=1, keepdims=True)
    lognormalised = np.log1p(counts / depth * 1e4)
    soup = counts.mean(axis=0) * rng.uniform(0.02, 0.15, (len(counts), 1))
    length = rng.lognormal(7.0, 0.7, counts.shape[1])
    yield "counts", counts
    yield "log-normalised, marked", lognormalised
    yield "log-normalised", lognormalised
    yield "log1p(CPM)", np.log1p(counts / depth * 1e6)
    yield "log2(CPM + 1)", np.log2(counts / depth * 1e6 + 1)
    yield "counts x 0.94", counts * 0.94
    yield "counts - ambient", np.clip(counts - soup, 0, None)
    yield "CPM", counts / depth * 1e6
    yield "FPKM", counts / length * 1e9 / depth


def list_courses(seeds: list[int]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield names, counts and times of courses."""
    for seed in seeds:
        course = cf.datasets.simulate_course(800, 6000, depth=2500.0, n_continuations=1, rng=seed)
        yield f"simulated, seed {seed}", course.X.toarray(), course.obs["time"].to_numpy(float)
    if folder := os.environ.get("CELLFLOW_DATA"):
        worm = anndata.read_h5ad(Path(folder) / "worm_amphid_packer.h5ad")
        yield "worm neurons", worm.X.toarray(), worm.obs["time"].to_numpy(float)


def compare_scales(seeds: list[int]) -> pd.DataFrame:
    """Return R2 of each scale (rows) and course (columns)."""
    found: dict[str, dict[str, float]] = {}
    for name, counts, time in list_courses(seeds):
        names = [f"cell{k}" for k in range(len(time))]
        for scale, values in list_scales(counts.astype(np.float64), np.random.default_rng(0)):
            adata = AnnData(values.astype(np.float32), obs=pd.DataFrame({"time": time}, names))
            if scale.endswith("marked"):
                adata.uns["log1p"] = {}
            kind, r2 = score_embedding(adata, "time")
            found.setdefault(name, {})[f"{scale} ({kind})"] = r2
    return pd.DataFrame(found)


def main() -> None:
    """Print the table, or a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--time-key", default="day")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    options = parser.parse_args()
    if not options.files:
        print(compare_scales(options.seeds).round(3).to_string())
    for path in options.files:
        kind, r2 = score_embedding(anndata.read_h5ad(path), options.time_key)
        print(f"{path.stem:20} {kind:12} {r2:.3f}")


if __name__ == "__main__":
    main()
