"""`cellflow image train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    from cellflow.images import Encoder, ImageSet


@click.command()
@shared.data(help="Images to generate.")
@shared.split
@shared.size
@click.option(
    "--class",
    "label",
    metavar="NAME",
    panel=options.DATA,
    help="Generate only images of this class.",
)
@click.option(
    "--source",
    metavar="IMAGES",
    panel=options.DATA,
    help="Images to start from, to translate them; may be those of --data. [default: noise]",
)
@click.option(
    "--source-class",
    metavar="NAME",
    panel=options.DATA,
    help="Start only from images of this class.",
)
@options.output(metavar="FLOW", help="Folder that the trained flow goes to.")
@options.force
@click.option(
    "--conditional",
    is_flag=True,
    panel=options.FIT,
    help="Learn the classes of the images as well, to sample each of them.",
)
@click.option(
    "--flips/--no-flips",
    default=None,
    panel=options.FIT,
    help="Mirror images at random. [default: RGB images, not grey ones]",
)
@click.option(
    "--latents",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.FIT,
    help="Work in N principal components of the images instead of in pixels.",
)
@click.option(
    "--config",
    metavar="NAME|FILE.yaml",
    panel=options.FIT,
    help="Method and recipe: digits, mnist, cifar10-hour, cifar10, or a file. [default: by the "
    "size of the images]",
)
@options.method(help="Named combination of coupling, path and objective. [default: the config's]")
@options.parts("coupling", "path", "objective")
@options.sigma(help="Noise of the path, in units of half the range of pixels. [default: 0]")
@options.n_steps
@options.prior
@click.option(
    "--checkpoint",
    type=options.PATH,
    metavar="FILE",
    panel=options.RUN,
    help="Keep the state of the training in this file.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="STEPS",
    panel=options.RUN,
    help="Steps between two writings of it.",
)
@click.option(
    "--resume", is_flag=True, panel=options.RUN, help="Go on from the checkpoint, if it is there."
)
@click.option(
    "--pictures",
    type=options.PATH,
    metavar="FOLDER",
    panel=options.RUN,
    help="Write grids of images to this folder on the way.",
)
@click.option(
    "--pictures-every",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="STEPS",
    panel=options.RUN,
    help="Steps between two of them.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    panel=options.RUN,
    help="Processes that train together, each on a GPU of its own where there are some; pairs "
    "are coupled over the whole batch.",
)
@options.seed
@options.device
@options.run_options
def train(output: Path, force: bool, processes: int, progress: bool, **settings: Any) -> None:
    """Train a flow from noise, or from other images, to a set of images.

    IMAGES is digits (8 x 8, shipped with scikit-learn), a folder of images (subfolders are
    classes), a .npz, .npy or .parquet file, or a folder with the files of CIFAR-10, CIFAR-100,
    MNIST or Fashion-MNIST.
    """
    from cellflow._log import tell
    from cellflow.flow import check_flow_target

    check_flow_target(output, overwrite=force)
    _check(settings, force=force)
    settings |= {"output": str(output), "force": force, "progress": progress}
    if processes == 1:
        work(settings)
    else:
        from cellflow.training import launch

        launch(processes, work, settings)
    if progress:
        tell(f"wrote {output}")


def work(settings: dict[str, Any]) -> None:
    """What each process does: read, train, and, in the one that leads, save."""
    from cellflow import Flow, images
    from cellflow.training import Crew, joined

    given = dict(settings)
    output, force = given.pop("output"), given.pop("force")
    data, source = _sets(given)
    latents, prior, seed = (given.pop(name) for name in ("latents", "prior", "seed"))
    with joined(given.pop("device")) as device:
        flow = images.train(
            data,
            source=source,
            encoder=_encoder(data, source, latents),
            prior=None if prior is None else Flow.load(prior),
            rng=seed,
            device=device,
            **given,
        )
        if Crew.here().leads:
            flow.save(output, overwrite=force)


def _sets(given: dict[str, Any]) -> tuple[ImageSet, ImageSet | None]:
    """Target and source, taking what names them out of the settings."""
    name, split, size, label, source, source_class = (
        given.pop(key) for key in ("data", "split", "size", "label", "source", "source_class")
    )
    data = shared.read(name, split, size, label)
    if source is None and source_class is None:
        return data, None
    return data, shared.read(source or name, split, size, source_class)


def _encoder(data: ImageSet, source: ImageSet | None, latents: int | None) -> Encoder | None:
    """Principal components of all images that are seen."""
    from cellflow import images

    if latents is None:
        return None
    return images.PCAEncoder.fit(data, latents, source)


def _check(settings: dict[str, Any], *, force: bool) -> None:
    if settings["resume"] and settings["checkpoint"] is None:
        raise click.UsageError("--resume needs --checkpoint FILE to go on from")
    if settings["checkpoint"] is not None:
        from cellflow._files import check_file_target

        check_file_target(settings["checkpoint"], overwrite=force or settings["resume"])
