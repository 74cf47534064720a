"""Files of a benchmark: its table as CSV, and a summary in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from cellflow._checks import check_columns, format_list
from cellflow._csv import write_csv
from cellflow._files import atomic_file
from cellflow.io import format_time, format_times, name_time

#: Names of the files in the folder.
TABLE, SUMMARY, FIGURE = "benchmark.csv", "benchmark.md", "benchmark.png"

#: Columns of the summary and their headings.
_SCORES = {
    "w1": "W1",
    "percent": "of midpoint",
    "energy": "energy",
    "cov_error": "cov. error",
    "seconds": "seconds",
}

#: Columns that are not ranked.
_NEUTRAL = ("percent", "seconds")

_NEEDED = ("data", "protocol", "start", "time_axis", "n_dims", "time", "method", "role", "seed",
           "w1_reference", "time_unit", "error", "w1_error", "w1_excess",
           *(column for column in _SCORES if column != "percent"))  # fmt: skip

_LEGEND = """\
Mean over the held-out times, with the standard deviation of that mean over seeds; the best in bold.
All W1 are of all scored cells, also the *reference*: about what as many fresh cells of the same
time would have, the W1 of one half of the real cells from the other extrapolated to all. *Of
midpoint* is the mean W1 in per cent of the midpoint's. Baselines, in italics, need no model. A †
marks a W1 below the midpoint's with a higher energy distance or covariance error."""


def write_benchmark(table: pd.DataFrame, folder: str | Path) -> None:
    """Write a table of `tl.benchmark` as `benchmark.csv` and `benchmark.md`, replacing both.

    Raises
    ------
    InputError
        If columns are missing.
    FileError
        If the files cannot be written.
    """
    text = format_summary(table)
    write_csv(table, Path(folder) / TABLE, overwrite=True)
    with atomic_file(Path(folder) / SUMMARY, overwrite=True) as staged:
        staged.write_text(text, encoding="utf-8")


def format_summary(table: pd.DataFrame) -> str:
    """Describe a table of `tl.benchmark` in Markdown.

    Each data set has a line with protocol, dimensions and time axis, a table of the means over its
    held-out times, and one of W1 at each of them.

    Raises
    ------
    InputError
        If columns are missing.
    """
    check_columns(table, _NEEDED, "cellflow.tl.benchmark")
    lines = ["# Benchmark", "", _LEGEND, ""]
    for name, part in table.groupby("data", sort=False):
        lines += [f"## {name}", "", _describe(part), ""]
        if part["w1"].notna().any():
            lines += [*_format_means(part), "", *_format_folds(part), ""]
    failed = table[table["error"] != ""]
    if len(failed):
        lines += ["## Failed", ""]
        lines += [f"- {text}" for text in describe_failures(table)] + [""]
    return "\n".join(lines)


def describe_failures(table: pd.DataFrame) -> list[str]:
    """Describe each fit that failed in a line: data, time, method, seed, reason."""
    failed = table[table["error"] != ""]
    return [
        f"{row['data']}, {name_time(row['time'], row['time_unit'])}, {row['method']}, "
        f"seed {row['seed']}: {row['error']}"
        for row in failed.to_dict("records")
    ]


def average_scores(part: pd.DataFrame) -> pd.DataFrame:
    """Average each score over the held-out times of one data set, with a row for each method.

    `percent` is the mean W1 in per cent of the midpoint's.
    Columns with `_sd` at the end have the standard deviation over seeds; NaN for one seed, and
    throughout for a method that failed somewhere.
    """
    rows = {}
    for name, runs in part.groupby("method", sort=False):
        role = runs["role"].iloc[0]
        # Baselines have no seed, and groups of missing keys would be dropped.
        seeds = runs["seed"].fillna(-1)
        by_seed = runs.groupby(seeds)[[name for name in _SCORES if name != "percent"]].mean()
        if (runs["error"] != "").any():
            by_seed = by_seed * float("nan")
        spread = by_seed.std().add_suffix("_sd")
        rows[name] = pd.concat([pd.Series({"role": role}), by_seed.mean(), spread])
    means = pd.DataFrame(rows).T.infer_objects().rename_axis("method")
    middle = means["w1"].get("midpoint", float("nan"))
    return means.assign(percent=100 * means["w1"] / middle)


