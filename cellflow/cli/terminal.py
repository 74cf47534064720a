"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

#: Column of the held-out table and its heading.
_COLUMNS = {
    "w1": "cellflow",
    "w1_midpoint": "midpoint",
    "w1_previous": "before",
    "w1_next": "after",
    "w1_half": "at half",
    "reference": "real half",
    "gap_closed": "gap",
}

_LEGEND = """\
at half    cellflow with half as many cells as there are real ones
real half  one half of the real cells against the other
gap        share of the way from the midpoint to real half that cellflow goes"""


def print_scores(scores: pd.DataFrame) -> None:
    """Print the held-out W1 of each time, mean over seeds, and the mean over times."""
    table = Table(
        title="W1 to the held-out cells, lower is better",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("held out", justify="right")
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right")
    folds = scores.groupby("time")[list(_COLUMNS)].mean()
    for time, row in folds.iterrows():
        table.add_row(f"{time:g}", *(f"{row[column]:.3f}" for column in _COLUMNS))
    table.add_section()
    table.add_row("mean", *(f"{folds[column].mean():.3f}" for column in _COLUMNS))
    console = Console()
    console.print(table)
    console.print(_LEGEND, style="dim")


def print_pairs(title: str, pairs: dict[str, str]) -> None:
    """Print names and values, one a line."""
    table = Table(title=escape(title), show_header=False, box=None, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    for name, value in pairs.items():
        table.add_row(escape(name), escape(value))
    Console().print(table)


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings; columns that are empty throughout are left out."""
    cells = [tuple(row) for row in rows]
    shown = [k for k in range(len(headings)) if any(row[k] for row in cells)]
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for k in shown:
        table.add_column(headings[k], no_wrap=k == 0)
    for row in cells:
        table.add_row(*(escape(row[k]) for k in shown))
    Console().print(table)


def print_benchmark(table: pd.DataFrame) -> None:
    """Print the means of each data set over its held-out times, the best methods first."""
    import pandas as pd

    from cellflow.evaluation.summary import average_scores

    for name, part in table.groupby("data", sort=False):
        means = average_scores(part).dropna(subset="w1").sort_values("w1")
        if means.empty:
            continue
        rows = [
            (
                str(method),
                f"{row['w1']:.3f}",
                "" if pd.isna(row["w1_sd"]) else f"{row['w1_sd']:.3f}",
                f"{row['energy']:.3f}",
                f"{row['cov_error']:.3f}",
                f"{row['gap_closed']:+.2f}",
                "" if pd.isna(row["seconds"]) else f"{row['seconds']:.1f}",
            )
            for method, row in means.iterrows()
        ]
        headings = ("method", "W1", "sd", "energy", "cov. error", "gap", "seconds")
        print_table(f"{name}: mean over the held-out times", headings, rows)
