"""Steps that `tl.pseudotime` and `tl.landscape` need: time and error against finer solutions.

CELLFLOW_DATA=/folder/of/data OMP_NUM_THREADS=1 python -m tests.benchmarks.integrals

Every fourth cell, 10 dimensions, a flow of the default method. Errors are the 99th percentile over
the cells, of the pseudotime in units of its standard deviation (beside that of another seed), of
the path length in units of its median, of the potential in units of its interquartile range.
"""

import os
from pathlib import Path
from time import process_time
from unittest.mock import patch

import anndata
import numpy as np
import torch

import cellflow as cf
from cellflow.integrate import STEPS_PER_UNIT_TIME, count_steps, log_density, solve_augmented
from cellflow.tl import _landscape, _prediction, _pseudotime

#: Steps of rk4 per unit of flow time.
RATES = (5, 10, 16, 25, 32)

#: The solver that pseudotimes and paths are held against, and the steps of rk4 for potentials.
EXACT, FINE = {"solver": "dopri5", "tolerance": 1e-7}, 128

predict_cells = _prediction.predict_cells


def main() -> None:
    torch.set_num_threads(1)
    print("| data | steps | pseudotime | path length | s | potential | s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, adata in read():
        cf.pp.embed(adata, n_dims=10)
        flow = cf.tl.fit(adata, time_key="time", progress=False)
        cells = adata[::4].copy()
        exact = _measure(cells, flow, None)
        for rate in RATES:
            found = _measure(cells, flow, rate)
            errors = [
                np.quantile(np.abs(found[key] - exact[key]), 0.99) / _scale(key, exact[key])
                for key in ("pseudotime", "path", "potential")
            ]
            times = [found["seconds"], found["seconds of potential"]]
            print(
                f"| {name} | {rate} | {errors[0]:.1e} | {errors[1]:.1e} | {times[0]:.1f} "
                f"| {errors[2]:.1e} | {times[1]:.1f} |",
                flush=True,
            )
        cf.tl.pseudotime(cells, flow, rng=1)
        other = np.abs(cells.obs["cellflow_pseudotime"] - exact["pseudotime"])
        seed = np.quantile(other, 0.99) / _scale("pseudotime", exact["pseudotime"])
        print(f"| {name} | another seed | {seed:.1e} | | | | |", flush=True)


def read():
    """Yield the names and the cells of the data sets that are there."""
    adata = cf.datasets.semrau2017()
    yield "RA", adata[adata.X.getnnz(axis=1) > 0].copy()
    if folder := os.environ.get("CELLFLOW_DATA"):
        yield "iPSC", anndata.read_h5ad(Path(folder) / "bargaje2017_qpcr.h5ad")


def _measure(cells, flow, rate):
    """Values and seconds with a rate of steps; with None by the adaptive solver."""
    options = EXACT if rate is None else {}

    def predict(*args, n_steps, **kwargs):
        steps = {} if rate is None else {"n_steps": n_steps}
        return predict_cells(*args, **kwargs, **steps, **options)

    def augmented(*args, n_steps, **kwargs):
        steps = {} if rate is None else {"n_steps": n_steps}
        return solve_augmented(*args, **kwargs, **steps, **options)

    def density(velocity, base, x, start, stop):
        n_steps = count_steps("rk4", stop - start, rate or FINE)
        return log_density(velocity, base, x, start, stop, n_steps=n_steps)

    with (
        patch.object(_pseudotime, "_STEPS_PER_UNIT_TIME", rate or 1),
        patch.dict(STEPS_PER_UNIT_TIME, rk4=rate or 1),
        patch.object(_prediction, "predict_cells", predict),
        patch.object(_pseudotime, "solve_augmented", augmented),
        patch.object(_landscape, "log_density", density),
    ):
        start = process_time()
        cf.tl.pseudotime(cells, flow)
        middle = process_time()
        cf.tl.landscape(cells, flow)
        end = process_time()
    return {
        "pseudotime": cells.obs["cellflow_pseudotime"].to_numpy().copy(),
        "path": cells.obs["cellflow_path_length"].to_numpy().copy(),
        "potential": cells.obs["cellflow_potential"].to_numpy().copy(),
        "seconds": middle - start,
        "seconds of potential": end - middle,
    }


def _scale(key, values):
    if key == "potential":
        return np.subtract(*np.quantile(values, [0.75, 0.25]))
    return np.median(values) if key == "path" else values.std()


if __name__ == "__main__":
    main()
