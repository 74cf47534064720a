"""`cellflow transitions`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import following, options


@click.command()
@options.course
@options.flow
@following.groups(required=True, help="Column of obs with the groups.")
@options.table
@options.time_key
@options.force
@following.descent
@options.seed
@options.device
@options.run_options
def transitions(
    file: Path,
    flow_path: Path,
    groups: str,
    output: Path,
    force: bool,
    seed: int,
    device: str,
    **given: Any,
) -> None:
    """Tabulate which groups of cells in FILE become which between consecutive times.

    Probabilities of one source group sum to one over its targets; cellflow plot sankey draws the
    table.
    """
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.io import check_table_target, read_h5ad, write_table
    from cellflow.training import resolve_device

    check_table_target(output, overwrite=force)
    flow = Flow.load(flow_path, device=resolve_device(device))
    table = tl.transitions(read_h5ad(file), flow, groups, rng=seed, **given)
    write_table(table, output, overwrite=force)
    log_info(f"wrote {output}: {len(table)} rows")
