"""The verb `tl.fit`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._keys import FIT, record
from cellflow._random import RNG, seed_of
from cellflow.flow import Flow
from cellflow.io import populations, time_key_of, time_points_of
from cellflow.marginals import TimeAxis
from cellflow.methods.names import COUPLINGS
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.representation import current_representation, to_context
from cellflow.training import fit_flow, resolve_device


def fit(
    adata: AnnData,
    *,
    time_key: str | None = None,
    use_rep: str | None = None,
    coupling: str = "ot",
    recipe: str | Recipe = "default",
    time_axis: str = "real",
    rng: RNG = 0,
    device: str = "auto",
    progress: bool = True,
    key_added: str = FIT,
) -> Flow:
    """Fit a flow to a time course: conditional flow matching between consecutive times.

    Parameters
    ----------
    adata
        Cells of two or more times.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    use_rep
        `obsm` key to fit in. None takes `X_cellflow`, and makes it with the defaults of
        `pp.embed` where it is missing.
    coupling
        How cells of consecutive times are paired: `ot` (OT-CFM) or `independent` (I-CFM).
    recipe
        Every number of the fit: `default`, `torchcfm`, or a `Recipe` (`cellflow.recipe`).
    time_axis
        `real` keeps the proportions of elapsed time; `index` counts time points.
    rng
        Seed, or a numpy generator that one is drawn from. Same seed, same flow on one device.
    device
        `auto`, `cpu`, `cuda`, `cuda:1`, ...
    progress
        Show a progress bar on stderr.
    key_added
        Name of the record in `uns`.

    Returns
    -------
    The flow, which keeps its map between genes and representation. Written is:

    `uns["cellflow"][key_added]`
        Settings, versions, the loss curve (`step`, `loss`), and the `flow_id` of the flow.

    Raises
    ------
    InputError
        For missing keys, times or values that cannot be used, or an unknown name.

    References
    ----------
    Tong et al. 2024, arXiv 2302.00482, algorithms 3 and 4.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> flow.dim
    3
    """
    check_choice(coupling, COUPLINGS, "coupling")
    recipe = recipe_of(recipe)
    target = resolve_device(device)
    time_key = time_key_of(adata, time_key)
    points = time_points_of(adata, time_key)
    representation = current_representation(adata, use_rep)
    axis = TimeAxis(time_axis, points.times)
    flow = fit_flow(
        populations(representation.transform(adata), points.elapsed, points.times, axis),
        axis,
        coupling=coupling,
        recipe=recipe,
        seed=seed_of(rng),
        device=target,
        progress=progress,
    )
    flow = replace(flow, context=to_context(representation, time_key))
    entry = {
        **flow.settings,
        "time_axis": time_axis,
        "flow_id": flow.fingerprint,
        "time_key": time_key,
        "times": np.array(points.times),
        "history": {name: np.array(values) for name, values in flow.history.items()},
    }
    record(adata.uns, key_added, entry)
    return flow
