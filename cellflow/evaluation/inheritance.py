"""Settings of held-out evaluation that come from a flow, or from the embedding in the cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from anndata import AnnData

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, embedding_keys
from cellflow.evaluation.held_out import HeldOut
from cellflow.flow import Flow
from cellflow.representation import (
    Representation,
    RepresentationSettings,
    from_context,
    read_slots,
    settings_of,
)
from cellflow.representation.expression import stored_expression

#: Dimensions that published single-cell benchmarks score in.
_BENCHMARK_DIMS = 5

#: Inputs of a fit that are settings of held-out evaluation too.
_INPUTS = (
    "time_key", "label_key", "lineage_key", "cost_rep", "allowed_transitions", "group_key",
    "growth_key", "condition_keys",
)  # fmt: skip


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings of held-out evaluation, with those that come from a flow or the cells.

    Attributes
    ----------
    settings
        All settings; `n_dims` is None if published benchmarks' 5 dimensions are used, or fewer.
    representation
        Settings of the representation that is fitted in each fold.
    origin
        Where the representation comes from, in words; empty for settings alone.
    """

    settings: HeldOut
    representation: RepresentationSettings
    origin: str


def resolve_held_out(adata: AnnData, given: HeldOut, flow: Flow | None) -> ResolvedSettings:
    """Complete the settings by those of a flow, of the recorded embedding, and defaults.

    Parameters
    ----------
    adata
        The cells.
    given
        Settings of the user, which take precedence.
    flow
        Flow to score, or None.

    Raises
    ------
    InputError
        If the flow was not fitted to cells, or the expression of its embedding is missing.
    """
    changes = {} if flow is None else _read_inputs(flow, given)
    fitted, origin = _find_representation(adata, given, flow)
    own = RepresentationSettings(
        given.use_rep,
        given.layer,
        given.kind,
        given.n_dims,
        _BENCHMARK_DIMS,
        given.whiten is not False,
    )
    if fitted is None:
        return ResolvedSettings(given.model_copy(update={**changes, "whiten": own.whiten}), own, "")
    inherited = _inherit(given, settings_of(fitted))
    if inherited.use_rep is None:
        _check_expression(adata, inherited.layer, origin)
    space = {name: getattr(inherited, name) for name in ("use_rep", "layer", "kind", "whiten")}
    changes |= {**space, "n_dims": given.n_dims or fitted.n_dims}
    return ResolvedSettings(given.model_copy(update=changes), inherited, origin)


def _read_inputs(flow: Flow, given: HeldOut) -> dict[str, Any]:
    """Return the settings of a flow that the user did not give."""
    inherited = {name: getattr(flow.inputs, name) for name in _INPUTS}
    inherited["time_axis"] = flow.axis.kind
    return {name: value for name, value in inherited.items() if not getattr(given, name)}


def _find_representation(
    adata: AnnData, given: HeldOut, flow: Flow | None
) -> tuple[Representation | None, str]:
    """Return the representation whose settings are inherited, and its origin in words."""
    own = None if flow is None else from_context(flow.context)
    if given.use_rep is not None:
        return None, ""
    fitted, origin = (
        (own, "the flow")
        if own is not None
        else (read_slots(adata, REPRESENTATION), f"obsm[{REPRESENTATION!r}]")
    )
    asks_expression = given.layer is not None or given.kind != "auto"
    if fitted is None or (fitted.kind == "obsm" and asks_expression):
        return None, ""
    return fitted, origin


def _inherit(given: HeldOut, recorded: RepresentationSettings) -> RepresentationSettings:
    """Complete the settings of the representation by recorded ones."""
    # The kind is that of the recorded matrix, and may not fit another.
    same = given.layer is None or given.layer == recorded.layer
    kind = recorded.kind if given.kind == "auto" and same else given.kind
    return replace(
        recorded,
        layer=given.layer or recorded.layer,
        kind=kind,
        n_dims=given.n_dims,
        # A maximum, since the training cells may be too few for all of them.
        max_dims=recorded.n_dims,
        whiten=recorded.whiten if given.whiten is None else given.whiten,
    )


def _check_expression(adata: AnnData, layer: str | None, origin: str) -> None:
    """Raise `InputError` if the expression of a recorded embedding is missing."""
    try:
        stored_expression(adata, layer)
    except InputError as error:
        keys = format_list(embedding_keys(adata.obsm)) or "none"
        raise InputError(
            f"the representation of {origin} was made from expression, and each fold makes it anew "
            f"without the held-out cells, but {error}; to score in an embedding as it is, which "
            f"has seen the held-out cells, name it with use_rep (--use-rep); there are: {keys}"
        ) from error
