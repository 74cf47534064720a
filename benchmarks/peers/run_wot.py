"""Plans and fates of WOT, with the Python of an environment that has it.

    python run_wot.py COURSE.h5ad OUTPUT

Settings are WOT's own (epsilon 0.05, lambda1 1, lambda2 50, one round of growth); it is given the
points that the others have instead of its local PCA.
`requirements-wot.txt` has the versions.
"""

import warnings

warnings.filterwarnings("ignore")

import anndata  # noqa: E402
import numpy as np  # noqa: E402
import wot  # noqa: E402
import wot.ot  # noqa: E402
import wot.tmap  # noqa: E402
from stages import Stages, read_arguments  # noqa: E402

# WOT reads its plans by a name that anndata has removed since.
anndata.read = anndata.read_h5ad


def main() -> None:
    """Measure each stage."""
    options = read_arguments()
    stages = Stages(options.output)
    adata = anndata.read_h5ad(options.course)
    points = anndata.AnnData(
        np.asarray(adata.obsm["X_cellflow"], np.float64), obs=adata.obs[["time"]].astype(float)
    )
    folder = options.output / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    model = wot.ot.OTModel(points, day_field="time", local_pca=0)
    stages.measure("plans", lambda: model.compute_all_transport_maps(str(folder / "plan")))
    groups = adata.obs["fate"].dropna().astype("category")
    sets = {str(name): list(groups.index[groups == name]) for name in groups.cat.categories}

    def estimate() -> anndata.AnnData:
        maps = wot.tmap.TransportMapModel.from_directory(str(folder / "plan"))
        return maps.fates(maps.population_from_cell_sets(sets, at_time=adata.obs["time"].max()))

    found = stages.measure("fates", estimate)
    table = found.to_df().reindex(index=adata.obs_names, columns=list(sets))
    stages.arrays["groups"] = np.array(list(sets), str)
    stages.arrays["fates"] = table.to_numpy(np.float32)
    stages.write()


if __name__ == "__main__":
    main()
