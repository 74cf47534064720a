"""`cellflow info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from cellflow.cli import options

if TYPE_CHECKING:
    from anndata import AnnData

    from cellflow.flow import Flow


@click.command(panel=options.START)
@click.argument("path", type=options.PATH)
@options.time_key
@options.run_options
def info(path: Path, time_key: str | None) -> None:
    """Describe an .h5ad file, or the folder of a fitted flow.

    For a file: its cells and genes, the columns that can be read as times, the growth that their
    numbers of cells would mean, and the representations. For a flow of cells or images: its
    representation, times, method and evidence of growth.
    """
    from cellflow import Flow
    from cellflow.cli.terminal import print_pairs
    from cellflow.io import open_cells

    if path.is_dir() and path.suffix != ".zarr":
        print_pairs(str(path), _describe_flow(Flow.load(path)))
    else:
        print_pairs(str(path), _describe_file(open_cells(path), time_key))


def _describe_file(adata: AnnData, time_key: str | None) -> dict[str, str]:
    from cellflow._checks import format_list, format_number
    from cellflow._errors import InputError
    from cellflow.io import describe_count_growth, parse_times, plural_unit, time_points_of
    from cellflow.representation import kind_of

    pairs = {"cells": f"{adata.n_obs:,}", "genes": f"{adata.n_vars:,}", "X": kind_of(adata)}
    pairs["obsm"] = (
        format_list(f"{key} ({value.shape[1]})" for key, value in adata.obsm.items()) or "none"
    )
    pairs["layers"] = format_list(adata.layers) or "none"
    columns = list(adata.obs) if time_key is None else [time_key]
    for column in columns:
        try:
            points = (
                parse_times(adata.obs[column])
                if time_key is None
                else time_points_of(adata, time_key)
            )
        except InputError:
            if time_key is not None:
                raise
            continue
        counts = ", ".join(
            f"{format_number(time)}: {count:,}"
            for time, count in zip(points.times, points.counts, strict=True)
        )
        if len(points.times) <= adata.n_obs // 2:
            unit = plural_unit(points.unit) or "times"
            pairs[f"times in {column}"] = f"{len(points.times)} {unit} ({counts} cells)"
            if len(points.times) > 1:
                pairs[f"growth by counts in {column}"] = (
                    f"{describe_count_growth(points)}; not used unless --growth counts is given"
                )
    return pairs


def _describe_flow(flow: Flow) -> dict[str, str]:
    from cellflow._checks import format_list, format_number
    from cellflow.images.space import description
    from cellflow.io import conditions_of
    from cellflow.methods.names import GROWTH_EVIDENCE
    from cellflow.representation import from_context

    conditions = conditions_of(flow).describe()
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
    }
