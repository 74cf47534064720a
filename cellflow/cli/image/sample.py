"""`cellflow image sample`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    import numpy as np

    from cellflow.flow import Flow

_SHOWS = {
    "samples": "the images",
    "paths": "their paths from noise",
    "interpolation": "images of noise interpolated between two draws",
}


@click.command()
@options.flow
@click.option(
    "--n",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of images, paths or interpolations.",
)
@options.output(
    metavar="FILE",
    help="FILE.png for a picture, FILE.gif for an animation, FILE.npz for the images.",
)
@options.force
@click.option(
    "--show",
    type=click.Choice(list(_SHOWS)),
    default="samples",
    show_default=True,
    panel=options.DATA,
    help="Output; " + options.describe_choices(_SHOWS) + ".",
)
@click.option(
    "--class", "label", metavar="NAME", panel=options.DATA, help="Class of all images. "
    "[default: all classes in turn]"
)  # fmt: skip
@click.option(
    "--frames",
    type=click.IntRange(min=2),
    default=11,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Frames of a path or an interpolation.",
)
@shared.autoguidance
@shared.solver
@shared.n_steps
@shared.tolerance
@shared.rho
@shared.discriminator_guidance
@shared.batch_size
@options.seed
@options.device
@options.run_options
def sample(
    flow_path: Path,
    n: int,
    output: Path,
    force: bool,
    show: str,
    label: str | None,
    frames: int,
    seed: int,
    device: str,
    progress: bool,
    **solving: Any,
) -> None:
    """Generate images with a flow from noise."""
    from cellflow import Flow, images
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.training import resolve_device

    read = [flow_path, solving["weak"], solving["discriminator"]]
    check_file(output, (".png", ".gif", ".npz"), "images", force=force, inputs=read)
    _check(output, show)
    flow = Flow.load(flow_path, device=resolve_device(device))
    guidance = shared.load_guidance(solving, flow.device)
    common = {"label": label, "rng": seed, "progress": progress, **solving}
    if show == "interpolation":
        if guidance is not None:
            raise click.UsageError("guidance is for samples and paths, not --show interpolation")
    else:
        common["guidance"] = guidance
    if show == "samples" and output.suffix != ".gif":
        made = images.sample(flow, n, **common)
        if output.suffix == ".npz":
            made.save(output, overwrite=force)
        else:
            images.write_png(made.images.pixels, output, overwrite=force)
        log_info(f"{n} images; evaluations of the velocity for each: {made.nfe:g}")
        if made.effective_trajectories is not None:
            log_info(f"effective trajectories for each: {made.effective_trajectories:.2f}")
    else:
        _write(_film(flow, n, show, frames, common), output, force=force)
    log_info(f"wrote {output}")


def _film(flow: Flow, n: int, show: str, frames: int, common: dict[str, Any]) -> np.ndarray:
    from cellflow import images

    if show == "interpolation":
        return images.interpolate(flow, n, n_frames=frames, **common)
    times = [k / (frames - 1) for k in range(frames)]
    steps = shared.steps_between(flow, common, frames - 1)
    return images.sample(flow, n, times=times, **{**common, "n_steps": steps}).frames


def _write(film: np.ndarray, output: Path, *, force: bool) -> None:
    from cellflow import images

    if output.suffix == ".gif":
        images.write_gif(film, output, overwrite=force)
    else:
        images.write_png(images.filmstrip(film), output, overwrite=force)


def _check(output: Path, show: str) -> None:
    if output.suffix == ".npz" and show != "samples":
        raise click.UsageError(f"--show {show} makes a picture: name a .png or .gif file")
