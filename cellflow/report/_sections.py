"""Sections of a report, each made from its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow import pl
from cellflow._checks import format_list, format_number
from cellflow._keys import (
    FATE,
    FROM_DATA,
    GROWTH,
    PROBABILITIES,
    RADIUS,
    REPRESENTATION,
    UNCERTAINTY,
    VELOCITY,
    is_relative_growth,
    read_record,
)
from cellflow.evaluation.cautions import describe_known
from cellflow.evaluation.comparison import compare_with_midpoint
from cellflow.evaluation.replicates import describe_scores
from cellflow.io import count_growth, name_time, per_unit
from cellflow.io.matrices import read_numbers
from cellflow.pl._plane import USUAL_BASES
from cellflow.report._cautions import cautions, compare_settings, describe_use_of_counts
from cellflow.report._inputs import ReportInputs
from cellflow.report._page import Figure, Section, Table
from cellflow.representation import points_of
from cellflow.tl._compare_populations import describe_populations
from cellflow.tl._interpolate import interpolate_course
from cellflow.tl._time_course import TimeCourse

#: Column of held-out tables and its heading.
_SCORES = {
    "w1": "W1",
    "w1_midpoint": "midpoint",
    "w1_previous": "time before",
    "w1_next": "time after",
    "w1_reference": "reference",
    "w1_replicates": "replicates",
    "w1_others": "other replicates",
    "w1_others_shifted": "others, shifted",
    "w1_nearest": "nearer value",
    "w1_mixture": "mixture of neighbours",
    "percent": "% of midpoint",
    "percent_reference": "reference, % of midpoint",
    "energy": "energy distance",
    "energy_midpoint": "of midpoint",
    "cov_error": "covariance error",
    "cov_error_midpoint": "of midpoint",
}


#: Column of comparisons of populations and its heading.
_COMPARED = {
    "distance": "distance",
    "threshold": "95 % of permutations below",
    "p": "p",
}


def before_reading(inputs: ReportInputs) -> Section | None:
    """Cautions, if there are any."""
    found = cautions(inputs)
    return Section("Before reading", "cautions", points=found) if found else None


def data(inputs: ReportInputs) -> Section:
    """The cells of each time."""
    points = inputs.course.time_points
    changes = [("", "")] + [
        (f"{change.doublings:+.2f}", f"{change.per_time:+.3g}") for change in count_growth(points)
    ]
    rows = [
        (label, format_number(time), f"{n:,}", *change)
        for label, (time, n), change in zip(
            points.labels, inputs.n_cells.items(), changes, strict=True
        )
    ]
    headings = ("label", f"time{inputs.unit}", "cells", "doublings", per_unit(points))
    space = inputs.course.representation.describe()
    return Section(
        "Data",
        "data",
        paragraphs=[
            f"{inputs.course.adata.n_obs:,} cells and {inputs.course.adata.n_vars:,} genes at "
            f"{len(rows)} times. The flow is in {space}.",
            "Doublings are those that the numbers of cells would mean if they were sizes of the "
            f"population. {describe_use_of_counts(inputs)}",
            *_describe_drawn(inputs),
        ],
        tables=[Table(headings, rows)],
    )


def _describe_drawn(inputs: ReportInputs) -> list[str]:
    """Say which cells figures show, if these are not all."""
    drawn, everyone = inputs.drawn.n_obs, inputs.course.adata.n_obs
    if drawn == everyone:
        return []
    return [f"Figures show {drawn:,} of the {everyone:,} cells, drawn at random."]


def accuracy(inputs: ReportInputs) -> Section | None:
    """Held-out scores with baselines and reference."""
    scores = inputs.scores
    if scores is None:
        return None
    means = compare_with_midpoint(scores)
    shown = {column: heading for column, heading in _SCORES.items() if column in means}
    rows = [(str(when), *_format_scores(row)) for when, row in means[list(shown)].iterrows()]
    seeds = scores["seed"].nunique() if "seed" in scores else 1
    how = [
        f"{name} {inputs.score_settings[name]}"
        for name in ("protocol",)
        if name in inputs.score_settings
    ]
    return Section(
        "How far predictions are off",
        "accuracy",
        paragraphs=[
            f"{_describe_folds(inputs.score_settings)}, and compared with its real cells. "
            "W1 is the mean distance that predicted cells have to move to become the real "
            "ones, lower is better. It is computed with all scored cells. 'Midpoint' needs no "
            "model. "
            "'Reference' is about what as many fresh cells of the same time would have, what "
            "sampling alone costs: the distance of one half of the real cells from the other, "
            "extrapolated to all.",
            " ".join(f"{each}." for each in describe_scores(scores)),
            f"{format_list([*how, f'{seeds} seed' + 's' * (seeds > 1)])}.".capitalize(),
        ],
        # Repeated here, since scores of another representation do not belong to this flow.
        points=compare_settings(inputs),
        figures=[
            Figure.of(
                pl.holdout(scores, show=False),
                "W1 of what was held out beside baselines and the reference.",
            )
        ],
        tables=[Table(("held out", *shown.values()), rows)],
    )


def paths(inputs: ReportInputs) -> Section:
    """Paths of cells, and a prediction in the middle of the longest interval."""
    adata, flow, key = inputs.drawn, inputs.course.flow, inputs.course.time_key
    early, late = max(pairwise(inputs.course.times), key=lambda ends: ends[1] - ends[0])
    middle = (early + late) / 2
    course = TimeCourse.read(adata, flow, key)
    predicted = interpolate_course(course, middle, decode=False)
    return Section(
        "Between the times",
        "paths",
        figures=[
            Figure.of(
                pl.trajectories(adata, flow, time_key=key, show=False),
                "Paths of cells of the first time along the flow; observed cells are pale.",
            ),
            Figure.of(
                pl.interpolation(adata, predicted, time_key=key, show=False),
                f"Cells predicted at {name_time(middle, course.time_points.unit)}, in the longest "
                "interval, among those observed.",
            ),
        ],
    )


def fates(inputs: ReportInputs) -> Section | None:
    """Fate probabilities, if `tl.fates` wrote them."""
    adata, entry = inputs.course.adata, read_record(inputs.course.adata.uns, FATE + PROBABILITIES)
    if entry is None:
        return None
    names = [str(name) for name in entry["names"]]
    probabilities = read_numbers(adata, FATE + PROBABILITIES)
    rows = [
        (format_number(time), *(f"{value:.3f}" for value in probabilities[here].mean(axis=0)))
        for time in inputs.course.time_points.times
        if (
            here := (inputs.course.time_points.elapsed == time)
            & np.isfinite(probabilities).all(axis=1)
        ).any()
    ]
    ends = format_list(
        format_number(float(time)) for time in entry.get("end_times", [entry["time"]])
    )
    return Section(
        "Fates",
        "fates",
        paragraphs=[
            f"The probability of each cell to end in each group of {entry['groups']} at time "
            f"{ends}, by {entry['by']}. Entropy is high where fates are open.",
            _describe_certainty(entry),
        ],
        figures=[
            Figure.of(
                pl.fates(_with_embedding(inputs), show=False),
                "Fate probabilities of cells and their entropy.",
            )
        ],
        tables=[Table((f"time{inputs.unit}", *names), rows, "Means over the cells of a time")],
    )


def _with_embedding(inputs: ReportInputs) -> AnnData:
    """Return the cells, with points of the flow to draw on if they have no usual embedding."""
    adata = inputs.drawn
    if any(key in adata.obsm for key in USUAL_BASES):
        return adata
    points = points_of(adata, inputs.course.representation)
    return AnnData(obs=adata.obs, obsm={**adata.obsm, REPRESENTATION: points}, uns=adata.uns)


def _describe_certainty(entry: Mapping[str, Any]) -> str:
    """Return how much of the fates is known, or that it cannot be read from them."""
    if entry.get("certain_by_construction"):
        return (
            f"By {entry['by']}, fates are nearly certain by construction, also where nothing can "
            "be known: read them for groups of cells, not for single cells."
        )
    if "known" not in entry:
        return (
            f"Probabilities by {entry['by']} are those of simulated paths, and were not found to "
            "be calibrated."
        )
    known = describe_known(entry["start_times"], entry["known"], str(entry["unit"]))
    return f"Known of the fates (0%: all cells of a time have the same): {known}"


def velocity(inputs: ReportInputs) -> Section | None:
    """Velocities on plots, if `tl.velocity` wrote arrows."""
    entry = read_record(inputs.course.adata.uns, VELOCITY)
    bases = list((entry or {}).get("bases", ()))
    if not bases:
        return None
    figures = [
        Figure.of(
            pl.velocity_stream(inputs.drawn, basis=basis, color=inputs.color, show=False),
            f"Velocity of the flow at each cell's own time, on {basis}.",
        )
        for basis in bases
    ]
    return Section("Velocity", "velocity", figures=figures)


def conditions(inputs: ReportInputs) -> Section | None:
    """Distances between conditions, if a comparison was given."""
    table = inputs.comparison
    if table is None:
        return None
    by_replicates = (table["permuted"] == "replicates").all()
    meaning = (
        "p is by permutation of whole replicates."
        if by_replicates
        else "p is by permutation of cells: it says that these samples differ, by whatever cause, "
        "and not that another experiment would show it."
    )
    rows = [
        (
            str(row["condition"]),
            format_number(row["time"]),
            *(f"{row[name]:.3g}" if pd.notna(row[name]) else "" for name in _COMPARED),
        )
        for _, row in table.iterrows()
    ]
    return Section(
        "Conditions",
        "conditions",
        paragraphs=[
            f"Distances from {table['reference'].iloc[0]} between the measured populations. "
            f"{meaning} It covers all times and conditions.",
            " ".join(f"{each}." for each in describe_populations(table)),
        ],
        figures=[
            Figure.of(
                pl.compare(table, show=False)[0],
                "Distance from the reference at each time; areas are what permutations give.",
            )
        ],
        tables=[Table(("condition", f"time{inputs.unit}", *_COMPARED.values()), rows, folded=True)],
    )


def growth(inputs: ReportInputs) -> Section | None:
    """Growth rates, if there are any."""
    if GROWTH not in inputs.course.adata.obs:
        return None
    adata = inputs.drawn
    axes = pl.growth(adata, time_key=inputs.course.time_key, color=inputs.color, show=False)
    meaning = (
        "The flow holds the total mass constant, so they compare cells of one time only"
        if is_relative_growth(adata.uns, GROWTH)
        else "Above 0 cells multiply"
    )
    return Section(
        "Growth",
        "growth",
        figures=[Figure.of(axes, f"Growth rates of the cells of each time. {meaning}.")],
    )


def trust(inputs: ReportInputs) -> Section | None:
    """Disagreement of several fits, if `tl.uncertainty` wrote it."""
    obs, points = inputs.course.adata.obs, inputs.course.time_points
    shown = {
        UNCERTAINTY: "fits disagree by",
        FROM_DATA: "distance from data",
        RADIUS: "radius of 90 % of descendants",
    }
    present = {key: heading for key, heading in shown.items() if key in obs}
    if not present:
        return None
    rows = [
        (format_number(time), *_format_row(obs.loc[points.elapsed == time, list(present)].median()))
        for time in points.times
    ]
    return Section(
        "Where to trust it",
        "trust",
        paragraphs=[
            "Medians over the cells of a time. Fits of several seeds disagree by so much on where "
            "a cell goes, in units of the spread of the cells; and they take it so far from "
            "measured cells, where 1 is usual among these. Agreement of seeds is not accuracy: "
            "errors that all seeds share, such as certainty about a fate that nothing in the data "
            "decides, do not show here. The radius holds 90 % of the predicted descendants, in the "
            "same units; it does not depend on the fits."
        ],
        tables=[Table((f"time{inputs.unit}", *present.values()), rows)],
    )


def fit(inputs: ReportInputs) -> Section:
    """Method, recipe, loss curve and all settings of the fit."""
    flow = inputs.course.flow
    settings = [
        (name, _format_value(value))
        for name, value in sorted(_flatten(flow.as_dict()).items())
        if name
    ]
    return Section(
        "Fit",
        "fit",
        paragraphs=[
            "Method: "
            + ", ".join(f"{part.kind} {part.name}" for part in flow.method.parts)
            + f". Seed {flow.record.seed}, {flow.history['step'][-1]:g} steps, "
            f"time axis {flow.axis.describe()}."
        ],
        figures=[Figure.of(pl.loss(flow, show=False), "Loss over the training steps.")],
        tables=[Table(("setting", "value"), settings, "Every setting of the flow", folded=True)],
    )


#: Functions of sections in the order of the page; a section without content is None.
SECTIONS: tuple[Callable[[ReportInputs], Section | None], ...] = (
    before_reading,
    data,
    accuracy,
    paths,
    velocity,
    fates,
    conditions,
    growth,
    trust,
    fit,
)


def _describe_folds(settings: Mapping[str, Any]) -> str:
    """Begin the sentence on how times were held out."""
    if key := settings.get("held_out_condition"):
        return (
            f"Each value of {key} in the table was left out in turn, and its cells of the first "
            "time were moved by a flow of the other values"
        )
    if settings.get("left_out_together"):
        return "The times of the table were left out together, each was predicted from the others"
    return "Each time in turn was held out, predicted from the others"


def _format_scores(row: pd.Series) -> list[str]:
    """Format scores, and shares of the midpoint's as per cent."""
    return [
        f"{row[name]:.0f} %" if str(name).startswith("percent") else text
        for name, text in zip(row.index, _format_row(row), strict=True)
    ]


def _format_row(row: pd.Series) -> list[str]:
    return ["" if pd.isna(value) else f"{value:.3f}" for value in row]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to names with dots."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = f"{prefix}{name}"
        flat |= _flatten(value, f"{inner}.") if isinstance(value, Mapping) else {inner: value}
    return flat


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return format_list(value) if isinstance(value, list | tuple) else str(value)
