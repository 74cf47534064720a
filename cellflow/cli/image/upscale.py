"""`cellflow image upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    from cellflow.images import ImageSet

#: Default number of images in a picture.
_SHOWN = 10


@click.command()
@options.flow
@shared.data(
    help="Images in the low resolution of the flow, or in full resolution, which are averaged to "
    "the low one."
)
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
    "--n",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.DATA,
    help="Number of images, the first ones. [default: 10 for a picture, all for a file]",
)
@options.output(
    metavar="FILE",
    help="FILE.png for a picture of low resolutions, generated images and originals; FILE.npz for "
    "the images.",
)
@options.force
@shared.solver
@shared.n_steps
@shared.tolerance
@shared.rho
@shared.batch_size
@options.seed
@options.device
@options.run_options
def upscale(
    flow_path: Path,
    n: int | None,
    output: Path,
    force: bool,
    seed: int,
    device: str,
    progress: bool,
    **given: Any,
) -> None:
    """Generate images for low resolutions with a flow that was trained with --low-res.

    For images in full resolution, PSNR and SSIM are reported, together with those of bicubic
    interpolation.
    """
    from cellflow import Flow, images
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.images.low_res import enlarge, shrink
    from cellflow.training import resolve_device

    read = [flow_path, given["data"]]
    check_file(output, (".png", ".npz"), "images", force=force, inputs=read)
    flow = Flow.load(flow_path, device=resolve_device(device))
    shared.check_solving(flow, given)
    found = shared.read_data(given)
    found = found[: n or (len(found) if output.suffix == ".npz" else _SHOWN)]
    made = images.upscale(flow, found, rng=seed, progress=progress, **given)
    factor = flow.context.settings["images"]["low_res"]
    is_full = found.shape == made.images.shape
    small = shrink(found, factor) if is_full else found
    if output.suffix == ".npz":
        made.save(output, overwrite=force)
    else:
        columns = [_blocks(small, factor), made.images, *([found] if is_full else [])]
        _draw(columns, output, force=force)
    log_info(f"{len(found)} images; evaluations of the velocity for each: {made.nfe:g}")
    if is_full:
        for what, each in (("flow", made.images), ("bicubic", enlarge(small, factor))):
            near = images.fidelity(each, found)
            log_info(f"{what}: PSNR {near.psnr:.2f} dB, SSIM {near.ssim:.3f}")
    log_info(f"wrote {output}")


def _blocks(small: ImageSet, factor: int) -> ImageSet:
    """Repeat each pixel in both directions."""
    from dataclasses import replace

    pixels = small.pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    return replace(small, pixels=pixels)


def _draw(columns: list[ImageSet], output: Path, *, force: bool) -> None:
    import numpy as np

    from cellflow import images

    film = np.stack([each.pixels for each in columns])
    images.write_png(images.filmstrip(film), output, overwrite=force)
