"""`cellflow image finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

#: Options of the method `oat-fm`.
_SETTINGS = ("sigma", "oat_alpha", "oat_target", "oat_copy_every", "oat_tolerance")


@click.command()
@options.flow
@shared.data(help="Images to generate, like those that the flow was trained on.")
@shared.split
@shared.size
@click.option(
    "--class",
    "label",
    metavar="NAME",
    panel=options.DATA,
    help="Only images of this class.",
)
@click.option(
    "--source",
    metavar="IMAGES",
    panel=options.DATA,
    help="Images to start from, if the flow does not start from noise.",
)
@click.option(
    "--source-class",
    metavar="NAME",
    panel=options.DATA,
    help="Start only from images of this class.",
)
@options.output(metavar="FLOW", help="Folder of the fine-tuned flow.")
@options.force
@options.tuning
@shared.training
@options.seed
@options.device
@options.run_options
def finetune(
    flow_path: Path, output: Path, force: bool, processes: int, progress: bool, **settings: Any
) -> None:
    """Fine-tune a flow of images towards straighter paths.

    The flow decides latents, classes and whether images are mirrored; it is not changed.
    """
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_flow

    read = [flow_path, settings["data"], settings["source"]]
    check_flow(output, force=force, inputs=read)
    options.take_checkpoint(settings, output, force=force, inputs=read)
    shared.check_folders(output, settings)
    settings |= {"flow": str(flow_path), "output": str(output), "force": force}
    settings |= {"progress": progress}
    if processes == 1:
        work(settings)
    else:
        from cellflow.training import launch

        launch(processes, work, settings)
    if progress:
        log_info(f"wrote {output}")


def work(settings: dict[str, Any]) -> None:
    """Read, fine-tune and, in the main process, save."""
    import logging

    from cellflow import Flow, _log, images
    from cellflow.training import (
        ProcessGroup,
        process_group,
        resolve_device,
        resolve_fine_tuning,
    )

    given = dict(settings)
    if not given["progress"]:
        # A spawned process does not inherit --quiet.
        _log.show(logging.ERROR, "stdout")
    output, force, seed = (given.pop(name) for name in ("output", "force", "seed"))
    resolve_device(given["device"])
    flow = Flow.load(given.pop("flow"))
    changes = {name: given.pop(name) for name in _SETTINGS}
    method, _ = resolve_fine_tuning(flow, "oat-fm", None, changes, {})
    data, source = shared.read_ends(given)
    with process_group(given.pop("device")) as device:
        tuned = images.finetune(
            flow,
            data,
            source=source,
            method=method,
            rng=seed,
            device=device,
            pictures=shared.make_pictures(given),
            **given,
        )
        if ProcessGroup.current().is_main:
            tuned.save(output, overwrite=force)
