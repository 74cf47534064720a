"""Cautions about data, scores and training, shown before the figures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean, median

from cellflow._checks import format_list, format_number
from cellflow._keys import HOLDOUT, read_cautions
from cellflow.evaluation.cautions import check_score_settings, check_scores, flow_settings
from cellflow.flow import describe_misfit
from cellflow.report._inputs import ReportInputs

#: Thresholds of cautions: cells at a time, change of their number, length of an interval.
_FEW, _JUMP, _WIDE = 100, 5.0, 3.0

#: Largest relative decrease of a converged loss over the last tenth of a training.
_SETTLED = 0.05


def cautions(inputs: ReportInputs) -> list[str]:
    """Return cautions as sentences, the most important first."""
    found = [
        *_check_scores(inputs),
        # What verbs found when they wrote their results, in the same words.
        *(f"{each}." for each in read_cautions(inputs.course.adata.uns, skip=HOLDOUT)),
        *_check_cells(inputs),
        *_check_training(inputs),
    ]
    return list(dict.fromkeys(found))


def _check_scores(inputs: ReportInputs) -> Iterator[str]:
    if inputs.scores is None:
        yield (
            "How far predictions are off was not measured: run cellflow holdout on this course and "
            "give its scores to the report."
        )
        return
    yield from (f"{each}." for each in check_scores(inputs.scores))
    yield from compare_settings(inputs)
    if inputs.score_settings.get("representation_may_have_seen_held_out"):
        yield (
            "The representation came with the file and may have seen the held-out cells, so scores "
            "may be too good."
        )


def compare_settings(inputs: ReportInputs) -> list[str]:
    """Return cautions if scores are of another representation or other settings than the flow."""
    if inputs.scores is None:
        return []
    if not inputs.score_settings:
        return [
            "The settings of these scores are not recorded with them, so they may be of another "
            "representation or method than this flow."
        ]
    settings = flow_settings(inputs.course.flow)
    return [f"{each}." for each in check_score_settings(inputs.score_settings, settings)]


def _check_cells(inputs: ReportInputs) -> Iterator[str]:
    times = inputs.course.time_points.times
    if others := [format_number(time) for time in times if time not in inputs.course.times]:
        yield f"The flow was not fitted to the cells of {format_list(others)}."
    if few := [f"{format_number(time)} ({n})" for time, n in inputs.n_cells.items() if n < _FEW]:
        yield f"Few cells, so that their distribution is hardly known, at: {format_list(few)}."
    jumps = [
        f"{format_number(early)} to {format_number(late)} ({before:,} to {after:,})"
        for (early, before), (late, after) in pairwise(inputs.n_cells.items())
        if max(before, after) > _JUMP * min(before, after)
    ]
    if jumps:
        yield (
            f"Numbers of cells change more than fivefold from {format_list(jumps)}. "
            f"{describe_use_of_counts(inputs)}"
        )
    lengths = [late - early for early, late in pairwise(times)]
    wide = [
        f"{format_number(early)} to {format_number(late)}"
        for early, late in pairwise(times)
        if late - early > _WIDE * median(lengths)
    ]
    if wide:
        yield f"Nothing was measured for long, and little is known, from {format_list(wide)}."


def describe_use_of_counts(inputs: ReportInputs) -> str:
    """Say whether the flow takes numbers of cells as sizes of the population."""
    evidence = inputs.course.flow.method.growth_evidence
    if evidence in ("counts", "rising"):
        return (
            f"This flow takes them as sizes of the population (growth '{evidence}'), which numbers "
            "of captured cells need not be; with growth 'relative' they are not used."
        )
    return (
        "This flow does not use them, since numbers of captured cells need not be sizes of the "
        "population; if they are, fit with growth 'counts'."
    )


def _check_training(inputs: ReportInputs) -> Iterator[str]:
    flow = inputs.course.flow
    if (misfit := describe_misfit(flow.record, flow.recipe)) is not None:
        yield f"{misfit[0].upper()}{misfit[1:]}."
    losses = list(flow.history.get("loss", ()))
    tenth = len(losses) // 10
    if tenth < 2:
        return
    before, last = fmean(losses[-2 * tenth : -tenth]), fmean(losses[-tenth:])
    if last < (1 - _SETTLED) * before:
        yield "The loss was still falling when the training ended: more steps may help."
