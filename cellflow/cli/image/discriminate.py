"""`cellflow image discriminate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

_PAIRINGS = {
    "aot": "assigned to the images at least distance, as for method aot",
    "independent": "drawn apart, as for method edm",
}


def _number(name: str, default: int, what: str) -> Any:
    return click.option(
        name,
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        metavar="N",
        panel=options.FIT,
        help=what,
    )


@click.command()
@options.flow
@shared.data(help="Real images, like those that the flow was trained on.")
@shared.split
@shared.size
@click.option(
    "--generated",
    type=options.PATH,
    metavar="FILE.npz",
    panel=options.DATA,
    help="Images of the flow. [default: they are made]",
)
@click.option(
    "--n-generated",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Images to make. [default: as many as real ones, 50,000 at most]",
)
@options.output(metavar="FOLDER", help="Folder that the discriminator goes to.")
@options.force
@click.option(
    "--solver",
    "by",
    default="edm-heun:18",
    show_default=True,
    metavar="NAME[:STEPS[:RHO]]",
    panel=options.FIT,
    help="How images are made: best as later with guidance.",
)
@click.option(
    "--pairing",
    type=click.Choice(list(_PAIRINGS)),
    default="aot",
    show_default=True,
    panel=options.FIT,
    help="Noise of the training; " + options.explained(_PAIRINGS) + ".",
)
@_number("--coupling-batch-size", 512, "Images of one assignment.")
@_number("--n-steps", 2000, "Training steps.")
@_number("--classifier-steps", 2000, "Training steps of the classifier, where there are labels.")
@_number("--batch-size", 128, "Images a step.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=3e-4,
    show_default=True,
    metavar="RATE",
    panel=options.FIT,
    help="Step size.",
)
@_number("--channels", 32, "Channels of the finest grid; published are 128.")
@_number("--blocks", 2, "Residual blocks a grid; published are 4.")
@options.seed
@options.device
@options.run_options
def discriminate(
    flow_path: Path,
    data: str,
    split: str,
    size: int | None,
    generated: Path | None,
    output: Path,
    force: bool,
    seed: int,
    device: str,
    progress: bool,
    **settings: Any,
) -> None:
    """Train a discriminator of real images and those of a flow, to guide its sampling.

    cellflow image sample --solver edm-heun --discriminator FOLDER uses it.
    """
    from cellflow import Flow, images
    from cellflow._log import log_info
    from cellflow.flow import check_flow_target
    from cellflow.images.guidance.discriminator import DISCRIMINATOR
    from cellflow.training import resolve_device

    check_flow_target(output, overwrite=force, form=DISCRIMINATOR)
    flow = Flow.load(flow_path, device=resolve_device(device))
    told = images.train_discriminator(
        flow,
        shared.read(data, split, size),
        generated=None if generated is None else images.read(generated),
        rng=seed,
        device=device,
        progress=progress,
        **settings,
    )
    told.save(output, overwrite=force)
    best = min(range(len(told.history["check"])), key=told.history["check"].__getitem__)
    log_info(
        f"told right: {told.history['accuracy'][best]:.1%} of images kept from training, over all "
        "levels of noise"
    )
    log_info(f"wrote {output}")
