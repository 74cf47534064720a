"""`cellflow push` and `cellflow pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import following, options

_moving = options.together(
    options.course,
    options.flow,
    following.chosen_cells,
    following.time_of_course(
        required=True,
        help="Where to, a number in the unit of the course or a label such as 'day 3'.",
    ),
    options.output(metavar="FILE.h5ad", help="Where the moved cells go."),
    options.time_key,
    options.force,
    following.motion,
    options.seed,
    options.device,
    options.run_options,
)


@click.command()
@_moving
def push(**given: Any) -> None:
    """Move chosen cells of FILE forward to any time.

    The result has their points in obsm X_cellflow, their weights in obs, and, where the
    representation has a way back, decoded expression in X.
    """
    _move("push", **given)


@click.command()
@_moving
def pull(**given: Any) -> None:
    """Move chosen cells of FILE backward to any time: where they come from.

    The result is that of cellflow push.
    """
    _move("pull", **given)


def _move(
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
    moved = getattr(tl, verb)(read_h5ad(file), flow, cells, time, rng=seed, **given)
    write_h5ad(moved, output, overwrite=force)
    tell(f"wrote {output}: {moved.n_obs} cells at time {time}")
