"""Store a representation in an AnnData or in a flow, and load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from cellflow._batch import Batch
from cellflow._checks import check_choice, check_finite
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, REPRESENTATIONS, read_record, write_record
from cellflow._log import log_info
from cellflow.flow import Context, Flow
from cellflow.io import Conditions, SideColumns
from cellflow.io.matrices import read_numbers, take_cells
from cellflow.representation.fitting import fit_representation
from cellflow.representation.representation import LinearMap, Representation
from cellflow.representation.settings import RepresentationSettings

_FOREIGN = "the stored representation was not written by this version of cellflow"
_RENEW = "; compute it again with pp.embed (cellflow embed)"
_KINDS = ("counts", "linear", "normalised", "other", "obsm")
_ARRAYS = (
    "gene_units",
    "decoded_mean",
    "decoded_scale",
    "mean",
    "scale",
    "loadings",
    "centre",
    "spread",
)


def write_slots(adata: AnnData, fitted: Representation, key: str) -> None:
    """Write points to `obsm[key]` (float32) and the map to `uns`."""
    points = fitted.points(adata)
    # Points of an embedding may be that array itself; two keys need two arrays.
    adata.obsm[key] = points.copy() if fitted.kind == "obsm" else points
    write_map(adata, fitted, key)


def write_map(adata: AnnData, fitted: Representation, key: str) -> None:
    """Write only the map to `uns["cellflow"]["representations"][key]`."""
    values = _to_values(fitted)
    values["genes"] = np.array(values["genes"], dtype=object)
    maps = read_record(adata.uns, REPRESENTATIONS) or {}
    write_record(adata.uns, REPRESENTATIONS, {**maps, key: values})


def read_slots(adata: AnnData, key: str) -> Representation | None:
    """Return the representation of `obsm[key]`; None if cellflow did not make it."""
    values = (read_record(adata.uns, REPRESENTATIONS) or {}).get(key)
    return None if values is None or key not in adata.obsm else _from_values(values)


def current_representation(adata: AnnData, use_rep: str | None) -> Representation:
    """Return the representation to fit in: the recorded one, or a new one.

    By default it is that of `obsm["X_cellflow"]`, which is computed with the defaults of
    `pp.embed` if missing. An `obsm` key that cellflow wrote can still be decoded to genes.
    """
    fitted = read_slots(adata, use_rep or REPRESENTATION)
    if fitted is None:
        fitted = fit_representation(adata, RepresentationSettings(use_rep=use_rep))
        log_info(fitted.describe())
        if use_rep is None:
            write_slots(adata, fitted, REPRESENTATION)
    return fitted


def points_of(adata: AnnData, fitted: Representation, used: np.ndarray | None = None) -> np.ndarray:
    """Return points of cells, float32: read from a slot with this map, else computed.

    Parameters
    ----------
    adata
        The cells.
    fitted
        The representation.
    used
        Cells to use, a mask or row numbers; None uses all.
    """
    stored = stored_points(adata, fitted)
    if stored is None:
        return fitted.points(adata, used)
    return stored if used is None else stored[used]


def stored_points(adata: AnnData, fitted: Representation) -> np.ndarray | None:
    """Return points of all cells, float32, from a matrix in `obsm`; None if expression has them."""
    for key, values in (read_record(adata.uns, REPRESENTATIONS) or {}).items():
        if key in adata.obsm and _same(values, _to_values(fitted)):
            points = read_numbers(adata, key)
            check_finite(points, f"obsm[{key!r}]", adata.obs_names)
            return points.astype(np.float32, copy=False)
    return fitted.points(adata) if fitted.kind == "obsm" else None


def to_context(fitted: Representation, **settings: Any) -> Context:
    """Return the context of a flow: its representation, and other settings."""
    values = _to_values(fitted)
    arrays = {name: torch.tensor(values.pop(name).copy()) for name in _ARRAYS if name in values}
    return Context({"representation": values, **settings}, arrays)


def from_context(context: Context) -> Representation:
    """Return the representation stored in a flow.

    Raises
    ------
    InputError
        If the flow has no representation.
    """
    settings = context.settings.get("representation")
    if settings is None:
        raise InputError(
            "this flow was not fitted to an AnnData and has no representation of cells"
        )
    if not isinstance(settings, Mapping):
        raise InputError(f"{_FOREIGN}: {settings!r:.80}")
    return _from_values({**settings, **{name: a.numpy() for name, a in context.arrays.items()}})


def cells_of(
    adata: AnnData,
    context: Context,
    used: np.ndarray | None = None,
    stored: np.ndarray | None = None,
) -> Batch:
    """Return cells as a batch for a flow: points in its representation, and covariates.

    `stored` is what `stored_points` returned, if it was called before.
    """
    conditions = Conditions(tuple(context.settings.get("conditions", ())))
    if stored is None:
        points = points_of(adata, from_context(context), used)
    else:
        points = stored if used is None else stored[used]
    return SideColumns().batch(take_cells(adata, used), points, conditions)


def columns_of(flow: Flow, time_key: str | None) -> list[str | None]:
    """Return the columns of `obs` that a flow requires."""
    conditions = (column["key"] for column in flow.context.settings.get("conditions", ()))
    inputs = flow.inputs
    own = (inputs.label_key, inputs.lineage_key, inputs.group_key, inputs.growth_key)
    return [time_key or flow.time_key, *own, *conditions]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Report whether two maps are exactly equal."""
    return one.keys() == other.keys() and all(
        np.array_equal(np.asarray(one[name]), np.asarray(other[name])) for name in one
    )


