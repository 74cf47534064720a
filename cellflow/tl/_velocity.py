"""The verb `tl.velocity`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import VELOCITY, record
from cellflow.flow import Flow
from cellflow.representation import Representation, from_context, write_slots
from cellflow.tl._projection import projected
from cellflow.tl._provenance import made_by
from cellflow.tl._snapshots import Snapshots, representation_key


def velocity(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    basis: str | Sequence[str] = (),
    genes: bool = False,
    n_neighbors: int = 30,
    key_added: str = VELOCITY,
    copy: bool = False,
) -> AnnData | None:
    """Write the velocity of each cell at its own time, and its arrows on plots.

    Velocities are per unit of elapsed time of the course (a day, an hour): the flow's own, which
    are per unit of its clock, times the derivative of the clock. Where two intervals meet, it is
    the velocity of the flow at that time, and the derivative is the mean of both sides.

    Parameters
    ----------
    adata
        The time course.
    flow
        The fitted flow.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    basis
        Names of plots, one or several, such as `umap` or `X_umap`; their first two dimensions are
        used. None are needed for the representation of the flow itself.
    genes
        Decode velocities to genes; needs a representation made of genes.
    n_neighbors
        Neighbours of a cell that its arrow on a plot is made of.
    key_added
        Prefix of the `obsm` keys, and name of the layer.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obsm["velocity_<representation>"]`
        Velocity in the flow's representation, float32, in units of its points per unit of elapsed
        time: `velocity_cellflow` for `X_cellflow`, which is written too where it is missing.
    `obsm["velocity_<basis>"]`
        Arrows on each basis, shape (n, 2), float32.
    `layers["velocity"]`, `layers["velocity_expression"]`, `var["velocity_genes"]`
        With `genes`: velocity and decoded expression of each gene, float32, on the scale that the
        representation works on, NaN for genes outside it; and which genes are inside.
    `uns["cellflow"]["velocity"]`
        `flow_id`, `time_key`, `unit`, and how each basis was reached.

    Raises
    ------
    InputError
        For cells outside the times of the flow, a basis that is not there, or genes where the
        representation has no way back to them.

    Notes
    -----
    A basis that is an affine map of the representation (principal components of it, found by
    least squares) gets the exact image of the velocity, in units of the basis per unit of elapsed
    time. On any other one an arrow is the mean of the unit displacements to the neighbours of the
    cell, weighed by exp(10 cos) of the angle between velocity and displacement in the
    representation, less their plain mean (La Manno et al. 2018, Nature 560:494; Bergen et al. 2020,
    Nat. Biotechnol. 38:1408): such an arrow has a direction and says how far the neighbours agree,
    and no unit.

    scVelo draws `velocity_<basis>`. CellRank's `VelocityKernel` reads `attr="obsm"`,
    `xkey="X_cellflow"`, `vkey="velocity_cellflow"`; or, with `genes`,
    `xkey="velocity_expression"`, `vkey="velocity"`.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.velocity(adata, flow, genes=True)
    >>> adata.obsm["velocity_cellflow"].shape, adata.layers["velocity"].shape
    ((2434, 3), (2434, 41))
    """
    representation = from_context(flow.context)
    names = [_named(each) for each in ([basis] if isinstance(basis, str) else basis)]
    for name in names:
        check_choice(f"X_{name}", adata.obsm, "basis")
    if genes and representation.linear is None:
        raise InputError(
            "the representation of this flow has no way back to genes; fit in that of pp.embed"
        )
    course = Snapshots.of(adata, flow, time_key)
    key = representation_key(flow)
    adata = adata.copy() if copy else adata
    if key not in adata.obsm:
        write_slots(adata, representation, key)
    points, speed = course.cells.x.double().cpu().numpy(), course.velocity()
    adata.obsm[f"{key_added}_{_named(key)}"] = speed.astype(np.float32)
    ways = {}
    for name in names:
        if name == _named(key):
            continue
        coordinates = np.asarray(adata.obsm[f"X_{name}"], dtype=np.float64)[:, :2]
        arrows, ways[name] = projected(points, speed, coordinates, n_neighbors)
        adata.obsm[f"{key_added}_{name}"] = arrows.astype(np.float32)
    if genes:
        _write_genes(adata, representation, points, speed, key_added)
    entry = {
        **made_by(flow),
        "time_key": time_key or flow.time_key,
        "unit": course.points.unit,
        "bases": ways,
    }
    record(adata.uns, key_added, entry)
    return adata if copy else None


def decoded_velocity(representation: Representation, speed: np.ndarray) -> np.ndarray:
    """Velocity of each gene of the representation, shape (n, g), of velocities of points."""
    linear = representation.linear
    assert linear is not None
    return (speed * representation.spread) @ linear.loadings.T * linear.scale


def _named(basis: str) -> str:
    return basis.removeprefix("X_")


def _write_genes(
    adata: AnnData,
    representation: Representation,
    points: np.ndarray,
    speed: np.ndarray,
    key: str,
) -> None:
    expression = representation.decode(points)
    assert representation.linear is not None
    assert expression is not None
    columns = adata.var_names.get_indexer(list(representation.linear.genes))
    values = {
        key: decoded_velocity(representation, speed),
        f"{key}_expression": expression,
    }
    for name, value in values.items():
        layer = np.full(adata.shape, np.nan, dtype=np.float32)
        layer[:, columns[columns >= 0]] = value[:, columns >= 0]
        adata.layers[name] = layer
    adata.var[f"{key}_genes"] = np.isin(np.arange(adata.n_vars), columns)
