"""Time courses from files: `.h5ad`, and those that papers published for benchmarks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._errors import FileError
from cellflow._numpy_files import read_member, read_names
from cellflow.io.anndata_files import open_cells, read_h5ad

#: Files of published scores, with the first digits of their SHA-256.
PUBLISHED = {
    "eb_velocity_v5.npz": "17623d16",  # TrajectoryNet: embryoid bodies
    "op_cite_inputs_0.h5ad": "fa1d117d",  # Mendeley hhny5ff7yj: CITE-seq
    "op_train_multi_targets_0.h5ad": "a16c28ef",  # the same: Multiome
}

#: Arrays of an `.npz`: principal components, and the time of each cell.
_POINTS, _LABELS = "pcs", "sample_labels"

#: `obsm` key and `obs` column that `read_course` writes them to.
NPZ_REP, NPZ_TIME = "X_pca", "time"


def read_course(path: str | Path) -> AnnData:
    """Read cells with their times from an `.h5ad` file, or an `.npz` file of TrajectoryNet.

    Of an `.npz`, `pcs` becomes `obsm["X_pca"]`, shape (n, d), and `sample_labels` `obs["time"]`.

    Raises
    ------
    FileError
        If it is missing, damaged, or of another kind; if arrays are pickled, which are never
        opened, since that would run what they hold.
    """
    path = Path(path)
    return _read_npz(path) if path.suffix == ".npz" else read_h5ad(path)


def open_course(path: str | Path) -> AnnData:
    """Open what `read_course` reads; matrices stay in an `.h5ad` file or a zarr store."""
    path = Path(path)
    return _read_npz(path) if path.suffix == ".npz" else open_cells(path)


def published(path: str | Path) -> str:
    """Check whether a file is a known data set of published scores.

    `yes` if its digest matches, `no` if only its name matches, empty for all other files.
    """
    path = Path(path)
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if any(found.startswith(prefix) for prefix in PUBLISHED.values()):
        return "yes"
    return "no" if path.name in PUBLISHED else ""


def _read_npz(path: Path) -> AnnData:
    points, labels = _read_array(path, _POINTS), _read_array(path, _LABELS)
    if points.ndim != 2 or labels.shape != (len(points),):
        raise FileError(
            f"{path} needs {_POINTS} of shape (n, d) and {_LABELS} of shape (n,), "
            f"got {points.shape} and {labels.shape}"
        )
    index = [f"cell{k}" for k in range(len(points))]
    return AnnData(
        obs=pd.DataFrame({NPZ_TIME: labels}, index=index),
        obsm={NPZ_REP: np.asarray(points, dtype=np.float64)},
    )


def _read_array(path: Path, name: str) -> np.ndarray:
    if name not in read_names(path):
        raise FileError(f"{path} has no array {name!r}, as TrajectoryNet's files have")
    return read_member(path, name)
