"""The verb `tl.velocity`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, VELOCITY, write_record
from cellflow._log import progress_bar
from cellflow._neighbours import NearestCells
from cellflow.flow import Flow
from cellflow.representation import Representation, fit_affine, write_slots
from cellflow.representation.expression import read_embedding
from cellflow.tl._time_course import TimeCourse

#: How much the angle to a neighbour counts.
_SCALE = 10.0

#: Cells that are compared or decoded at a time.
_CHUNK = 8_192


def velocity(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    basis: str | Sequence[str] = (),
    decode: bool = False,
    n_neighbors: int = 30,
    n_smooth: int = 30,
    key_added: str = VELOCITY,
    copy: bool = False,
) -> AnnData | None:
    """Compute the velocity of each cell at its own time, and its arrows on plots.

    Velocities are per unit of elapsed time of the course (a day, an hour): the velocity of the
    flow, which is per unit of flow time, times the clock rate. At a time point between two
    intervals the clock rate is the mean of both.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course.
    flow
        The fitted flow.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    basis
        Name or names of plots, such as `umap` or `X_umap`, of which the first two dimensions are
        used. Not needed for the representation of the flow itself.
    decode
        Decode velocities to genes; requires a representation made of genes.
    n_neighbors
        Number of neighbours that the arrow of a cell on a plot is computed from.
    n_smooth
        Number of nearest cells of the same time, and the same label if the flow was fitted within
        labels, that a velocity is averaged over, the cell included; all if there are fewer. 1 keeps
        the velocity of the flow at the cell alone, which carries the noise of its counts. Here and
        on plots, neighbours are searched exactly, among 20,000 cells where there are more.
    key_added
        Prefix of the `obsm` keys, and name of the layer.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obsm["velocity_<representation>"]`
        Velocity in the representation of the flow, float32, in units of its points per unit of
        elapsed time: `velocity_cellflow` for `X_cellflow`, which is written too if it is missing.
    `obsm["velocity_<basis>"]`
        Arrows on each basis, shape (n, 2), float32.
    `layers["velocity"]`, `layers["velocity_expression"]`, `var["velocity_genes"]`
        With `decode`: velocity and decoded expression of each gene, float32, on the scale of the
        representation, NaN for genes outside it; and a mask of the genes inside it.
    `uns["cellflow"]["velocity"]`
        `bases` (`linear` or `neighbours` for each), `n_smooth`, and the provenance: `flow_id`,
        `data`, `seed`, `device`, `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        For cells outside the times of the flow, an unknown basis, points of another representation
        in the slot of the flow's, or genes if the representation has no map back to them.

    Notes
    -----
    Averages over 30 cells raised the cosine with the true velocity from 0.42 to 0.59 on five
    simulated courses (`docs/benchmarks/trust.md`), where the shift of the population's mean has
    0.56.
    Instantaneous changes are faster than averages over an interval: true velocities were 1.5 times
    as long.

    A basis that is an affine map of the representation (such as its principal components, found by
    least squares) gets the exact image of the velocity, in units of the basis per unit of elapsed
    time. On any other basis an arrow is the mean of the unit displacements to the neighbours of the
    cell, weighted by exp(10 cos) of the angle between velocity and displacement in the
    representation, minus their unweighted mean (La Manno et al. 2018, Nature 560:494; Bergen et al.
    2020, Nat. Biotechnol. 38:1408). Such an arrow has a direction, and its length shows how far the
    neighbours agree; it has no unit.

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
    check_positive(n_smooth, "n_smooth")
    course = TimeCourse.read(adata, flow, time_key)
    representation = course.representation
    key = str(flow.inputs.use_rep or REPRESENTATION)
    given = [basis] if isinstance(basis, str) else basis
    names = [name for name in map(_basis_name, given) if name != _basis_name(key)]
    for name in names:
        check_choice(f"X_{name}", adata.obsm, "basis")
    if decode:
        representation.require_linear()
    points = course.cells.x.cpu().numpy()
    if key in adata.obsm:
        _check_slot(read_embedding(adata, key), points, key)
    plots = [_Plot.of(adata, name, points, n_neighbors) for name in names]
    velocity = _average(course, points, n_smooth)
    arrows, projections = {_basis_name(key): velocity}, {}
    for name, plot in zip(names, plots, strict=True):
        arrows[name] = plot.project(points, velocity, n_neighbors)
        projections[name] = "neighbours" if plot.image is None else "linear"
    adata = adata.copy() if copy else adata
    if key not in adata.obsm:
        write_slots(adata, representation, key)
    for name, values in arrows.items():
        adata.obsm[f"{key_added}_{name}"] = values.astype(np.float32, copy=False)
    if decode:
        _write_genes(adata, representation, points, velocity, key_added)
    write_record(
        adata.uns, key_added, {**course.provenance(), "bases": projections, "n_smooth": n_smooth}
    )
    return adata if copy else None


