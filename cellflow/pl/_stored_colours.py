"""Colours of groups that other programs stored in `uns`, read as scanpy reads them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Sequence
from typing import Any

from anndata import AnnData
from matplotlib.colors import is_color_like, to_hex

from cellflow._errors import CellflowWarning
from cellflow.io import colours_as_stored

#: Names of R that matplotlib does not know, those of scanpy (`scanpy.plotting._utils`), besides
#: greys.
_R_COLOURS = {
    "antiquewhite2": "#eedfcc", "azure3": "#c1cdcd", "chartreuse3": "#66cd00",
    "darkolivegreen2": "#bcee68", "firebrick3": "#cd2626", "gold2": "#eec900",
    "indianred 3": "#cd5555", "indianred3": "#cd5555", "khaki2": "#eee685",
    "lightblue3": "#9ac0cd", "mediumorchid1": "#e066ff", "mediumpurple3": "#8968cd",
    "olivedrab3": "#9acd32", "orchid3": "#b452cd", "palegreen3": "#7ccd7c",
    "palevioletred3": "#cd6889", "plum3": "#cd96cd", "purple4": "#551a8b", "seagreen4": "#2e8b57",
    "slategray3": "#9fb6cd", "snow4": "#8b8989", "tomato2": "#ee5c42", "violetred": "#d02090",
    "wheat4": "#8b7e66", "yellow4": "#8b8b00",
}  # fmt: skip

#: Greys of R from `grey0`, black, to `grey100`, white.
_R_GREY = re.compile(r"gr[ae]y(\d{1,2}|100)")


def stored_colours(
    adata: AnnData, column: str, names: Sequence[str], used: Container[str]
) -> dict[str, str] | None:
    """Return the colours in `uns["<column>_colors"]`, or None where default colours are due.

    As in scanpy: matplotlib's colours and some of R are known; with fewer colours than groups the
    defaults apply, and with an unknown colour, too, with a warning. A mapping has a colour for each
    group by its name. Groups without cells need no colour, and those without one are left out.

    Parameters
    ----------
    adata
        The cells.
    column
        Column of `obs` with the groups.
    names
        Names of all groups, in the order of the colours.
    used
        Names of the groups that have cells.
    """
    key = f"{column}_colors"
    stored = colours_as_stored(adata, column, names, used)
    if isinstance(stored, str):
        _warn(key, f"has no colour for {stored!r}")
        return None
    if stored is None:
        return None
    colours = {name: read_colour(each) for name, each in stored.items()}
    for name, colour in colours.items():
        if colour is None and name in used:
            _warn(key, f"has {stored[name]!s:.40}, which is not a colour")
            return None
    return {name: each for name, each in colours.items() if each is not None}


def _warn(key: str, what: str) -> None:
    message = f"uns[{key!r}] {what}: default colours are used"
    warnings.warn(message, CellflowWarning, stacklevel=2)


def read_colour(given: Any) -> str | None:
    """Return a colour as hexadecimal digits; None for what neither matplotlib nor R knows."""
    if isinstance(given, bytes):
        given = given.decode(errors="replace")
    if is_color_like(given):
        return to_hex(given)
    name = str(given).strip().lower()
    if grey := _R_GREY.fullmatch(name):
        # As R computes it: grey50 is 127.
        return "#" + 3 * f"{int(int(grey[1]) * 2.55 + 0.5):02x}"
    return _R_COLOURS.get(name)
