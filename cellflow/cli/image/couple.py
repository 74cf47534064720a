"""`cellflow image couple`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@shared.data(help="Images to generate.")
@shared.split
@shared.size
@click.option(
    "--class",
    "label",
    metavar="NAME",
    panel=options.DATA,
    help="Only images of this class.",
)
@options.output(metavar="FOLDER", help="Folder of the potentials and their report.")
@click.option(
    "--force",
    is_flag=True,
    panel=options.DATA,
    help="Fit potentials that are there already again, and replace the report.",
)
@click.option(
    "--conditional",
    is_flag=True,
    panel=options.FIT,
    help="Couple noise with each class separately.",
)
@click.option(
    "--flips/--no-flips",
    default=None,
    panel=options.FIT,
    help="Take the mirror of each image as well. [default: RGB images, not grey ones]",
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
    help="Config of the training, for its units. [default: by the size of the images]",
)
@options.method(help="Method with coupling semidiscrete. [default: sd-fm]")
@shared.semidiscrete
@options.seed
@options.device
@options.run_options
def couple(output: Path, force: bool, progress: bool, **given: Any) -> None:
    """Fit the potentials that couple noise with all images, before a training by method sd-fm.

    cellflow image train --method sd-fm --potentials FOLDER, with the same images and settings, then
    reads them. The table reports how evenly fresh noise is assigned to the images.
    """
    from cellflow import images
    from cellflow._files import check_place
    from cellflow._log import log_info
    from cellflow.cli.outputs import reserve
    from cellflow.images.potentials_report import check_report_target

    check_place(output, "potentials")
    reserve(output)
    if output.is_dir():
        check_report_target(output, overwrite=force)
    shared.check_training(given)
    data = shared.read_data(given)
    latents, reduced = given.pop("latents"), given["cost_dim"] is not None
    encoder = None if latents is None else images.PCAEncoder.fit(data, latents)
    given["method"] = given["method"] or "sd-fm"
    names = ("epsilon", "cost_dim", "semidiscrete_steps")
    given["method"] = shared.resolve_method(
        given, data, in_latents=latents is not None, names=names
    )
    table = images.couple(
        data,
        folder=output,
        encoder=encoder,
        rng=given.pop("seed"),
        overwrite=force,
        progress=progress,
        **given,
    )
    if progress:
        _print(table, reduced=reduced)
        log_info(f"wrote {output}")


def _print(table: pd.DataFrame, *, reduced: bool) -> None:
    from cellflow.cli.terminal import print_table

    headings = ("of", "images", "dims", "steps", "chi-squared")
    shares = ("entropy (chance)", "never hit (chance)", "seconds")
    rows = [
        (
            str(row["class"]),
            f"{row['atoms']:,}",
            str(row["dims"]) if reduced else "",
            f"{row['steps']:,}" if row["new"] else f"{row['steps']:,} (read)",
            f"{row['chi_squared']:.4f}",
            f"{row['entropy']:.4f} ({row['entropy_by_chance']:.4f})",
            f"{row['never_hit']:.2%} ({row['never_hit_by_chance']:.2%})",
            f"{row['seconds']:.1f}",
        )
        for row in table.to_dict("records")
    ]
    below = table["threshold"].iloc[0]
    title = f"assignment of fresh noise to images; chi-squared should be below {below:g}"
    print_table(title, (*headings, *shares), rows)
