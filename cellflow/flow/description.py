"""Describe a flow as text and as HTML, from the same facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import isfinite

from torch import nn

from cellflow._checks import format_list, format_number
from cellflow.flow.record import FitRecord, Inputs, describe_misfit
from cellflow.marginals import TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.names import GROWTH_EVIDENCE
from cellflow.methods.recipes import Recipe
from cellflow.nets import Fields

#: Size of the curve of the loss, in pixels, and most points of it.
_WIDTH, _HEIGHT, _MAX_POINTS = 140, 28, 100

#: Styles are inline and inherit the colours of the page, so that they suit light and dark ones and
#: change nothing else.
_TABLE = "border-collapse:collapse;border:none;margin:0;text-align:left"
_NAME = "text-align:left;vertical-align:top;padding:1px 12px 1px 0;opacity:.65;font-weight:normal"
_VALUE = "text-align:left;vertical-align:top;padding:1px 0;max-width:48em;white-space:normal"
_ROW = "background:none;border:none"
_WARNING = "border-left:3px solid #d55e00;padding:2px 8px;margin:4px 0;max-width:48em"


@dataclass(frozen=True)
class FlowDescription:
    """Facts on a flow.

    Attributes
    ----------
    title
        Dimensions, times and covariates, in one line.
    facts
        Further facts by name.
    misfit
        Warning of a flow that is worse than cells that stand still; None if it is not.
    loss
        Loss after each report of the training.
    """

    title: str
    facts: Mapping[str, str]
    misfit: str | None = None
    loss: Sequence[float] = field(default_factory=tuple)

    def to_text(self) -> str:
        """Return a few lines, in the manner of AnnData."""
        lines = {**self.facts, **({"warning": self.misfit} if self.misfit else {})}
        return self.title + "".join(f"\n    {name}: {text}" for name, text in lines.items())

    def to_html(self) -> str:
        """Return a table for notebooks, without scripts and style sheets."""
        rows = [(name, escape(text)) for name, text in self.facts.items()]
        if curve := _draw_loss(self.loss):
            rows.insert(-1, ("loss", curve))
        cells = "".join(
            f'<tr style="{_ROW}"><th style="{_NAME}">{escape(name)}</th>'
            f'<td style="{_VALUE}">{value}</td></tr>'
            for name, value in rows
        )
        warning = (
            f'<div style="{_WARNING}"><b>warning</b>: {escape(self.misfit)}</div>'
            if self.misfit
            else ""
        )
        return (
            f'<div><div><b>{escape(self.title)}</b></div>{warning}<table style="{_TABLE}">'
            f"<tbody>{cells}</tbody></table></div>"
        )


def describe_flow(
    nets: Fields,
    axis: TimeAxis,
    method: Method,
    recipe: Recipe,
    inputs: Inputs,
    record: FitRecord,
    history: Mapping[str, Sequence[float]],
    flow_id: str,
) -> FlowDescription:
    """Describe a flow by its components and the digest of its weights."""
    unit = f" {inputs.time_unit}s" if inputs.time_unit not in (None, "", "rank") else ""
    first, last = format_number(axis.times[0]), format_number(axis.times[-1])
    times = f"{len(axis.times)} times from {first} to {last}{unit}"
    covariates = f", {nets.condition_dim} covariates" if nets.condition_dim else ""
    evidence = method.growth_evidence
    fitted = [
        *([f"{record.n_points:,} points"] if record.n_points else []),
        f"{recipe.n_steps:,} steps",
        *([_describe_seconds(record.cost)] if record.cost.get("seconds") is not None else []),
        f"seed {record.seed}",
        f"device {record.device}",
    ]
    facts = {
        "times": format_list(map(format_number, axis.times)) + unit,
        "method": ", ".join(f"{part.kind} {part.name}" for part in method.parts),
        **({"conditions": format_list(inputs.condition_keys)} if inputs.condition_keys else {}),
        "growth": f"{evidence}: {GROWTH_EVIDENCE[evidence]}" if evidence else "mass is conserved",
        "nets": f"{', '.join(nets.roles)}; {count_weights(nets):,} weights",
        "fitted": ", ".join(fitted),
        "id": flow_id,
    }
    return FlowDescription(
        f"Flow of {nets.dim} dimensions, {times} ({axis.kind} clock){covariates}",
        facts,
        describe_misfit(record, recipe),
        tuple(history.get("loss", ())),
    )


def count_weights(net: nn.Module) -> int:
    """Return the number of weights that are trained."""
    return sum(weight.numel() for weight in net.parameters())


def _describe_seconds(cost: Mapping[str, float | None]) -> str:
    """Return the seconds of the set-up and of the steps."""
    return f"{(cost.get('setup_seconds') or 0) + (cost['seconds'] or 0):.3g} s"


def _draw_loss(loss: Sequence[float]) -> str:
    """Draw the loss as SVG, with its first and last value; empty below two finite values."""
    known = [(k, value) for k, value in enumerate(loss) if isfinite(value)]
    if len(known) < 2:
        return ""
    # The first and the last point stay.
    step = -(-len(known) // _MAX_POINTS)
    shown = [*known[:-1:step], known[-1]]
    low, high = (limit(value for _, value in shown) for limit in (min, max))
    points = " ".join(
        f"{1 + (_WIDTH - 2) * k / (len(loss) - 1):.1f},"
        f"{_HEIGHT - 1 - (_HEIGHT - 2) * ((value - low) / (high - low) if high > low else 0.5):.1f}"
        for k, value in shown
    )
    first, last = known[0][1], known[-1][1]
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="loss from {first:.3g} to {last:.3g}" style="vertical-align:middle">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.2"/>'
        f"</svg> {first:.3g} to {last:.3g}"
    )
