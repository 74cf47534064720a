"""Draw the figure of docs/getting_started.md: python scripts/draw_getting_started.py.

The calls are those of the page, on the data that come with the package.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

import cellflow as cf

TARGET = Path(__file__).parents[1] / "docs" / "images" / "getting_started.png"


def main() -> None:
    """Fit, predict the cells of 30 h, and draw them beside the paths of the flow."""
    mpl.use("agg")
    adata = cf.datasets.semrau2017()
    adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    cf.pp.time_points(adata, "time", unit="hour")
    cf.pp.embed(adata, n_dims=5, whiten=True)
    flow = cf.tl.fit(adata)
    predicted = cf.tl.interpolate(adata, flow, 30)
    # The width of a page of a journal, 180 mm.
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.08, 3.3), layout="constrained")
    cf.pl.interpolation(adata, predicted, ax=left)
    cf.pl.trajectories(adata, flow, ax=right)
    figure.savefig(TARGET, dpi=150)


if __name__ == "__main__":
    main()
