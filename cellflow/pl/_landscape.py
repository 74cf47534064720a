"""The potential of cells along a flow, on a plane."""

from __future__ import annotations

from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._errors import InputError
from cellflow._keys import POTENTIAL
from cellflow.pl._canvas import canvas, finish, frame
from cellflow.pl._colours import draw_cells
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
    """Draw the potential of cells on a 2-D basis.

    Parameters
    ----------
    adata
        Cells with what `tl.landscape` wrote.
    basis
        `obsm` key with or without its `X_`, such as `umap`; None takes the first that is there of
        `X_umap`, `X_phate`, `X_tsne`, `X_cellflow`, `X_pca`.
    components
        Dimensions of it to draw, counted from 0.
    key
        The `key_added` of `tl.landscape`.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The axes. Dark is a valley; colours end at the 1st and the 99th percentile.

    Raises
    ------
    InputError
        If there is no potential, or no such basis.
    """
    if key not in adata.obs:
        raise InputError(
            f"no obs column {key!r}; run cellflow.tl.landscape (cellflow landscape) first"
        )
    cells, label = embedding(adata, basis, components)
    axes = canvas(ax)
    # Cells on ridges are few; drawn last they would hide the valleys.
    order = adata.obs[key].to_numpy().argsort(kind="stable")[::-1]
    draw_cells(axes, adata[order], cells[order], key)
    frame(axes, label, components)
    return finish(axes, show=show)
