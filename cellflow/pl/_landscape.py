"""The figure `pl.landscape`: the potential of cells on an embedding."""

from __future__ import annotations

from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._errors import InputError
from cellflow._keys import POTENTIAL
from cellflow.pl._canvas import canvas, finish, frame
from cellflow.pl._colours import scatter_cells
from cellflow.pl._plane import embedding


def landscape(
    adata: AnnData,
    *,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    key: str = POTENTIAL,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw the potential of cells on a 2-D embedding.

    Parameters
    ----------
    adata
        Cells with the potential of `tl.landscape`.
    basis
        `obsm` key, with or without `X_`, such as `umap`; None uses the first that exists of
        `X_umap`, `X_phate`, `X_tsne`, `X_cellflow`, `X_pca`.
    components
        Dimensions of it to draw, counted from 0.
    key
        The `key_added` of `tl.landscape`.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. Dark cells have a low potential; colours range from the 1st to the 99th percentile.

    Raises
    ------
    InputError
        If the potential or the basis does not exist.
    """
    if key not in adata.obs:
        raise InputError(
            f"no obs column {key!r}; run cellflow.tl.landscape (cellflow landscape) first"
        )
    cells, label = embedding(adata, basis, components)
    axes = canvas(ax)
    # Cells of high potential are few; drawn last they would hide the others.
    order = adata.obs[key].to_numpy().argsort(kind="stable")[::-1]
    scatter_cells(axes, adata[order], cells[order], key, label="potential (nats)")
    frame(axes, label, components)
    return finish(axes, show=show)
