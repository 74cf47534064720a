"""`cellflow fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow.cli import options
from cellflow.methods.names import TIME_AXES


@click.command()
@options.course
@options.output(metavar="FLOW", help="Folder that the fitted flow goes to.")
@options.time_key
@options.force
@options.space
@options.fit_options
@options.prior
@options.time_axis(
    default="learned",
    show_default=True,
    help="How time runs; " + options.explained(TIME_AXES) + ".",
)
@options.seed
@options.device
@options.checkpoint(every=500)
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
    **settings: Any,
) -> None:
    """Fit a flow to the time course in FILE.

    The flow lives in the representation that cellflow embed made; where FILE has none, or one is
    asked for by the options, it is made on the way. FILE itself is left as it is.
    """
    from cellflow import Flow, pp, tl
    from cellflow._log import tell
    from cellflow.flow import check_flow_target
    from cellflow.io import read_h5ad
    from cellflow.representation import Settings

    check_flow_target(output, overwrite=force)
    options.check_checkpoint(settings, force=force)
    adata = read_h5ad(file)
    asked = Settings(layer=layer, kind=kind, n_dims=n_dims, whiten=whiten)
    if asked != Settings():
        pp.embed(adata, use_rep=use_rep, layer=layer, kind=kind, n_dims=n_dims, whiten=whiten)
        use_rep = None
    flow = tl.fit(
        adata,
        use_rep=use_rep,
        prior=None if prior is None else Flow.load(prior),
        rng=seed,
        progress=progress,
        **settings,
    )
    flow.save(output, overwrite=force)
    tell(f"wrote {output}")
