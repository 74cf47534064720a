"""`cellflow image translate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared


@click.command()
@options.flow
@shared.data(help="Images to translate, like those of the source that the flow was trained on.")
@shared.split
@shared.size
@click.option(
    "--class",
    "label",
    metavar="NAME",
    panel=options.DATA,
    help="Translate only images of this class.",
)
@click.option(
    "--n",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Number of images, the first ones. [default: 10 for a picture, all for a file]",
)
@options.output(
    metavar="FILE",
    help="FILE.png for a picture of the paths, FILE.gif for an animation, FILE.npz for the images.",
)
@options.force
@click.option(
    "--backward", is_flag=True, panel=options.DATA, help="Translate from target to source."
)
@click.option(
    "--frames",
    type=click.IntRange(min=2),
    default=7,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Frames of a picture or an animation, including both ends.",
)
@shared.solver
@shared.n_steps
@shared.tolerance
@shared.batch_size
@options.device
@options.run_options
def translate(
    flow_path: Path,
    n: int | None,
    output: Path,
    force: bool,
    backward: bool,
    frames: int,
    device: str,
    progress: bool,
    **given: Any,
) -> None:
    """Translate images with a flow that was trained from one set of images to another."""
    from cellflow import Flow, images
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.training import resolve_device

    read = [flow_path, given["data"]]
    check_file(output, (".png", ".gif", ".npz"), "images", force=force, inputs=read)
    flow = Flow.load(flow_path, device=resolve_device(device))
    shared.check_solving(flow, given)
    found = shared.read_data(given)
    is_file = output.suffix == ".npz"
    count = n or (len(found) if is_file else 10)
    times = [0.0, 1.0] if is_file else [k / (frames - 1) for k in range(frames)]
    given["n_steps"] = shared.steps_between(flow, given, len(times) - 1)
    made = images.translate(
        flow, found[:count], backward=backward, times=times, progress=progress, **given
    )
    if is_file:
        made.save(output, overwrite=force)
    elif output.suffix == ".gif":
        images.write_gif(made.frames, output, overwrite=force)
    else:
        images.write_png(images.filmstrip(made.frames), output, overwrite=force)
    log_info(f"{len(made.images)} images; evaluations of the velocity for each: {made.nfe:g}")
    log_info(f"wrote {output}")
