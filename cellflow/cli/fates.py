"""`cellflow fates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import following, options


@click.command()
@options.course
@options.flow
@following.groups(required=True, help="Column of obs with the groups that cells may end in.")
@options.output(metavar="FILE.h5ad", help="Where the copy with fates goes.")
@following.cells(
    help="Whose fates: 'column=value', 'column=a,b & day=2', or the name of a cell. "
    "[default: all before --time]",
)
@following.time_of_course(help="When fates are told, a time of the course. [default: the last]")
@options.time_key
@options.force
@following.descent
@options.seed
@options.device
@options.run_options
def fates(
    file: Path,
    flow_path: Path,
    groups: str,
    output: Path,
    force: bool,
    seed: int,
    device: str,
    **given: Any,
) -> None:
    """Estimate the probability of each cell in FILE to end in each group.

    The result is a copy of FILE with obsm fate_probabilities, whose columns are named in uns, and
    obs fate_entropy.
    """
    from cellflow import Flow, tl
    from cellflow._files import check_file_target
    from cellflow._log import tell
    from cellflow.io import read_h5ad, write_h5ad
    from cellflow.training import resolve_device

    check_file_target(output, overwrite=force)
    flow = Flow.load(flow_path, device=resolve_device(device))
    adata = read_h5ad(file)
    tl.fates(adata, flow, groups, rng=seed, **given)
    write_h5ad(adata, output, overwrite=force)
    tell(f"wrote {output}: fates of {int(adata.obs['fate_entropy'].notna().sum())} cells")
