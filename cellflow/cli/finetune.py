"""`cellflow finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options


@click.command()
@options.course
@options.flow
@options.output(metavar="FLOW", help="Folder that the fine-tuned flow goes to.")
@options.time_key
@options.force
@options.tuning
@options.seed
@options.device
@options.run_options
def finetune(
    file: Path,
    flow_path: Path,
    output: Path,
    force: bool,
    seed: int,
    progress: bool,
    **settings: Any,
) -> None:
    """Fine-tune a flow on the time course in FILE, so that its paths get straighter.

    The flow decides the representation, the times, covariates and labels; it and FILE are left as
    they are. The last line says how straight the flow was and is.
    """
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.flow import check_flow_target
    from cellflow.io import open_cells
    from cellflow.representation import columns_of

    check_flow_target(output, overwrite=force)
    flow = Flow.load(flow_path)
    adata = open_cells(file, columns_of(flow, settings["time_key"]))
    tuned = tl.finetune(adata, flow, rng=seed, progress=progress, **settings)
    tuned.save(output, overwrite=force)
    log_info(f"wrote {output}")
