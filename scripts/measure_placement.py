"""Measure how well left-out cells are placed in a UMAP by their neighbours of other times.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_placement.py [DATA ...]

The UMAP is that of all cells (scanpy's defaults, seed 0; at most 3,200 cells). The cells of each
time but the first and the last are placed by those of the other times. Prints the median and the
mean distance from their real places, in units of the spread of the UMAP, averaged over the times,
beside those of a copy of the place of the nearest cell. Needs umap-learn.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anndata
import numpy as np
import scanpy
from sklearn.neighbors import NearestNeighbors

import cellflow as cf
from cellflow.representation import Placement

#: File of each data set, and its embedding if it has one.
DATA = {
    "RA": ("semrau2017_ra41", None),
    "EMT": ("cook2020_emt_ae10", "X_latent"),
    "iPSC": ("bargaje2017_qpcr", None),
    "T cells": ("tcell_cytof15", None),
    "worm": ("worm_amphid_packer", None),
}


def read(file: str, embedding: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points in the representation, places in a UMAP, and times."""
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / f"{file}.h5ad")
    if adata.n_obs > 3200:
        rows = np.random.default_rng(0).permutation(adata.n_obs)[:3000]
        adata = adata[np.sort(rows)].copy()
    if embedding is None:
        # Cells without counts have no profile.
        adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
        cf.pp.embed(adata)
        embedding = "X_cellflow"
    scanpy.pp.neighbors(adata, use_rep=embedding, random_state=0)
    scanpy.tl.umap(adata, random_state=0)
    return adata.obsm[embedding], adata.obsm["X_umap"], adata.obs["time"].to_numpy()


def errors(points: np.ndarray, places: np.ndarray, left_out: np.ndarray) -> list[float]:
    """Return median and mean distance from the real places: by neighbours, and by the nearest."""
    measured, known = points[~left_out], places[~left_out]
    nearest = NearestNeighbors(n_neighbors=1).fit(measured)
    copied = known[nearest.kneighbors(points[left_out], return_distance=False)[:, 0]]
    placed = Placement.fit(measured, known).place(points[left_out])
    spread = np.sqrt(places.var(axis=0).sum())
    away = [np.linalg.norm(each - places[left_out], axis=1) / spread for each in (placed, copied)]
    return [float(each) for far in away for each in (np.median(far), far.mean())]


def main(names: list[str]) -> None:
    """Print the errors of each data set."""
    for name in names or DATA:
        points, places, times = read(*DATA[name])
        folds = [errors(points, places, times == time) for time in np.unique(times)[1:-1]]
        ours, our_mean, copy, copy_mean = np.mean(folds, axis=0)
        copied = f"nearest cell {copy:.3f}, {copy_mean:.3f}"
        print(f"{name}: {ours:.3f}, {our_mean:.3f}; {copied}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
