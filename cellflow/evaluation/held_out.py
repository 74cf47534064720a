"""Settings of held-out evaluation, each written once for Python, the command line and YAML."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import ConfigDict, Field, field_validator

from cellflow._checks import check_choice
from cellflow.evaluation.protocols import PROTOCOLS
from cellflow.io import read_allowed_transitions
from cellflow.methods.names import EXPRESSION_KINDS, HELD_OUT_STARTS, TIME_AXES
from cellflow.methods.validation import StrictSettings, validate_settings

Verb = TypeVar("Verb", bound=Callable[..., Any])


class HeldOut(StrictSettings):
    """Settings of how the times of one data set are held out and scored.

    Each is a keyword of `tl.holdout` and `tl.benchmark`, and a key of a data set in YAML.

    Attributes
    ----------
    time_key
        Column of `obs` with the times; None uses the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    times
        Interior time to hold out, or several, each a fold of its own; None uses every one that
        has four cells or more.
    use_rep, layer, kind, n_dims, whiten
        The representation, as in `pp.embed`. What is not given is that of `flow` (in
        `tl.holdout`); without a flow that of the embedding `X_cellflow`, if `pp.embed` recorded
        one in the cells; without either expression, in 5 dimensions, as in published benchmarks,
        or as many as there are, each scaled to variance one. A recorded embedding is not read from
        `obsm`, but computed anew in each fold by the same recipe. With `use_rep` the `obsm` key is
        used as it is, in 5 whitened dimensions unless others are given.
    protocol
        `strict`: the held-out cells are not used; scaling and principal components are fitted to
        the training cells, and cells of both neighbouring times are moved, the nearer with
        more weight. `paper`: as published; the representation is fitted to all cells, and those of
        the time before are moved by 100 Euler steps.
    start
        Cells that are moved to the held-out time: `previous`, those of the time before; `both`
        neighbours; or `first`, those of the first time, through all times in between, as WFR-FM and
        VGFM are published. Their growth on the way counts. None uses the protocol's, both for
        `strict` and previous for `paper`.
    time_axis
        Clock of the flow, as in `tl.fit`; None uses that of `flow` or the protocol's, learned for
        `strict` and index for `paper`. If it is learned, the midpoint uses that of the protocol.
    condition_keys, label_key, lineage_key, cost_rep, allowed_transitions, group_key, growth_key
        As in `tl.fit`; those that are not given are the `flow`'s, if there is one. Values of the
        held-out cells are not used.
    replicate_key
        Column of `obs` with the replicate of each cell (donor, batch, plate). At a held-out time
        with two or more replicates, of 20 cells or more each and at least a quarter of the
        largest, the distance between them is reported beside the reference. None uses none.
    max_cells
        Maximum number of real, of predicted and of baseline cells to score, drawn once and by
        weight (so `w1_uniform` is `w1`); None scores all.
        Exact scores of 8,000 cells take minutes, of 2,000 seconds. Scores are then estimates;
        `w1_error` and `w1_excess` bound their error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_key: str | None = None
    times: tuple[float | str, ...] | None = None
    use_rep: str | None = None
    layer: str | None = None
    kind: str = "auto"
    n_dims: int | None = Field(default=None, gt=0)
    whiten: bool | None = None
    protocol: str = "strict"
    start: str | None = None
    time_axis: str | None = None
    condition_keys: tuple[str, ...] = ()
    label_key: str | None = None
    lineage_key: str | None = None
    cost_rep: str | None = None
    allowed_transitions: tuple[tuple[str, str, float], ...] = ()
    group_key: str | None = None
    growth_key: str | None = None
    replicate_key: str | None = None
    max_cells: int | None = Field(default=None, ge=4)

    @field_validator("allowed_transitions", mode="before")
    @classmethod
    def _read_transitions(cls, value: Any) -> Any:
        if isinstance(value, str | Path | pd.DataFrame):
            return read_allowed_transitions(value)
        return () if value is None else value

    @field_validator("times", "condition_keys", mode="before")
    @classmethod
    def _to_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int | float) else value


def make_held_out(values: Mapping[str, Any], data: str | None = None) -> HeldOut:
    """Validate settings of how times are held out.

    Parameters
    ----------
    values
        Settings by name; those left out have their defaults.
    data
        Name of the data set, for messages; None if there is only one.

    Raises
    ------
    InputError
        For unknown settings and values.
    """
    whose = "" if data is None else f" of data {data!r}"
    what = f"setting{whose}" if data is not None else "setting of held-out evaluation"
    for key in values:
        check_choice(key, HeldOut.model_fields, what)
    settings = validate_settings(HeldOut, values, what)
    check_choice(settings.protocol, PROTOCOLS, f"protocol{whose}")
    check_choice(settings.kind, EXPRESSION_KINDS, f"kind of expression{whose}")
    if settings.start is not None:
        check_choice(settings.start, HELD_OUT_STARTS, f"start{whose}")
    if settings.time_axis is not None:
        check_choice(settings.time_axis, TIME_AXES, f"time axis{whose}")
    return settings


def show_held_out(function: Verb) -> Verb:
    """Show the fields of `HeldOut` in the signature and the docstring of a function.

    The function takes them as `**held_out` and has an entry of that name among its parameters.
    """
    signature = inspect.signature(function)
    given = [one for one in signature.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    own = [one for one in signature.parameters.values() if one.kind is one.KEYWORD_ONLY]
    fields = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            # Users may give one value where the model stores a tuple.
            annotation=re.sub(
                r"tuple\[(.*), \.\.\.\]", r"\1 | Sequence[\1]", HeldOut.__annotations__[name]
            ),
        )
        for name, field in HeldOut.model_fields.items()
    ]
    shown = signature.replace(parameters=[*given, *fields, *own])
    function.__signature__ = shown  # type: ignore[attr-defined]
    _, _, entries = (inspect.getdoc(HeldOut) or "").partition("Attributes\n----------\n")
    text = inspect.getdoc(function) or ""
    function.__doc__ = re.sub(r"\*\*held_out\n(    .*\n)+", lambda _: entries + "\n", text)
    return function
