"""Velocities on an embedding: streamlines, arrows on a grid, or arrows of cells."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from sklearn.neighbors import NearestNeighbors

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._keys import VELOCITY
from cellflow._random import RNG, resolve_seed
from cellflow.io.matrices import read_numbers
from cellflow.pl._canvas import INK, canvas, finish, frame
from cellflow.pl._colours import scatter_cells
from cellflow.pl._plane import embedding

#: Width of the smoothing kernel, in grid spacings.
_SMOOTH = 0.5

#: Cells whose arrows are smoothed; of more, so many are drawn, since each node averages a share.
_MOST = 50_000

#: Length of the longest arrow, in grid spacings.
_LONGEST = 0.95


def velocity_stream(
    adata: AnnData,
    *,
    basis: str = "umap",
    color: str | None = None,
    gene_symbols: str | None = None,
    key: str = VELOCITY,
    density: float = 1.2,
    n_grid: int = 40,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw velocities as streamlines over the cells.

    Parameters
    ----------
    adata
        Cells with the velocities of `tl.velocity` on this basis.
    basis
        Embedding, such as `umap` or `pca`.
    color
        Column of `obs` to colour by, in the colours of `uns[<color>_colors]` if they exist; or a
        gene of `X` or `raw`, by symbol or identifier, drawn on a logarithmic scale.
    gene_symbols
        Column of `var` with the symbols of the genes; as in `tl.gene_trends`.
    key
        The `key_added` of `tl.velocity`.
    density
        Density of the streamlines.
    n_grid
        Number of grid points along each side.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. Line widths increase with speed. Regions without cells have no lines.

    Raises
    ------
    InputError
        If the basis or its velocities are missing, or the column or gene to colour by.
    """
    points, arrows, label = _read_arrows(adata, basis, key)
    check_positive(density, "density")
    ax = canvas(ax)
    scatter_cells(ax, adata, points, color, gene_symbols)
    x, y, field = _smooth_to_grid(points, arrows, n_grid)
    length = np.linalg.norm(field, axis=2)
    widest = np.nanmax(length) or 1.0
    ax.streamplot(
        x,
        y,
        field[:, :, 0],
        field[:, :, 1],
        density=density,
        color=INK,
        linewidth=0.4 + 1.4 * np.nan_to_num(length / widest),
        arrowsize=0.9,
        zorder=3,
    )
    frame(ax, label, (0, 1))
    return finish(ax, show=show)


def velocity_grid(
    adata: AnnData,
    *,
    basis: str = "umap",
    color: str | None = None,
    gene_symbols: str | None = None,
    key: str = VELOCITY,
    n_grid: int = 25,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw velocities as arrows on a grid over the cells.

    Parameters
    ----------
    adata, basis, color, gene_symbols, key
        As in `velocity_stream`.
    n_grid
        Number of grid points along each side.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. Arrows are means over nearby cells; the longest has the length of a grid spacing.

    Raises
    ------
    InputError
        If the basis or its velocities are missing, or the column or gene to colour by.
    """
    points, arrows, label = _read_arrows(adata, basis, key)
    ax = canvas(ax)
    scatter_cells(ax, adata, points, color, gene_symbols)
    x, y, field = _smooth_to_grid(points, arrows, n_grid)
    known = np.isfinite(field[:, :, 0])
    across, up = np.meshgrid(x, y)
    mesh = min(x[1] - x[0], y[1] - y[0])
    _draw_arrows(ax, np.stack([across[known], up[known]], axis=1), field[known], mesh)
    frame(ax, label, (0, 1))
    return finish(ax, show=show)


def velocity_quiver(
    adata: AnnData,
    *,
    basis: str = "umap",
    color: str | None = None,
    gene_symbols: str | None = None,
    key: str = VELOCITY,
    n_cells: int = 400,
    rng: RNG = 0,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw the velocity of single cells as arrows.

    Parameters
    ----------
    adata, basis, color, gene_symbols, key
        As in `velocity_stream`.
    n_cells
        Number of cells with an arrow, drawn at random; all cells are dots.
    rng
        Seed of the draw, or a numpy generator.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. The longest arrow is a twentieth of the width of the plot.

    Raises
    ------
    InputError
        If the basis or its velocities are missing, or the column or gene to colour by.
    """
    points, arrows, label = _read_arrows(adata, basis, key)
    check_positive(n_cells, "n_cells")
    ax = canvas(ax)
    scatter_cells(ax, adata, points, color, gene_symbols)
    rows = np.random.default_rng(resolve_seed(rng)).permutation(len(points))[:n_cells]
    _draw_arrows(ax, points[rows], arrows[rows], float(np.ptp(points, axis=0).min()) / 20)
    frame(ax, label, (0, 1))
    return finish(ax, show=show)


def _read_arrows(adata: AnnData, basis: str, key: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Return cells and arrows on a basis, shape (n, 2) each, and the label of the axes."""
    points, label = embedding(adata, basis)
    name = basis.removeprefix("X_")
    if f"{key}_{name}" not in adata.obsm:
        raise InputError(
            f"no obsm key '{key}_{name}'; run cellflow.tl.velocity with basis={name!r} first"
        )
    return points, read_numbers(adata, f"{key}_{name}").astype(np.float64)[:, :2], label


def _smooth_to_grid(
    points: np.ndarray, arrows: np.ndarray, n_grid: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grid and arrows smoothed to it, (n_grid, n_grid, 2), NaN without cells nearby."""
    if n_grid < 2:
        raise InputError(f"n_grid must be 2 or more, got {n_grid}")
    low, high = points.min(axis=0), points.max(axis=0)
    if len(points) > _MOST:
        rows = np.sort(np.random.default_rng(0).choice(len(points), _MOST, replace=False))
        points, arrows = points[rows], arrows[rows]
    x, y = (np.linspace(low[k], high[k], n_grid) for k in (0, 1))
    mesh = (high - low) / (n_grid - 1)
    nodes = np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)
    search = NearestNeighbors(n_neighbors=min(len(points), max(8, len(points) // 50)))
    far, near = search.fit(points / mesh).kneighbors(nodes / mesh)
    weights = np.exp(-0.5 * np.square(far / _SMOOTH))
    mass = weights.sum(axis=1)
    field = (weights[:, :, None] * arrows[near]).sum(axis=1) / np.maximum(mass, 1e-12)[:, None]
    field[mass < min(1.0, 0.05 * float(mass.max()))] = np.nan
    return x, y, field.reshape(n_grid, n_grid, 2)


def _draw_arrows(ax: Axes, at: np.ndarray, arrows: np.ndarray, longest: float) -> None:
    length = float(np.linalg.norm(arrows, axis=1).max()) or 1.0
    shown = arrows * (_LONGEST * longest / length)
    ax.quiver(
        at[:, 0],
        at[:, 1],
        shown[:, 0],
        shown[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0022,
        headwidth=3.5,
        headlength=4,
        headaxislength=3.5,
        color=INK,
        zorder=3,
    )
