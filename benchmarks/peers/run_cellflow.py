"""Fit, transitions, fates, drivers and a held-out time by cellflow, all by its defaults.

    python run_cellflow.py COURSE.h5ad OUTPUT --variant default

Variants are names of methods. Times are those of the verbs; the held-out time has a fit of its own.
"""

import anndata
import numpy as np
from stages import Stages, read_arguments

import cellflow as cf


def main() -> None:
    """Measure each stage."""
    options = read_arguments()
    stages = Stages(options.output)
    for _ in range(options.passes):
        stages.rows.clear()
        run(anndata.read_h5ad(options.course), options.variant, options.held_out, stages)


def run(adata: anndata.AnnData, method: str, held_out: float, stages: Stages) -> None:
    """Follow the order of the others."""
    settings = {"method": method, "time_key": "time", "use_rep": "X_cellflow", "progress": False}
    # The first fit of a process imports what fits need.
    cf.tl.fit(adata[::100].copy(), recipe=cf.recipe("default", n_steps=2), **settings)
    flow = stages.measure("fit of all times", lambda: cf.tl.fit(adata, **settings))
    stages.measure("plans", lambda: cf.tl.transitions(adata, flow, "state"))
    stages.measure("fates", lambda: cf.tl.fates(adata, flow, "fate"))
    record = adata.uns["cellflow"]["fate_probabilities"]
    stages.arrays["groups"] = np.array(list(record["names"]), str)
    stages.arrays["fates"] = np.asarray(adata.obsm["fate_probabilities"], np.float32)
    table = stages.measure("drivers", lambda: cf.tl.drivers(adata))
    stages.arrays["drivers"] = (
        table.pivot(index="gene", columns="group", values="correlation")
        .reindex(index=adata.var_names, columns=list(record["names"]))
        .to_numpy(np.float32)
    )
    kept = adata[adata.obs["time"] != held_out].copy()
    fitted = stages.measure("fit", lambda: cf.tl.fit(kept, **settings))
    predicted = stages.measure("predict", lambda: cf.tl.interpolate(kept, fitted, held_out))
    stages.arrays["predicted_weights"] = predicted.obs["cellflow_weight"].to_numpy(np.float32)
    stages.arrays["predicted"] = np.asarray(predicted.obsm["X_cellflow"], np.float32)
    stages.write()


if __name__ == "__main__":
    main()
