"""`cellflow interpolate`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import cell_options, options


@click.command(panel=options.FOLLOW)
@options.course
@options.flow
@click.option(
    "--time",
    metavar="TIME",
    required=True,
    panel=options.DATA,
    help="Time to predict: a number in the unit of the time course, or a label such as 'day 3'.",
)
@options.output(metavar="CELLS", help=f"File for the predicted cells; {options.CELLS}.")
@options.start
@options.time_key
@options.force
@cell_options.extras
@options.seed
@options.device
@options.run_options
def interpolate(
    file: Path,
    flow_path: Path,
    time: str,
    output: Path,
    start: str,
    time_key: str | None,
    force: bool,
    seed: int,
    device: str,
    obs_keys: tuple[str, ...],
    basis: str | None,
) -> None:
    """Predict the cells at any time between the time points of FILE.

    Measured cells of the neighbouring time points are moved along the flow. The result has the
    predicted cells in obsm X_cellflow, their weights in obs, and decoded expression in X if the
    representation was made from genes.
    """
    from cellflow import Flow, tl
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_cells
    from cellflow.io import open_cells, write_h5ad
    from cellflow.representation import columns_of
    from cellflow.training import resolve_device

    check_cells(output, force=force, inputs=[file, flow_path])
    flow = Flow.load(flow_path, device=resolve_device(device))
    adata = open_cells(file, [*columns_of(flow, time_key), *obs_keys])
    predicted = tl.interpolate(
        adata,
        flow,
        time,
        time_key=time_key,
        start=start,
        obs_keys=obs_keys,
        basis=basis,
        rng=seed,
    )
    write_h5ad(predicted, output, overwrite=force)
    log_info(f"wrote {output}: {predicted.n_obs} cells at time {time}")
