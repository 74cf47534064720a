"""`cellflow image train-discriminator`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

_PAIRINGS = {
    "aot": "minibatch transport by distance, as in method aot",
    "independent": "independent of the images, as in method edm",
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


@click.command("train-discriminator")
@options.flow
@shared.data(help="Real images, like those that the flow was trained on.")
@shared.split
@shared.size
@click.option(
    "--generated",
    type=options.PATH,
    metavar="FILE.npz",
    panel=options.DATA,
    help="Images of the flow. [default: they are generated]",
)
@click.option(
    "--n-generated",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Images to generate. [default: as many as real ones, 50,000 at most]",
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
    help="Solver of the images that are generated: best the one to guide.",
)
@click.option(
    "--pairing",
    type=click.Choice(list(_PAIRINGS)),
    default="aot",
    show_default=True,
    panel=options.FIT,
    help="Coupling of noise and images; " + options.describe_choices(_PAIRINGS) + ".",
)
@_number("--coupling-batch-size", 512, "Images of one transport problem.")
@_number("--n-steps", 2000, "Training steps.")
@_number("--classifier-steps", 2000, "Training steps of the classifier, for images with labels.")
@_number("--batch-size", 128, "Images per step.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=3e-4,
    show_default=True,
    metavar="RATE",
    panel=options.FIT,
    help="Learning rate.",
)
@_number("--channels", 32, "Channels of the finest grid; published are 128.")
@_number("--blocks", 2, "Residual blocks per grid; published are 4.")
@options.seed
@options.device
@options.run_options
def train_discriminator(
    flow_path: Path,
    output: Path,
    force: bool,
    device: str,
    progress: bool,
    **settings: Any,
) -> None:
    """Train a discriminator of real images and those of a flow, for discriminator guidance.

    cellflow image sample --solver edm-heun --discriminator FOLDER uses it.
    """
    from cellflow import Flow, images, recipe
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_flow
    from cellflow.images.guidance.discriminator import DISCRIMINATOR
    from cellflow.images.samples import solver_options
    from cellflow.training import resolve_device

    read = [flow_path, settings["data"], settings["generated"]]
    check_flow(output, force=force, inputs=read, form=DISCRIMINATOR)
    flow = Flow.load(flow_path, device=resolve_device(device))
    solver_options(settings["by"])
    generated, n_generated = (settings.pop(name) for name in ("generated", "n_generated"))
    if generated is not None and n_generated is not None:
        raise click.UsageError("give either --generated FILE.npz or --n-generated N")
    real = shared.read_data(settings)
    names = ("n_steps", "batch_size", "coupling_batch_size", "learning_rate")
    numbers = {name: settings.pop(name) for name in names}
    discriminator = images.train_discriminator(
        flow,
        real,
        generated=n_generated if generated is None else images.read(generated),
        recipe=recipe(images.DISCRIMINATOR_RECIPE, **numbers),
        rng=settings.pop("seed"),
        device=device,
        progress=progress,
        **settings,
    )
    discriminator.save(output, overwrite=force)
    history = discriminator.history
    best = min(range(len(history["check"])), key=history["check"].__getitem__)
    log_info(
        f"accuracy: {history['accuracy'][best]:.1%} of held-out images, over all levels of noise"
    )
    log_info(f"wrote {output}")
