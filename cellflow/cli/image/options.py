"""Options shared by the commands over images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import SOLVERS

if TYPE_CHECKING:
    from cellflow.flow import Flow
    from cellflow.images import ImageSet, Pictures
    from cellflow.images.guidance import Guidance


data = functools.partial(
    click.option, "--data", metavar="IMAGES", required=True, panel=options.DATA
)
split = click.option(
    "--split",
    type=click.Choice(["auto", "train", "test", "all"]),
    default="auto",
    show_default=True,
    panel=options.DATA,
    help="Split of the images; auto takes training images if there is a split, else all.",
)
size = click.option(
    "--size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    panel=options.DATA,
    help="Scale and crop to this height and width. [default: unchanged]",
)
solver = click.option(
    "--solver",
    type=click.Choice(list(SOLVERS)),
    panel=options.RUN,
    help="Solver of the flow; " + options.describe_choices(SOLVERS) + ". [default: dopri5; average "
    "for mean flows; edm-heun with --discriminator]",
)
n_steps = click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    metavar="N",
    panel=options.RUN,
    help="Steps of a solver with fixed steps. [default: 100; 18 of edm-heun; 1 of average]",
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
    help="Of edm-heun: density of its steps at low noise; published are 18 steps with 7, and 14 "
    "with 90 for method aot.",
)
batch_size = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    panel=options.RUN,
    help="Images integrated at once.",
)

#: Coupling of noise with all images.
semidiscrete = options.compose(
    click.option(
        "--epsilon",
        type=click.FloatRange(min=0),
        metavar="E",
        panel=options.FIT,
        help="Entropic regularisation of couplings that have it. [default: the method's]",
    ),
    click.option(
        "--cost-dim",
        type=click.IntRange(min=1),
        metavar="K",
        panel=options.FIT,
        help="Of coupling semidiscrete: number of principal components for its costs. [default: "
        "all coordinates]",
    ),
    click.option(
        "--semidiscrete-steps",
        type=click.IntRange(min=1),
        metavar="N",
        panel=options.FIT,
        help="Of coupling semidiscrete: largest number of steps of its potentials. [default: "
        "20000]",
    ),
)
#: Autoguidance by a weaker flow.
autoguidance = options.compose(
    click.option(
        "--weak",
        type=options.PATH,
        metavar="FLOW",
        panel=options.RUN,
        help="Autoguidance: lead away from this flow, one without classes, or a worse one.",
    ),
    click.option(
        "--gamma",
        type=float,
        metavar="GAMMA",
        panel=options.RUN,
        help="Strength of autoguidance; 1 has no effect. [default: 2]",
    ),
    click.option(
        "--trajectories",
        "n_trajectories",
        type=click.IntRange(min=1),
        metavar="N",
        panel=options.RUN,
        help="Draw each image from so many trajectories, by weights that correct the law of guided "
        "images. [default: 1]",
    ),
)

#: Checkpoint, pictures and processes of a training.
training = options.compose(
    options.checkpoint,
    click.option(
        "--pictures",
        type=options.PATH,
        metavar="FOLDER",
        panel=options.RUN,
        help="Write grids of generated images to this folder during the training.",
    ),
    click.option(
        "--pictures-every",
        type=click.IntRange(min=1),
        default=1000,
        show_default=True,
        metavar="STEPS",
        panel=options.RUN,
        help="Steps between two pictures.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        panel=options.RUN,
        help="Processes of one training, each on a GPU of its own if there are any; pairs are "
        "coupled over the whole batch.",
    ),
)


def steps_between(flow: Flow, solving: dict[str, Any], intervals: int) -> int | None:
    """Return the steps between two frames, so that all of them add up to the steps requested.

    Average velocities reach each frame from the start, with all steps.
    """
    from cellflow.integrate import FIXED_STEP

    solver = solving["solver"] or ("average" if flow.is_mean_flow else "dopri5")
    # A number of steps for an adaptive solver raises an error later.
    if solver == "average" or solver not in FIXED_STEP:
        return solving["n_steps"]
    return max(1, (solving["n_steps"] or 100) // intervals)


def read_split(source: str, split: str, size: int | None, label: str | None) -> ImageSet:
    """Read a split of images, of one class if given."""
    from cellflow import images

    found = images.read(source, split=split, size=size)  # type: ignore[arg-type]
    return found if label is None else found.of_class(label)


def read_data(given: dict[str, Any]) -> ImageSet:
    """Read the images of `--data`, taking its options out of the settings."""
    source, split, size = (given.pop(name) for name in ("data", "split", "size"))
    return read_split(source, split, size, given.pop("label", None))


def read_ends(given: dict[str, Any]) -> tuple[ImageSet, ImageSet | None]:
    """Read target and source images, taking their options out of the settings."""
    source, label = given.pop("source"), given.pop("source_class")
    options_of_source = given["split"], given["size"], label
    name = source or given["data"]
    data = read_data(given)
    if source is None and label is None:
        return data, None
    return data, read_split(name, *options_of_source)


def check_figure(path: Path | None, *, force: bool) -> None:
    """Raise an error if the figure cannot be written; call it before long work."""
    from cellflow.cli.outputs import FIGURES, check_file

    if path is not None:
        check_file(path, FIGURES, "figures", force=force)


def _weights(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> float | tuple[float, ...] | None:
    """Parse `2` or `2:0.5`."""
    if value is None:
        return None
    try:
        weights = tuple(float(each) for each in value.split(":"))
    except ValueError:
        weights = ()
    if len(weights) not in (1, 2):
        raise click.BadParameter(f"{value!r} is not of the form 2 or 2:0.5.")
    return weights if len(weights) == 2 else weights[0]


#: Guidance by a discriminator.
discriminator_guidance = options.compose(
    click.option(
        "--discriminator",
        type=options.PATH,
        metavar="FOLDER",
        panel=options.RUN,
        help="Discriminator guidance: lead samples to where this discriminator (cellflow image "
        "train-discriminator) finds them real, with solver edm-heun.",
    ),
    click.option(
        "--discriminator-weight",
        metavar="W[:W2]",
        callback=_weights,
        panel=options.RUN,
        help="Weight of the guidance where a step begins, and where it ends. [default: 2; 1 with "
        "classes]",
    ),
    click.option(
        "--boost/--no-boost",
        default=None,
        panel=options.RUN,
        help="Guide samples that look generated more strongly. [default: with classes only]",
    ),
)


def load_guidance(given: dict[str, Any], device: Any) -> Guidance | None:
    """Make the guidance for `images.sample`, taking its options out of the settings."""
    from cellflow import Flow, images

    weak, gamma, n_trajectories = (
        given.pop(name, None) for name in ("weak", "gamma", "n_trajectories")
    )
    discriminator, weight, boost = (
        given.pop(name) for name in ("discriminator", "discriminator_weight", "boost")
    )
    if weak is not None and discriminator is not None:
        raise click.UsageError("give --weak or --discriminator, not both")
    if weak is None and (gamma is not None or n_trajectories is not None):
        raise click.UsageError("--gamma and --trajectories need --weak FLOW")
    if discriminator is None and (weight is not None or boost is not None):
        raise click.UsageError("--discriminator-weight and --boost need --discriminator FOLDER")
    if weak is not None:
        strength = {"gamma": gamma, "n_trajectories": n_trajectories}
        chosen = {name: value for name, value in strength.items() if value is not None}
        return images.Autoguidance(Flow.load(weak, device=device), **chosen)
    if discriminator is not None:
        loaded = images.Discriminator.load(discriminator, device=device)
        return images.DiscriminatorGuidance(loaded, weight, boost)
    return None


def resolve_method(
    given: dict[str, Any], data: ImageSet, *, in_latents: bool, names: Sequence[str]
) -> Any:
    """Return the method of the options: by name, or with the settings in `names` that are given."""
    from cellflow.images.settings import config_for, method_for

    values = {name: given.pop(name) for name in names}
    changes = {name: value for name, value in values.items() if value is not None}
    if not changes:
        return given.pop("method")
    config = config_for(data, given["config"], in_latents=in_latents)
    return method_for(config, given.pop("method"), **changes)


def make_pictures(given: dict[str, Any]) -> Pictures | None:
    """Return the pictures of a training, taking their options out of the settings."""
    from cellflow.images import Pictures

    folder, every = given.pop("pictures"), given.pop("pictures_every")
    return None if folder is None else Pictures(folder, every)


def check_folders(output: Path, given: dict[str, Any]) -> None:
    """Raise an error if folders of other results cannot be where the options name them."""
    from cellflow._files import check_distinct, check_place

    for name in ("pictures", "potentials", "cache"):
        if given.get(name) is not None:
            check_place(Path(given[name]), name)
            check_distinct(output, Path(given[name]), name)


def check_training(given: dict[str, Any]) -> None:
    """Check device, parts, config and prior of a training; call it before images are read."""
    from cellflow import Flow
    from cellflow._checks import check_choice
    from cellflow.images.settings import config_of
    from cellflow.methods.parts import COUPLINGS, OBJECTIVES, PATHS
    from cellflow.training import resolve_device

    resolve_device(given["device"])
    parts = {"coupling": [*COUPLINGS], "path": [*PATHS], "objective": [*OBJECTIVES]}
    for name, known in parts.items():
        if given.get(name) is not None:
            check_choice(given[name], known, name)
    if given["config"] is not None:
        config_of(given["config"], (1, 1, 1))
    if given.get("prior") is not None:
        Flow.load(given["prior"])


def check_solving(flow: Flow, given: dict[str, Any]) -> None:
    """Check the solver of a flow and its steps; call it before images are read."""
    from cellflow.images.samples import resolve_solver

    flow.check_solver(resolve_solver(flow, given["solver"], given["n_steps"])["solver"], (0.0, 1.0))
