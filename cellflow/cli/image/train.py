"""`cellflow image train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    from cellflow.images import ImageSet
    from cellflow.images.encoders import Encoder

#: Options that change settings of the method.
_SETTINGS = (
    "coupling",
    "path",
    "objective",
    "sigma",
    "epsilon",
    "cost_dim",
    "semidiscrete_steps",
    "potentials",
)


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
@options.output(metavar="FLOW", help="Folder of the trained flow.")
@options.force
@click.option(
    "--conditional",
    is_flag=True,
    panel=options.FIT,
    help="Condition the flow on the classes of the images, to sample each of them.",
)
@click.option(
    "--low-res",
    type=click.IntRange(min=2),
    metavar="FACTOR",
    panel=options.FIT,
    help="Condition the flow on low resolutions, in which so many pixels per side become one "
    "(cellflow image upscale).",
)
@click.option(
    "--flips/--no-flips",
    default=None,
    panel=options.FIT,
    help="Mirror images at random. [default: RGB images, not grey ones]",
)
@click.option(
    "--augment",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    panel=options.FIT,
    help="Share of the images that are rotated, that are zoomed, and so on. [default: 0.12 for "
    "nets that see it, as in config edm; else 0]",
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
    help="Method and recipe: digits, aot-digits, mnist, cifar10-hour, cifar10, edm, aot, or a "
    "file. [default: by the size of the images]",
)
@options.method(help="Named combination of coupling, path and objective. [default: the config's]")
@options.parts("coupling", "path", "objective")
@options.sigma(help="Noise of the path, in units of half the range of pixels. [default: 0]")
@shared.semidiscrete
@click.option(
    "--potentials",
    metavar="FOLDER",
    panel=options.FIT,
    help="Of coupling semidiscrete: folder of its potentials, which are read, or fitted and "
    "stored; cellflow image couple fits them beforehand.",
)
@options.n_steps
@click.option(
    "--coupling-batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.FIT,
    help="Images per transport problem of minibatch couplings. [default: the recipe's]",
)
@options.prior
@shared.training
@options.seed
@options.device
@options.run_options
def train(output: Path, force: bool, processes: int, progress: bool, **settings: Any) -> None:
    """Train a flow from noise, or from other images, to a set of images.

    IMAGES is digits (8 x 8, shipped with scikit-learn), a folder or .zip of images (subfolders are
    classes, unless dataset.json has them, as for StyleGAN and EDM), a .npz (images and labels, or
    arr_0 and arr_1), .npy or .parquet file, or a folder with the files of CIFAR-10, CIFAR-100,
    MNIST or Fashion-MNIST.
    """
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_flow

    read = [settings[name] for name in ("data", "source", "prior")]
    check_flow(output, force=force, inputs=read)
    options.take_checkpoint(settings, output, force=force, inputs=read)
    shared.check_folders(output, settings)
    shared.check_training(settings)
    settings |= {"output": str(output), "force": force, "progress": progress}
    if processes == 1:
        work(settings)
    else:
        from cellflow.training import launch

        launch(processes, work, settings)
    if progress:
        log_info(f"wrote {output}")


def work(settings: dict[str, Any]) -> None:
    """Read, train and, in the main process, save."""
    from cellflow import Flow, images, recipe
    from cellflow.images.settings import config_for
    from cellflow.training import ProcessGroup, process_group

    given = dict(settings)
    output, force = given.pop("output"), given.pop("force")
    data, source = shared.read_ends(given)
    latents, prior, seed = (given.pop(name) for name in ("latents", "prior", "seed"))
    in_latents, batch = latents is not None, given.pop("coupling_batch_size")
    if batch is not None:
        config = config_for(data, given["config"], in_latents=in_latents)
        given["recipe"] = recipe(config.recipe, coupling_batch_size=batch)
    given["method"] = shared.resolve_method(given, data, in_latents=in_latents, names=_SETTINGS)
    with process_group(given.pop("device")) as device:
        flow = images.train(
            data,
            source=source,
            encoder=_encoder(data, source, latents),
            prior=None if prior is None else Flow.load(prior),
            rng=seed,
            device=device,
            pictures=shared.make_pictures(given),
            **given,
        )
        if ProcessGroup.current().is_main:
            flow.save(output, overwrite=force)


def _encoder(data: ImageSet, source: ImageSet | None, latents: int | None) -> Encoder | None:
    """Fit principal components to source and target images."""
    from cellflow import images

    if latents is None:
        return None
    return images.PCAEncoder.fit(data, latents, source)
