"""Options that commands over images share."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import SOLVERS

if TYPE_CHECKING:
    from cellflow.flow import Flow
    from cellflow.images import ImageSet


data = functools.partial(
    click.option, "--data", metavar="IMAGES", required=True, panel=options.DATA
)
split = click.option(
    "--split",
    type=click.Choice(["auto", "train", "test", "all"]),
    default="auto",
    show_default=True,
    panel=options.DATA,
    help="Which of the images; auto takes those for training where there are such, else all.",
)
size = click.option(
    "--size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    panel=options.DATA,
    help="Scale and crop to this height and width. [default: as they are]",
)
solver = click.option(
    "--solver",
    type=click.Choice(list(SOLVERS)),
    panel=options.RUN,
    help="How the flow is followed; " + options.explained(SOLVERS) + ". [default: dopri5; average "
    "for mean flows; edm-heun with a discriminator]",
)
n_steps = click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.RUN,
    help="Steps of a solver with fixed ones. [default: 100; 18 of edm-heun; 1 of average]",
)
tolerance = click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-5,
    show_default=True,
    panel=options.RUN,
    help="Absolute and relative tolerance of an adaptive solver.",
)
rho = click.option(
    "--rho",
    type=click.FloatRange(min=0, min_open=True),
    default=7.0,
    show_default=True,
    metavar="X",
    panel=options.RUN,
    help="Of edm-heun: how much denser its steps lie at little noise; published are 18 steps with "
    "7, and 14 with 90 for method aot.",
)
batch_size = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    panel=options.RUN,
    help="Images that are computed at once.",
)

#: How noise is coupled with all images at once.
semidiscrete = options.compose(
    click.option(
        "--epsilon",
        type=click.FloatRange(min=0),
        metavar="E",
        panel=options.FIT,
        help="Strength of the entropy of couplings that have one. [default: the method's]",
    ),
    click.option(
        "--cost-dim",
        type=click.IntRange(min=1),
        metavar="K",
        panel=options.FIT,
        help="Of coupling semidiscrete: principal components that its costs are taken on. "
        "[default: all coordinates]",
    ),
    click.option(
        "--semidiscrete-steps",
        type=click.IntRange(min=1),
        metavar="N",
        panel=options.FIT,
        help="Of coupling semidiscrete: steps that its potentials are found in at most. "
        "[default: 20000]",
    ),
)
#: How a second flow guides a first.
guidance = options.compose(
    click.option(
        "--weak",
        type=options.PATH,
        metavar="FLOW",
        panel=options.RUN,
        help="Lead away from this flow: one without classes, or a worse one.",
    ),
    click.option(
        "--guidance",
        type=float,
        metavar="GAMMA",
        panel=options.RUN,
        help="Strength of that; 1 is none. [default: 2]",
    ),
    click.option(
        "--trajectories",
        "n_trajectories",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        panel=options.RUN,
        help="Draw each image from so many by weights that correct the law of guided images.",
    ),
)

#: What is kept and shown of a training, and by how many processes it is done.
training = options.compose(
    options.checkpoint,
    click.option(
        "--pictures",
        type=options.PATH,
        metavar="FOLDER",
        panel=options.RUN,
        help="Write grids of images to this folder on the way.",
    ),
    click.option(
        "--pictures-every",
        type=click.IntRange(min=1),
        default=1000,
        show_default=True,
        metavar="STEPS",
        panel=options.RUN,
        help="Steps between two of them.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        panel=options.RUN,
        help="Processes that train together, each on a GPU of its own where there are some; pairs "
        "are coupled over the whole batch.",
    ),
)


def steps_between(flow: Flow, solving: dict[str, Any], intervals: int) -> int | None:
    """Steps from one frame to the next, so that they are as many in all as asked for.

    Average velocities go to each frame from the start, so all of the steps are for each.
    """
    from cellflow.integrate import FIXED_STEP

    solver = solving["solver"] or ("average" if flow.is_mean_flow else "dopri5")
    # Without an effect on adaptive ones, which is refused where steps are named.
    if solver == "average" or solver not in FIXED_STEP:
        return solving["n_steps"]
    return max(1, (solving["n_steps"] or 100) // intervals)


def read(source: str, split: str, size: int | None = None, label: str | None = None) -> ImageSet:
    """The images that the options name, of one class where one is named."""
    from cellflow import images

    found = images.read(source, split=split, size=size)  # type: ignore[arg-type]
    return found if label is None else found.of_class(label)


def sets(given: dict[str, Any]) -> tuple[ImageSet, ImageSet | None]:
    """Target and source, taking what names them out of the settings."""
    name, split, size, label, source, source_class = (
        given.pop(key) for key in ("data", "split", "size", "label", "source", "source_class")
    )
    data = read(name, split, size, label)
    if source is None and source_class is None:
        return data, None
    return data, read(source or name, split, size, source_class)


def check_figure(path: Path | None, *, force: bool) -> None:
    """Refuse a figure that could not be written in the end."""
    from cellflow.cli.outputs import FIGURES

    if path is not None:
        check_output(path, FIGURES, force=force)


def check_output(path: Path, endings: Iterable[str], *, force: bool) -> None:
    """Refuse an output that could not be written in the end."""
    from cellflow._checks import check_choice
    from cellflow._files import check_file_target

    check_choice(path.suffix, tuple(endings), "ending of the output")
    check_file_target(path, overwrite=force)


def load_weak(given: dict[str, Any], flow: Flow, show: str) -> None:
    """Put the flow in the place of the folder of `--weak`, where it can guide."""
    if show == "interpolation":
        weak, gamma, trajectories = (
            given.pop(name) for name in ("weak", "guidance", "n_trajectories")
        )
        if weak is not None or gamma is not None or trajectories > 1:
            raise click.UsageError("--weak guides samples and paths, not --show interpolation")
    elif given["weak"] is not None:
        given["weak"] = type(flow).load(given["weak"], device=flow.device)


def _weights(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """One number or two of `2` or `2:0.5`."""
    if value is None:
        return None
    try:
        weights = tuple(float(each) for each in value.split(":"))
    except ValueError:
        weights = ()
    if len(weights) not in (1, 2):
        raise click.BadParameter(f"{value!r} is none of the form 2 or 2:0.5.")
    return weights


by_discriminator = options.compose(
    click.option(
        "--discriminator",
        type=options.PATH,
        metavar="FOLDER",
        panel=options.RUN,
        help="Lead samples to where they look real to this discriminator (cellflow image "
        "discriminate), with solver edm-heun.",
    ),
    click.option(
        "--discriminator-weight",
        metavar="W[:W2]",
        callback=_weights,
        panel=options.RUN,
        help="How much, where a step begins, and where it ends. [default: 2, and 1 where classes "
        "are known]",
    ),
    click.option(
        "--boost/--no-boost",
        default=None,
        panel=options.RUN,
        help="Lead samples that do not look real more. [default: where classes are known]",
    ),
)


def guided(given: dict[str, Any], device: Any) -> dict[str, Any]:
    """Options of `images.sample`, taking those of the command line out of the settings."""
    from cellflow import images

    path, weights, boost = (
        given.pop(name) for name in ("discriminator", "discriminator_weight", "boost")
    )
    if path is None and weights is None and boost is None:
        return {}
    weight = weights[0] if weights is not None and len(weights) == 1 else weights
    return {
        "discriminator": None if path is None else images.Discriminator.load(path, device=device),
        "discriminator_weight": weight,
        "boost": boost,
    }