def _to_values(fitted: Representation) -> dict[str, Any]:
    values: dict[str, Any] = {
        "kind": fitted.kind,
        "source": fitted.source,
        "log_base": fitted.log_base,
        "unit": fitted.unit,
        "target_sum": fitted.target_sum,
        "n_genes": fitted.n_genes,
        "whitened": fitted.whitened,
        "genes": [],
        "centre": fitted.centre,
        "spread": fitted.spread,
    }
    if fitted.gene_units is not None:
        values["gene_units"] = fitted.gene_units
    if fitted.linear is not None:
        linear = fitted.linear
        values |= {
            "genes": list(linear.genes),
            "mean": linear.mean,
            "scale": linear.scale,
            "loadings": linear.loadings,
        }
        if linear.decoded_mean is not None and linear.decoded_scale is not None:
            values |= {"decoded_mean": linear.decoded_mean, "decoded_scale": linear.decoded_scale}
    return values


def _from_values(values: Mapping[str, Any]) -> Representation:
    """Return the representation for values from a file.

    Raises
    ------
    InputError
        If the values are invalid.
    """
    try:
        fitted = _parse_values(values)
    except KeyError as error:
        raise InputError(f"{_FOREIGN}: {error} is missing{_RENEW}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{_FOREIGN}: {error!s:.80}") from error
    check_choice(fitted.kind, _KINDS, "kind of representation")
    shapes = {"spread": (fitted.spread, fitted.centre.shape)}
    if fitted.centre.ndim != 1 or (fitted.linear is None and fitted.kind != "obsm"):
        raise InputError(f"{_FOREIGN}: a {fitted.kind!r} without its genes or dimensions")
    if fitted.linear is not None:
        genes = (len(fitted.linear.genes),)
        shapes |= {"mean": (fitted.linear.mean, genes), "scale": (fitted.linear.scale, genes)}
        shapes["loadings"] = (fitted.linear.loadings, genes + fitted.centre.shape)
        optional = {
            "gene_units": fitted.gene_units,
            "decoded_mean": fitted.linear.decoded_mean,
            "decoded_scale": fitted.linear.decoded_scale,
        }
        shapes |= {name: (each, genes) for name, each in optional.items() if each is not None}
    for name, (array, wanted) in shapes.items():
        if array.shape != wanted:
            raise InputError(f"{_FOREIGN}: {name} has the shape {array.shape}, not {wanted}")
    return fitted


def _parse_values(values: Mapping[str, Any]) -> Representation:
    linear = None
    if len(values["genes"]):
        linear = LinearMap(
            genes=tuple(str(gene) for gene in values["genes"]),
            mean=np.asarray(values["mean"]),
            scale=np.asarray(values["scale"]),
            loadings=np.asarray(values["loadings"]),
            decoded_mean=_optional(values, "decoded_mean"),
            decoded_scale=_optional(values, "decoded_scale"),
        )
    return Representation(
        kind=values["kind"],
        source=str(values["source"]),
        log_base=float(values["log_base"]),
        unit=float(values["unit"]),
        target_sum=float(values["target_sum"]),
        n_genes=int(values["n_genes"]),
        gene_units=_optional(values, "gene_units"),
        linear=linear,
        centre=np.asarray(values["centre"]),
        spread=np.asarray(values["spread"]),
        whitened=bool(values["whitened"]),
    )


def _optional(values: Mapping[str, Any], name: str) -> np.ndarray | None:
    return np.asarray(values[name]) if name in values else None
