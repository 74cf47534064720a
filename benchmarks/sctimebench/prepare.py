"""Write the courses of the comparison as scTimeBench reads them.

    CELLFLOW_DATA=/path/to/data python benchmarks/sctimebench/prepare.py FOLDER

Writes FOLDER/semrau.h5ad and FOLDER/worm.h5ad, counts with `obs["timepoint"]` and
`obs["cell_type"]`, and FOLDER/worm_lineage.txt, the known descent of the cell types of the worm in
the format of scTimeBench's lineage files. Cells without a count are left out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

#: Course, and its file in CELLFLOW_DATA.
FILES = {"semrau": "semrau2017_ra41.h5ad", "worm": "worm_amphid_packer.h5ad"}

#: Parent and child among the cell types of the worm. Divisions are those of `obs["lineage"]`
#: (ABpxaapapa divides into ABpxaapapaa, AWA, and ABpxaapapap, ASG); `ASG_AWA` are their daughters
#: before they can be told apart, and `AWC_ON` one of the two states that AWC neurons take on.
#: The parent of AWB was not measured, so scTimeBench drops AWB.
WORM_LINEAGE = (
    ("ADL_parent", "ADL"),
    ("Neuroblast_ASG_AWA", "ASG_AWA"),
    ("ASG_AWA", "ASG"),
    ("ASG_AWA", "AWA"),
    ("AWC", "AWC_ON"),
)


def main() -> None:
    """Write the files of all courses."""
    options = _arguments()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = os.environ.get("CELLFLOW_DATA")
    if data is None:
        raise SystemExit("set CELLFLOW_DATA to the folder of the courses")
    for name, file in FILES.items():
        convert_course(anndata.read_h5ad(Path(data) / file)).write_h5ad(folder / f"{name}.h5ad")
    (folder / "worm_lineage.txt").write_text(format_lineage(WORM_LINEAGE))


def convert_course(adata: anndata.AnnData) -> anndata.AnnData:
    """Return the counts with the columns that scTimeBench requires.

    Counts are float64: scTimeBench compares the sum of each normalised cell with 10,000 to five
    digits, which sums of float32 do not keep.
    """
    counts = sparse.csr_matrix(adata.X, dtype=np.float64)
    types = adata.obs["cell_type"].astype(str) if "cell_type" in adata.obs else "unknown"
    times = adata.obs["time"].astype(float)
    obs = pd.DataFrame({"timepoint": times, "cell_type": types}, index=adata.obs_names)
    result = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=adata.var_names))
    return result[np.asarray(counts.sum(axis=1)).ravel() > 0].copy()


def format_lineage(edges: tuple[tuple[str, str], ...]) -> str:
    """Return a line `parent => child` for each edge."""
    return "".join(f"{parent} => {child}\n" for parent, child in edges)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", help="where to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