def _average(course: TimeCourse, points: np.ndarray, n_smooth: int) -> np.ndarray:
    """Return velocities, averaged over the nearest cells of the same time and label."""
    if n_smooth == 1:
        return course.velocity()
    found = np.empty_like(points)
    with progress_bar(len(points), "velocity", "cell") as bar:
        for time in np.unique(course.elapsed):
            rows = course.rows_at(time)
            velocity = course.velocity(rows)
            for block, _ in course.label_blocks(rows, rows):
                others = NearestCells.among(points[rows[block]])
                own, moved = np.arange(len(block)), velocity[block]
                for part, _, near in others.find(points[rows[block]], n_smooth - 1, own=own):
                    total = moved[near].sum(axis=1) + moved[part]
                    found[rows[block[part]]] = total / (near.shape[1] + 1)
                    bar.update(len(near))
    return found


def _basis_name(basis: str) -> str:
    return basis.removeprefix("X_")


def _check_slot(there: np.ndarray, points: np.ndarray, key: str) -> None:
    """Check that the stored points are those that the velocities are at."""
    close = there.shape == points.shape
    spread = 1e-3 * points.std()
    for start in range(0, len(points) if close else 0, _CHUNK):
        part = slice(start, start + _CHUNK)
        close = close and np.allclose(there[part], points[part], 1e-3, spread)
    if not close:
        raise InputError(
            f"obsm[{key!r}] is another representation than that of the flow, so velocities do not "
            "belong to it; remove it, or embed as for the flow"
        )


def _write_genes(
    adata: AnnData,
    representation: Representation,
    points: np.ndarray,
    velocity: np.ndarray,
    key: str,
) -> None:
    columns = adata.var_names.get_indexer(list(representation.require_linear().genes))
    values = {
        key: (representation.decode_velocity, velocity),
        f"{key}_expression": (representation.decode, points),
    }
    for name, (decode, vectors) in values.items():
        layer = np.full(adata.shape, np.nan, dtype=np.float32)
        for start in range(0, len(layer), _CHUNK):
            part = slice(start, start + _CHUNK)
            decoded = decode(vectors[part].astype(np.float64), columns >= 0)
            layer[part, columns[columns >= 0]] = decoded
        adata.layers[name] = layer
    adata.var[f"{key}_genes"] = np.isin(np.arange(adata.n_vars), columns)


@dataclass(frozen=True)
class _Plot:
    """Coordinates of cells on a plot, shape (n, 2), and the affine map to them, if there is one."""

    basis: np.ndarray
    image: np.ndarray | None

    @classmethod
    def of(cls, adata: AnnData, name: str, points: np.ndarray, n_neighbors: int) -> _Plot:
        """Read a basis; check the number of neighbours that arrows on it are made of."""
        basis = read_embedding(adata, f"X_{name}")[:, :2].astype(np.float64)
        image = fit_affine(points, basis)
        if image is None:
            check_positive(n_neighbors, "n_neighbors")
            if n_neighbors >= len(points):
                raise InputError(
                    f"n_neighbors must be under {len(points)} (all cells), got {n_neighbors}"
                )
        return cls(basis, image)

    def project(self, points: np.ndarray, velocity: np.ndarray, n_neighbors: int) -> np.ndarray:
        """Return the arrows of velocities at points, both of shape (n, d)."""
        if self.image is not None:
            return velocity @ self.image
        return _project_by_neighbours(points, velocity, self.basis, n_neighbors)


def _project_by_neighbours(
    points: np.ndarray, velocity: np.ndarray, basis: np.ndarray, n_neighbors: int
) -> np.ndarray:
    arrows = np.empty_like(basis)
    others = NearestCells.among(points)
    for part, _, near in others.find(points, n_neighbors, own=np.arange(len(points))):
        away = _units(points[near] - points[part, None])
        cosines = (away * _units(velocity[part])[:, None]).sum(axis=2)
        weights = np.exp(_SCALE * (cosines - 1))
        weights /= weights.sum(axis=1, keepdims=True)
        shown = _units(basis[near] - basis[part, None])
        arrows[part] = ((weights - 1 / n_neighbors)[:, :, None] * shown).sum(axis=1)
    return arrows


def _units(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
