"""`cellflow ancestors` and `cellflow descendants`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import following, options

_related = options.together(
    options.course,
    options.flow,
    following.chosen_cells,
    following.time_of_course(required=True, help="Time of the relatives, one of the course."),
    options.output(metavar="FILE.h5ad", help="Where the copy with their weights goes."),
    options.time_key,
    options.force,
    following.descent,
    options.seed,
    options.device,
    options.run_options,
)


@click.command()
@_related
def ancestors(**given: Any) -> None:
    """Find the cells of an earlier time that chosen cells of FILE stem from.

    The result is a copy of FILE with obs cellflow_ancestors, which sums to one.
    """
    _relate("ancestors", **given)


@click.command()
@_related
def descendants(**given: Any) -> None:
    """Find the cells of a later time that chosen cells of FILE become.

    The result is a copy of FILE with obs cellflow_descendants, which sums to one.
    """
    _relate("descendants", **given)


def _relate(
    verb: str,
    *,
    file: Path,
    flow_path: Path,
    cells: str,
    time: str,
    output: Path,
    force: bool,
    seed: int,
    device: str,
    **given: Any,
) -> None:
    from cellflow import Flow, tl
    from cellflow._files import check_file_target
    from cellflow._log import tell
    from cellflow.io import read_h5ad, write_h5ad
    from cellflow.training import resolve_device

    check_file_target(output, overwrite=force)
    flow = Flow.load(flow_path, device=resolve_device(device))
    adata = read_h5ad(file)
    getattr(tl, verb)(adata, flow, cells, time, rng=seed, **given)
    write_h5ad(adata, output, overwrite=force)
    tell(f"wrote {output}")
