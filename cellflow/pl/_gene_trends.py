"""The figure `pl.gene_trends`: expression of genes over time."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._checks import check_choice, check_columns
from cellflow._errors import InputError
from cellflow.io import plural_unit
from cellflow.pl._canvas import PANELS_ACROSS, add_legend_outside, finish, make_panels
from cellflow.pl._colours import default_colours, group_colours
from cellflow.pl._stored_colours import read_colour

_NEEDED = ("gene", "group", "time", "mean", "low", "high", "observed")

#: Size of a panel in inches.
_PANEL = (3.4, 2.6)


def gene_trends(
    trends: pd.DataFrame,
    *,
    genes: str | Sequence[str] | None = None,
    adata: AnnData | None = None,
    color: str | None = None,
    unit: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
) -> list[Axes]:
    """Draw the expression of genes over time, one panel per gene.

    Parameters
    ----------
    trends
        Result of `tl.gene_trends`.
    genes
        Names of genes to draw, as in column `gene` or `gene_id`; None draws all, up to 12.
    adata
        Cells with the colours of the groups in `uns[<color>_colors]`; None uses those in the table.
    color
        Column of `obs` with the groups, or with the groups of the fates.
    unit
        Unit of the times, such as `days`, for the axis; None uses that in the table.
    ax
        Axes to draw on, one per gene; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes, one per gene: the mean as a line, quantiles as an area, measured time points as dots.

    Raises
    ------
    InputError
        If columns or a gene are missing, or the numbers of genes and axes differ.
    """
    check_columns(trends, _NEEDED, "cellflow.tl.gene_trends")
    known = [str(name) for name in trends["gene"].unique()]
    names = known[:12] if genes is None else [genes] if isinstance(genes, str) else list(genes)
    if not names:
        raise InputError("there are no genes to draw")
    if "gene_id" in trends:
        shown = dict(zip(trends["gene_id"].astype(str), trends["gene"].astype(str), strict=True))
        names = [name if name in known else shown.get(name, name) for name in names]
    for name in names:
        check_choice(name, known, "gene")
    panels = make_panels(len(names), ax, per="gene", size=_PANEL)
    groups = [str(name) for name in trends["group"].unique()]
    colours = default_colours(groups)
    if "color" in trends:
        own = trends.drop_duplicates("group").set_index("group")["color"]
        read = {str(name): read_colour(each) for name, each in own.items()}
        # As elsewhere: one that is not a colour gives default ones.
        found = {name: each for name, each in read.items() if each is not None}
        colours |= found if len(found) == len(read) else {}
    if adata is not None and color is not None:
        colours |= group_colours(adata, color)
    if unit is None:
        unit = plural_unit(str(trends["unit"].iloc[0])) if "unit" in trends else ""
    for panel, name in zip(panels, names, strict=True):
        for group, part in trends[trends["gene"] == name].groupby("group", sort=False):
            _draw(panel, part, colours[str(group)], str(group))
        panel.set_title(name, fontsize="medium", fontstyle="italic")
        panel.set_xlabel(f"time ({unit})" if unit else "time")
        panel.spines[["top", "right"]].set_visible(False)
    scale = f" ({trends['scale'].iloc[0]})" if "scale" in trends else ""
    panels[0].set_ylabel(f"expression{scale}")
    if len(groups) > 1:
        last = panels[min(PANELS_ACROSS, len(panels)) - 1]
        add_legend_outside(last, "")
    finish(panels[0], show=show)
    return panels


def _draw(ax: Axes, part: pd.DataFrame, colour: str, label: str) -> None:
    ax.fill_between(part["time"], part["low"], part["high"], color=colour, alpha=0.15, linewidth=0)
    ax.plot(part["time"], part["mean"], color=colour, linewidth=1.6, label=label)
    seen = part[part["observed"].to_numpy(dtype=bool)]
    ax.plot(seen["time"], seen["mean"], "o", color=colour, markersize=3.5)
