"""Print tables to the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the held-out table and their headings.
_COLUMNS = {
    "w1": "cellflow",
    "w1_midpoint": "midpoint",
    "w1_previous": "previous",
    "w1_next": "next",
    "w1_reference": "reference",
    "w1_replicates": "replicates",
    "w1_others": "others",
    "w1_nearest": "nearest",
    "w1_mixture": "mixture",
}

#: Columns that are also shown in per cent of the midpoint's.
_SHARES = {"w1": "percent", "w1_reference": "percent_reference"}

_LEGEND = """\
{baselines:<25} baselines without a model
reference                 about what as many fresh cells of that time would have
( %)                      in per cent of the midpoint's"""

#: Lines of the legend for columns that not every table has.
_OF_REPLICATES = {
    "w1_replicates": "replicates                replicates of that time from each other",
    "w1_others": "others                    other replicates for the held-out one, a baseline",
}


def print_scores(scores: pd.DataFrame) -> None:
    """Print the held-out W1 of each time or value, mean over seeds, and the mean over all."""
    from cellflow.evaluation.comparison import compare_with_midpoint

    table = Table(
        title="W1 to the held-out cells, lower is better",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("held out", justify="right")
    means = compare_with_midpoint(scores)
    columns = [name for name in _COLUMNS if name in means and means[name].notna().any()]
    for column in columns:
        table.add_column(_COLUMNS[column], justify="right")
    for when, row in means.iterrows():
        if when == "mean":
            table.add_section()
        shares = {column: f" ({row[share]:.0f} %)" for column, share in _SHARES.items()}
        table.add_row(
            str(when),
            *(
                "" if isnan(row[column]) else f"{row[column]:.3f}{shares.get(column, '')}"
                for column in columns
            ),
        )
    console = Console()
    console.print(table)
    baselines = [
        _COLUMNS[column]
        for column in ("w1_midpoint", "w1_previous", "w1_next", "w1_nearest", "w1_mixture")
        if column in columns
    ]
    console.print(_LEGEND.format(baselines=", ".join(baselines)), style="dim")
    for column in [name for name in _OF_REPLICATES if name in columns]:
        console.print(_OF_REPLICATES[column], style="dim")


def print_pairs(title: str, pairs: dict[str, str]) -> None:
    """Print names and values, one per line."""
    table = Table(title=escape(title), show_header=False, box=None, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    for name, value in pairs.items():
        table.add_row(escape(name), escape(value))
    Console().print(table)


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without its empty columns."""
    cells = [tuple(row) for row in rows]
    shown = [k for k in range(len(headings)) if any(row[k] for row in cells)]
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for k in shown:
        table.add_column(headings[k], no_wrap=k == 0)
    for row in cells:
        table.add_row(*(escape(row[k]) for k in shown))
    Console().print(table)


def print_benchmark(table: pd.DataFrame) -> None:
    """Print mean scores over the held-out times of each data set, best methods first."""
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
                f"{row['percent']:.0f} %",
                "" if pd.isna(row["seconds"]) else f"{row['seconds']:.1f}",
            )
            for method, row in means.iterrows()
        ]
        headings = ("method", "W1", "sd", "energy", "cov. error", "of midpoint", "seconds")
        print_table(f"{name}: mean over the held-out times", headings, rows)
