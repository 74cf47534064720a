"""The verb `tl.velocity`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import VELOCITY, write_record
from cellflow.flow import Flow
from cellflow.representation import Representation, from_context, write_slots
from cellflow.representation.expression import coordinates
from cellflow.tl._projection import projected
from cellflow.tl._snapshots import Snapshots, representation_key


def velocity(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    basis: str | Sequence[str] = (),
    decode: bool = False,
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
    decode
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
        With `decode`: velocity and decoded expression of each gene, float32, on the scale that the
        representation works on, NaN for genes outside it; and which genes are inside.
    `uns["cellflow"]["velocity"]`
        `flow_id`, `time_key`, `unit`, and how each basis was reached.

    Raises
    ------
    InputError
        For cells outside the times of the flow, a basis that is not there, points of another
        representation under the key of the flow's, or genes where there is no way back to them.

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
    `xkey="X_cellflow"`, `vkey="velocity_cellflow"`; or, with `decode`,
    `xkey="velocity_expression"`, `vkey="velocity"`.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.velocity(adata, flow, decode=True)
    >>> adata.obsm["velocity_cellflow"].shape, adata.layers["velocity"].shape
    ((2434, 3), (2434, 41))
    """
    representation, key = from_context(flow.context), representation_key(flow)
    given = [basis] if isinstance(basis, str) else basis
    names = [name for name in map(_named, given) if name != _named(key)]
    for name in names:
        check_choice(f"X_{name}", adata.obsm, "basis")
    if decode:
        representation.to_genes()
    course = Snapshots.of(adata, flow, time_key)
    points, speed = course.cells.x.double().cpu().numpy(), course.velocity()
    if key in adata.obsm:
        _check_slot(coordinates(adata, key), points, key)
    arrows, ways = {_named(key): speed}, {}
    for name in names:
        plot = coordinates(adata, f"X_{name}")[:, :2].astype(np.float64)
        arrows[name], ways[name] = projected(points, speed, plot, n_neighbors)
    adata = adata.copy() if copy else adata
    if key not in adata.obsm:
        write_slots(adata, representation, key)
    for name, values in arrows.items():
        adata.obsm[f"{key_added}_{name}"] = values.astype(np.float32)
    if decode:
        _write_genes(adata, representation, points, speed, key_added)
    write_record(adata.uns, key_added, {**course.source(), "bases": ways})
    return adata if copy else None


def _named(basis: str) -> str:
    return basis.removeprefix("X_")


def _check_slot(there: np.ndarray, points: np.ndarray, key: str) -> None:
    """Refuse points other than those that the velocities are at."""
    if there.shape != points.shape or not np.allclose(there, points, 1e-3, 1e-3 * points.std()):
        raise InputError(
            f"obsm[{key!r}] is another representation than that of the flow, so velocities do not "
            "belong to it; remove it, or embed as for the flow"
        )


def _write_genes(
    adata: AnnData,
    representation: Representation,
    points: np.ndarray,
    speed: np.ndarray,
    key: str,
) -> None:
    columns = adata.var_names.get_indexer(list(representation.to_genes().genes))
    values = {
        key: representation.decode_velocity(speed),
        f"{key}_expression": representation.decode(points),
    }
    for name, value in values.items():
        layer = np.full(adata.shape, np.nan, dtype=np.float32)
        layer[:, columns[columns >= 0]] = value[:, columns >= 0]
        adata.layers[name] = layer
    adata.var[f"{key}_genes"] = np.isin(np.arange(adata.n_vars), columns)
