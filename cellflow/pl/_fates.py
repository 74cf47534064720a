"""The figure `pl.fates`: fate probabilities on an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._keys import ENTROPY, FATE, PROBABILITIES, read_cautions, read_record
from cellflow.evaluation.cautions import describe_known
from cellflow.io import name_times
from cellflow.io.matrices import read_numbers
from cellflow.pl._canvas import (
    PALE,
    WIDEST,
    dot_size,
    finish,
    frame,
    note_cautions,
    scatter,
    wrap_name,
)
from cellflow.pl._colours import group_colours
from cellflow.pl._plane import embedding

#: Panels per row, and their width and height in inches.
_ABREAST, _SIZE = 3, (2.05, 2.2)

#: Letters in a line of the title of a panel, and per inch in that of the figure.
_LETTERS, _PER_INCH = 20, 11

#: From light (low) to dark (high); readable in grey and for the colour-blind.
_SCALES = {"probability": "magma_r", "entropy": "cividis_r"}

_ENTROPY = "entropy"


def fates(
    adata: AnnData,
    *,
    fates: str | Sequence[str] | None = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    key: str = FATE,
    ax: Axes | None = None,
    show: bool | None = None,
) -> Axes:
    """Draw fate probabilities on a 2-D embedding, one panel per fate and one for the entropy.

    Parameters
    ----------
    adata
        Cells with the slots of `tl.fates`.
    fates
        Names of fates to draw, `entropy` for the entropy; None draws all and the entropy.
    basis
        `obsm` key, with or without `X_`, such as `umap`; None uses the first that exists of
        `X_umap`, `X_phate`, `X_tsne`, `X_cellflow`, `X_pca`.
    components
        Dimensions of it to draw, counted from 0.
    key
        The `key_added` of `tl.fates`.
    ax
        Axes to draw a single fate on; None makes a figure with one panel per fate.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes of the first panel. Cells without a fate are pale; cells of high probability are drawn
    on top. The title says how much of the fates is known. The dot in a title has the colour of the
    group, from `uns[f"{groups}_colors"]` if scanpy wrote it.

    Raises
    ------
    InputError
        If there are no fates, a fate or the basis does not exist, or several fates for one `ax`.
    """
    entry = read_record(adata.uns, key + PROBABILITIES)
    if entry is None or key + PROBABILITIES not in adata.obsm:
        raise InputError(f"no fates under {key!r}; run cellflow.tl.fates (cellflow fates) first")
    names = [str(name) for name in entry["names"]]
    wanted = [fates] if isinstance(fates, str) else [*names, _ENTROPY] if fates is None else fates
    for name in wanted:
        check_choice(name, [*names, _ENTROPY], "fate")
    if ax is not None and len(wanted) > 1:
        raise InputError(f"one ax can show one fate, got {format_list(wanted)}; leave ax out")
    cells, label = embedding(adata, basis, components)
    panels = _panels(len(wanted)) if ax is None else [ax]
    probabilities = read_numbers(adata, key + PROBABILITIES)
    colours = group_colours(adata, str(entry["groups"])) if entry["groups"] in adata.obs else {}
    shown = {}
    corner = panels[(len(panels) - 1) // _ABREAST * _ABREAST]
    for panel, name in zip(panels, wanted, strict=True):
        entropy = name == _ENTROPY
        values = adata.obs[key + ENTROPY].to_numpy() if entropy else None
        if values is None:
            values = probabilities[:, names.index(name)]
        top = np.log(len(names)) if entropy and len(names) > 1 else 1.0
        kind = _ENTROPY if entropy else "probability"
        shown[kind] = ScalarMappable(Normalize(0, top), cmap=_SCALES[kind])
        _draw(panel, cells, values, shown[kind])
        _title(panel, name, colours.get(name))
        frame(panel, label, components)
        if panel is not corner:
            panel.set(xlabel="", ylabel="")
    # The colour bar added first is the outermost.
    for kind, scale in reversed(shown.items()):
        bar = panels[0].figure.colorbar(scale, ax=panels, shrink=0.8, pad=0.02, aspect=25)
        bar.set_label("entropy (nats)" if kind == _ENTROPY else kind, fontsize="small")
        bar.ax.tick_params(labelsize="small")
        bar.outline.set_visible(False)
    if ax is None:
        ends = map(float, entry.get("end_times", [entry["time"]]))
        when = name_times(ends, str(entry["unit"]))
        figure = panels[0].get_figure(root=True)
        assert figure is not None
        known = wrap_name(_describe_certainty(entry), int(_PER_INCH * figure.get_figwidth()))
        figure.suptitle(f"Fates at {when}, by {entry['by']}\n{known}", fontsize="medium")
    note_cautions(panels[0], read_cautions(adata.uns, key + PROBABILITIES), grow=ax is None)
    return finish(panels[0], show=show)


def _describe_certainty(entry: Mapping[str, Any]) -> str:
    """Return the share of the fates that is known at each start time, or that it is not known."""
    if entry.get("certain_by_construction"):
        return "nearly certain by construction, also where nothing can be known"
    known = describe_known(entry.get("start_times", ()), entry.get("known", ()), str(entry["unit"]))
    return f"known of them: {known}" if known else ""


def _panels(n: int) -> list[Axes]:
    columns = min(_ABREAST, n)
    rows = -(-n // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(min(0.9 + _SIZE[0] * columns, WIDEST), 0.3 + _SIZE[1] * rows),
        squeeze=False,
        layout="constrained",
    )
    for spare in axes.flat[n:]:
        figure.delaxes(spare)
    return list(axes.flat[:n])


def _draw(ax: Axes, cells: np.ndarray, values: np.ndarray, scale: ScalarMappable) -> None:
    known = np.isfinite(values)
    size = 0.7 * dot_size(len(cells))
    scatter(ax, cells[~known], s=0.6 * size, c=PALE, alpha=0.45)
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(values[rows], kind="stable")]
    scatter(ax, cells[rows], s=size, c=values[rows], cmap=scale.cmap, norm=scale.norm)


def _title(ax: Axes, name: str, colour: str | None) -> None:
    """Write the name over the panel, in lines that fit, with a dot of the colour left of it."""
    title = ax.set_title(wrap_name(name, _LETTERS), fontsize="medium")
    if colour is not None:
        ax.annotate(
            "●",
            (0, 0.5),
            xycoords=title,
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=colour,
            fontsize="medium",
        )
