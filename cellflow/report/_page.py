"""Elements of a page, and their rendering as one self-contained HTML file."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from cellflow.pl._canvas import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Figure:
    """A figure embedded in the page.

    Attributes
    ----------
    source
        The image as a data URL.
    caption
        Description in a sentence or two, also the alternative text.
    """

    source: str
    caption: str

    @classmethod
    def of(cls, axes: Axes, caption: str) -> Figure:
        """Encode the figure of some axes, and close it."""
        picture = base64.b64encode(png(axes)).decode("ascii")
        return cls(f"data:image/png;base64,{picture}", caption)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    headings
        Headings of the columns.
    rows
        Rows with one text for each column.
    caption
        Caption.
    folded
        Whether the table is collapsed at first.
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


@functools.cache
def pages() -> Environment:
    """Return the environment of the templates of pages, in which text is escaped."""
    environment = Environment(
        loader=PackageLoader("cellflow.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return environment


def render(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Render the page as HTML without scripts or external resources."""
    template = pages().get_template("page.html.jinja")
    return template.render(title=title, facts=facts, sections=sections)
