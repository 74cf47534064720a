"""Measure the size of pages of `cellflow explore`, and the time that they take to write.

    python scripts/measure_explore.py FOLDER [N_CELLS ...]

Courses are simulated with 100 genes and 20 dimensions, and drawn on two coordinates that are no
affine map of these, so that moving cells are placed by their neighbours as on a UMAP. Prints the
size in MB and processor seconds without and with ancestors. Pages are written to FOLDER.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np

import cellflow as cf


def spent() -> float:
    """Processor seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(folder: Path, sizes: list[int]) -> None:
    """Measure pages of courses of several sizes."""
    for n in sizes:
        adata = cf.datasets.simulate_course(n_cells=n, n_genes=100, fates={"A": 0.6, "B": 0.4})
        cf.pp.embed(adata, n_dims=20)
        c = adata.obsm["X_cellflow"] / adata.obsm["X_cellflow"][:, 0].std()
        adata.obsm["X_umap"] = np.tanh(c[:, :2]) + 0.2 * c[:, 2:4]
        recipe = cf.recipe("default", n_steps=200)
        flow = cf.tl.fit(adata, time_key="time", recipe=recipe, progress=False)
        cf.tl.fates(adata, flow, "state")
        path, seconds = folder / f"{n}.html", []
        for ancestors in (False, True):
            before = spent()
            cf.report.explore(
                adata, flow, path, groups="state", ancestors=ancestors, overwrite=True
            )
            seconds.append(spent() - before)
        size = path.stat().st_size / 1e6
        print(f"{n:,} cells: {size:.2f} MB, {seconds[0]:.1f} s, {seconds[1]:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(each) for each in sys.argv[2:]] or [1_000, 10_000, 100_000])
