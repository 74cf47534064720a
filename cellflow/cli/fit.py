"""`cellflow fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import TIME_AXES


@click.command(panel=options.TRAIN)
@options.course
@options.output(metavar="FLOW", help="Folder for the fitted flow.")
@options.time_key
@options.time_order
@click.option(
    "--leave-out",
    metavar="TIME",
    multiple=True,
    panel=options.DATA,
    callback=lambda *given: given[-1] or None,
    help="Time point to leave out of the fit, by number or label; repeatable.",
)
@options.force
@options.space
@options.fit_options
@options.side_columns
@options.prior
@options.time_axis(
    default="learned",
    show_default=True,
    help="Flow time between time points; " + options.describe_choices(TIME_AXES) + ".",
)
@options.seed
@options.device
@options.checkpoint
@options.run_options
def fit(
    file: Path,
    output: Path,
    force: bool,
    use_rep: str | None,
    n_dims: int | None,
    whiten: bool,
    layer: str | None,
    kind: str,
    prior: Path | None,
    seed: int,
    progress: bool,
    time_order: list[str] | None,
    **settings: Any,
) -> None:
    """Fit a flow to the time course in FILE.

    The flow is fitted in the representation that cellflow embed computed; if FILE has none, or
    the options ask for another, it is computed first. FILE, an .h5ad file or a zarr store, is not
    changed, and only the parts that the fit needs are read.

    torchrun --nproc-per-node N -m cellflow fit ... fits in N processes, each on an equal part of
    every batch; cells are coupled in the whole batch. The first process writes the flow.
    """
    from cellflow import Flow, pp, tl
    from cellflow._log import log_info
    from cellflow.cli.outputs import check_flow
    from cellflow.io import open_cells
    from cellflow.representation import RepresentationSettings
    from cellflow.tl._fit import FitColumns
    from cellflow.training import ProcessGroup, process_group, resolve_device

    check_flow(output, force=force, inputs=[file, prior])
    options.take_checkpoint(settings, output, force=force, inputs=[file, prior])
    resolve_device(settings["device"])
    settings["prior"] = None if prior is None else Flow.load(prior)
    keys = ("time_key", "label_key", "lineage_key", "group_key", "growth_key")
    columns = [settings[name] for name in keys]
    adata = open_cells(file, [*columns, *settings["condition_keys"]])
    options.record_order(adata, settings["time_key"], time_order)
    # Before the embedding, which may take long.
    FitColumns.read(adata, **{name: settings[name] for name in FitColumns.SETTINGS})
    embedding = RepresentationSettings(layer=layer, kind=kind, n_dims=n_dims, whiten=whiten)
    if embedding != RepresentationSettings():
        pp.embed(adata, use_rep=use_rep, layer=layer, kind=kind, n_dims=n_dims, whiten=whiten)
        use_rep = None
    with process_group(settings.pop("device")) as device:
        flow = tl.fit(
            adata,
            use_rep=use_rep,
            rng=seed,
            device=device,
            progress=progress,
            **settings,
        )
        if ProcessGroup.current().is_main:
            flow.save(output, overwrite=force)
    log_info(f"wrote {output}")