def _describe(part: pd.DataFrame) -> str:
    first = part.iloc[0]
    times = format_times(part["time"].unique(), first["time_unit"])
    dims = format_list(part["n_dims"].dropna().unique()) or "no"
    sentences = [
        f"Protocol `{first['protocol']}`, {first['time_axis']} time axis, start {first['start']}, "
        f"{dims} {'whitened ' if first['whiten'] else ''}dimensions; held out: {times}."
    ]
    if part["w1"].isna().all():
        sentences.append("Nothing was scored: everything failed.")
    if pd.notna(first["max_cells"]):
        sentences.append(
            f"At most {first['max_cells']} cells a side are scored{_describe_error(part)}."
        )
    if first["published"]:
        also = "" if first["published"] == "yes" else "not "
        sentences.append(f"The file is {also}the one of published scores.")
    if first["representation_may_have_seen_held_out"]:
        sentences.append("The representation may have seen the held-out cells.")
    return " ".join(sentences)


def _describe_error(part: pd.DataFrame) -> str:
    """Describe the error of scores of a sample; empty if all cells were scored."""
    if part["w1_error"].isna().all():
        return ""
    error, excess = part["w1_error"].max(), part["w1_excess"].max()
    return (
        f": each W1 has a standard error of {error:.3f} at most, and lies up to {excess:.3f} above "
        "that of all cells (the largest of the table)"
    )


def _format_means(part: pd.DataFrame) -> list[str]:
    means = average_scores(part)
    means = pd.concat([means[means["role"] != "baseline"], means[means["role"] == "baseline"]])
    best = {column: means[column].min() for column in _SCORES if column not in _NEUTRAL}
    rows = []
    for name, row in means.iterrows():
        cells = [
            _format_number(
                row[column], row.get(f"{column}_sd"), column, best=row[column] == best.get(column)
            )
            for column in _SCORES
        ]
        rows.append([_format_name(str(name), row, means), *cells])
    reference = part.groupby("time")["w1_reference"].first().mean()
    share = 100 * reference / means["w1"].get("midpoint", float("nan"))
    known = {"w1": reference, "percent": share}
    last = [_format_number(known.get(column), None, column, best=False) for column in _SCORES]
    return _format_table(["method", *_SCORES.values()], [*rows, ["reference", *last]])


def _format_name(name: str, row: pd.Series, means: pd.DataFrame) -> str:
    if row["role"] == "baseline":
        return f"*{name}*"
    if "midpoint" not in means.index:
        return f"`{name}`"
    middle = means.loc["midpoint"]
    at_a_cost = row["w1"] < middle["w1"] and (
        row["energy"] > middle["energy"] or row["cov_error"] > middle["cov_error"]
    )
    return f"`{name}`" + (" †" if at_a_cost else "")


def _format_folds(part: pd.DataFrame) -> list[str]:
    """Make the table of W1 at each held-out time."""
    times, unit = list(part["time"].unique()), part["time_unit"].iloc[0]
    groups = part.groupby(["method", "time"], sort=False)["w1"]
    means, spreads = groups.mean(), groups.std()
    roles = part.groupby("method", sort=False)["role"].first()
    rows = []
    for name in sorted(roles.index, key=lambda name: roles[name] == "baseline"):
        shown = f"*{name}*" if roles[name] == "baseline" else f"`{name}`"
        cells = []
        for time in times:
            value = means.get((name, time), float("nan"))
            lowest = value == means.xs(time, level="time").min()
            cells.append(_format_number(value, spreads.get((name, time)), "w1", best=lowest))
        rows.append([shown, *cells])
    reference = part.groupby("time")["w1_reference"].first()
    levels = (_format_number(reference[time], None, "w1", best=False) for time in times)
    rows.append(["reference", *levels])
    return _format_table(["W1, held out", *(format_time(time, unit) for time in times)], rows)


def _format_number(value: float | None, spread: float | None, column: str, *, best: bool) -> str:
    if pd.isna(value):
        return ""
    if column == "percent":
        return f"{value:.1f} %"
    digits = 1 if column == "seconds" else 3
    text = f"**{value:.{digits}f}**" if best else f"{value:.{digits}f}"
    return text if column == "seconds" or pd.isna(spread) else f"{text} ± {spread:.3f}"


def _format_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    line = "| " + " | ".join(heads) + " |"
    return [line, "|" + "---|" * len(heads), *("| " + " | ".join(row) + " |" for row in rows)]
