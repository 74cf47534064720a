"""What a page is made of, and how it becomes HTML that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from cellflow.pl._canvas import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Figure:
    """A picture inside the page.

    Attributes
    ----------
    source
        The picture itself, as a data URL.
    caption
        What it shows, in a sentence or two; read out where it cannot be seen.
    """

    source: str
    caption: str

    @classmethod
    def of(cls, axes: Axes, caption: str) -> Figure:
        """Take the figure of some axes, and forget it."""
        picture = base64.b64encode(png(axes)).decode("ascii")
        return cls(f"data:image/png;base64,{picture}", caption)


@dataclass(frozen=True)
class Table:
    """Rows under headings, all of them text.

    Attributes
    ----------
    headings
        One a column.
    rows
        As many texts each.
    caption
        What it shows.
    folded
        Whether a reader has to open it.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading; `anchor` is its name in links."""

    title: str
    anchor: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


def render(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the whole page: no script, and nothing that is fetched from elsewhere."""
    pages = Environment(
        loader=PackageLoader("cellflow.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("page.html.jinja").render(title=title, facts=facts, sections=sections)
