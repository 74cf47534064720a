"""`cellflow info`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from cellflow.cli import options

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from cellflow._errors import InputError
    from cellflow.flow import Flow
    from cellflow.io import TimePoints


@click.command(panel=options.START)
@click.argument("path", type=options.PATH)
@options.time_key
@options.run_options
def info(path: Path, time_key: str | None) -> None:
    """Describe an .h5ad file, or the folder of a fitted flow.

    For a file: its cells, genes, expression and representations, the column that would be taken as
    the times, with the growth that its numbers of cells would mean, and all columns of obs. For a
    flow of cells or images: its representation, times, method and evidence of growth.
    """
    from cellflow import Flow
    from cellflow.cli.terminal import print_pairs, print_table
    from cellflow.io import open_cells
    from cellflow.io.foreign_files import refuse_folder

    if path.is_dir() and path.suffix != ".zarr":
        if not (path / "flow.json").exists():
            refuse_folder(path)
        print_pairs(str(path), _describe_flow(Flow.load(path)))
        return
    adata = open_cells(path)
    times, problem = _describe_times(adata, time_key)
    print_pairs(str(path), _describe_matrices(adata) | times)
    if not adata.obs.empty:
        print_table("\nobs", ("column", "kind", "values", "missing", "examples"), _obs_rows(adata))
    if problem is not None:
        # The rest of the file is described, and a script still learns that its times are wrong.
        raise problem


def _describe_matrices(adata: AnnData) -> dict[str, str]:
    from cellflow._checks import format_list
    from cellflow._keys import UNS
    from cellflow.io.matrices import layer_names
    from cellflow.representation import kind_of

    pairs = {
        "cells": f"{adata.n_obs:,}",
        "genes": _describe_genes(adata.var),
        "X": kind_of(adata),
    }
    if adata.raw is not None:
        kind = kind_of(adata, "raw") if adata.n_vars and adata.raw.n_vars else "none"
        pairs["raw"] = f"{kind}, {adata.raw.n_vars:,} genes (--layer raw)"
    layers = layer_names(adata) if adata.n_vars else []
    kinds = [f"{name} ({kind_of(adata, name)})" for name in layers]
    pairs["layers"] = format_list(kinds) or "none"
    sizes = [
        f"{key} ({' x '.join(map(str, value.shape[1:])) or 1})" for key, value in adata.obsm.items()
    ]
    pairs["obsm"] = format_list(sizes) or "none"
    records = adata.uns.get(UNS)
    if isinstance(records, Mapping) and records:
        pairs["by cellflow"] = f"{format_list(records)} (in uns)"
    if adata.obs.empty:
        pairs["obs"] = "none"
    return pairs


def _describe_genes(var: pd.DataFrame) -> str:
    from cellflow.io import GeneNames

    if not len(var):
        return "0"
    names = GeneNames.read(var)
    text = f"{len(var):,}: {_name_first(names.ids)}"
    if names.column is None:
        return text
    return f"{text}; symbols in var[{names.column!r}]: {_name_first(names.symbols)}"


def _name_first(names: Sequence[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "")


def _describe_times(
    adata: AnnData, time_key: str | None
) -> tuple[dict[str, str], InputError | None]:
    """Describe the times that would be taken, or else the columns that could be named.

    Returned beside it is the error of a column that cannot be read, if no other can.
    """
    from cellflow._errors import InputError
    from cellflow._keys import INTERPOLATE, PULL, PUSH, START_TIME, TIME, TRAJECTORIES, read_record
    from cellflow.io import time_key_of, time_points_of
    from cellflow.io.obs_summary import find_time_columns

    if time_key is not None:
        return _describe_points(time_key, time_points_of(adata, time_key)), None
    predictions = (INTERPOLATE, PUSH, PULL, TRAJECTORIES)
    if START_TIME in adata.obs and any(read_record(adata.uns, key) for key in predictions):
        text = f"of predicted cells, in {TIME}; flows are fitted to measured cells"
        return {"times": text}, None
    pairs, problem, others = {}, None, find_time_columns(adata)
    try:
        taken = time_key_of(adata)
    except InputError:
        if not others:
            return {"times": "no column of obs looks like times; name one with --time-key"}, None
        pairs["times"] = "name a column with --time-key; these can be read:"
    else:
        others.pop(taken, None)
        try:
            pairs |= _describe_points(taken, time_points_of(adata, taken))
        except InputError as error:
            pairs["times"] = f"taken from {taken}, which cannot be read: {error}"
            problem = None if others else error
        if others:
            pairs["other times"] = "can be named with --time-key:"
    return pairs | {f"  {name}": _count_cells(points) for name, points in others.items()}, problem


def _describe_points(name: str, points: TimePoints) -> dict[str, str]:
    from cellflow.io import describe_count_growth

    growth = describe_count_growth(points)
    return {
        f"times in {name}": _count_cells(points),
        f"growth by counts in {name}": f"{growth}; not used unless --growth counts is given",
    }


def _count_cells(points: TimePoints) -> str:
    from cellflow.io import plural_unit

    unit = plural_unit(points.unit) or "times"
    counts = [
        f"{time}: {count:,}"
        for time, count in zip(_round_times(points.times), points.counts, strict=True)
    ]
    return f"{len(counts)} {unit} ({', '.join(counts)} cells)"


def _round_times(times: Sequence[float]) -> list[str]:
    """Format times, those of converted units such as 91.3125 days with a decimal."""
    from cellflow._checks import format_number

    exact = [format_number(time) for time in times]
    texts = [
        format_number(round(time, 1)) if abs(time) >= 1 and round(time, 2) != time else text
        for time, text in zip(times, exact, strict=True)
    ]
    return texts if len(set(texts)) == len(texts) else exact


def _obs_rows(adata: AnnData) -> list[tuple[str, ...]]:
    from cellflow.io.obs_summary import ColumnSummary

    columns = {str(name): ColumnSummary.of(adata.obs[name]) for name in adata.obs}
    return [
        (
            name,
            each.kind,
            f"{each.n_values:,}",
            f"{each.n_missing:,}" if each.n_missing else "",
            each.examples,
        )
        for name, each in columns.items()
    ]


def _describe_flow(flow: Flow) -> dict[str, str]:
    from cellflow._checks import format_list, format_number
    from cellflow.flow import describe_misfit
    from cellflow.images.space import description
    from cellflow.io import conditions_of
    from cellflow.methods.names import GROWTH_EVIDENCE
    from cellflow.representation import from_context

    conditions = conditions_of(flow).describe()
    misfit = describe_misfit(flow.record, flow.recipe)
    evidence = flow.method.growth_evidence
    return {
        "times": format_list(map(format_number, flow.axis.times)),
        "time axis": flow.axis.describe(),
        "space": description(flow) or from_context(flow.context).describe(),
        "method": ", ".join(f"{part.kind} {part.name}" for part in flow.method.parts),
        **({"conditions": "; ".join(conditions)} if conditions else {}),
        "growth": f"{evidence}: {GROWTH_EVIDENCE[evidence]}" if evidence else "mass is conserved",
        "seed": str(flow.record.seed),
        "steps": str(flow.history["step"][-1]),
        "last loss": f"{flow.history['loss'][-1]:.4f}",
        **{
            f"error of {role}": f"{ratio:.3g} times that of zero"
            for role, ratio in flow.record.relative_errors.items()
        },
        **({"misfit": misfit} if misfit else {}),
    }
