"""`cellflow image data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from cellflow.cli import options
from cellflow.cli.image import options as shared

if TYPE_CHECKING:
    from cellflow.images import ImageSet

#: Number of images in a picture.
_SHOWN = 64


@click.command()
@click.argument("source", metavar="IMAGES")
@shared.split
@shared.size
@click.option(
    "--class",
    "label",
    metavar="NAME",
    panel=options.DATA,
    help="Only the images of this class.",
)
@options.output(
    required=False,
    metavar="FILE",
    help="Write the images as FILE.npz, or the first 64 as a picture FILE.png.",
)
@options.force
@options.run_options
def data(
    source: str, split: str, size: int | None, label: str | None, output: Path | None, force: bool
) -> None:
    """Describe a set of images, and write it as one file or as a picture.

    IMAGES is digits (8 x 8, shipped with scikit-learn), a folder or .zip of images (subfolders are
    classes, unless dataset.json has them, as for StyleGAN and EDM), a .npz (images and labels, or
    arr_0 and arr_1), .npy or .parquet file, or a folder with the files of CIFAR-10, CIFAR-100,
    MNIST or Fashion-MNIST.
    """
    from cellflow import images
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_file
    from cellflow.cli.terminal import print_pairs

    if output is not None:
        check_file(output, (".npz", ".png"), "images", force=force, inputs=[source])
    found = shared.read_split(source, split, size, label)
    print_pairs(source, _describe(found))
    if output is None:
        return
    if output.suffix == ".npz":
        found.save(output, overwrite=force)
    else:
        images.write_png(found.pixels[:_SHOWN], output, overwrite=force)
    log_info(f"wrote {output}")


def _describe(found: ImageSet) -> dict[str, str]:
    import numpy as np

    from cellflow._checks import format_list

    channels, height, width = found.shape
    values = found.pixels.reshape(-1, channels) / 255
    pairs = {
        "images": f"{len(found):,}",
        "size": f"{height} x {width} pixels, {'grey' if channels == 1 else 'RGB'}",
        "mean": ", ".join(f"{value:.4f}" for value in values.mean(axis=0)),
        "std": ", ".join(f"{value:.4f}" for value in values.std(axis=0)),
        "fingerprint": found.fingerprint,
    }
    if found.labels is not None:
        counts = np.bincount(found.labels, minlength=len(found.classes))
        pairs["classes"] = format_list(
            f"{name}: {count:,}" for name, count in zip(found.classes, counts, strict=True)
        )
    return pairs
