"""`cellflow finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options


@click.command(panel=options.TRAIN)
@options.course
@options.flow
@options.output(metavar="FLOW", help="Folder for the fine-tuned flow.")
@options.time_key
@options.force
@options.tuning
@options.seed
@options.device
@options.checkpoint
@options.run_options
def finetune(
    file: Path,
    flow_path: Path,
    output: Path,
    force: bool,
    seed: int,
    progress: bool,
    time_key: str | None,
    n_steps: int | None,
    learning_rate: float | None,
    device: str,
    **changes: Any,
) -> None:
    """Fine-tune a flow on the time course in FILE, so that its paths get straighter.

    Representation, times, covariates and labels are those of the flow; it and FILE do not change.
    The last line says how straight the flow was before and after.
    """
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_flow
    from cellflow.io import open_cells
    from cellflow.representation import columns_of
    from cellflow.training import resolve_fine_tuning

    check_flow(output, force=force, inputs=[file, flow_path])
    options.take_checkpoint(changes, output, force=force, inputs=[file, flow_path])
    checkpoint = changes.pop("checkpoint")
    flow = Flow.load(flow_path)
    adata = open_cells(file, columns_of(flow, time_key))
    method, _ = resolve_fine_tuning(flow, "oat-fm", None, changes, {})
    tuned = tl.finetune(
        adata,
        flow,
        time_key=time_key,
        method=method,
        n_steps=n_steps,
        learning_rate=learning_rate,
        rng=seed,
        device=device,
        checkpoint=checkpoint,
        progress=progress,
    )
    tuned.save(output, overwrite=force)
    log_info(f"wrote {output}")
