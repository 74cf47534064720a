"""The verb `tl.pseudotime`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from cellflow._batch import Batch
from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._keys import PATH_LENGTH, PSEUDOTIME, write_record
from cellflow._log import progress_bar
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.flow.reach import explain_divergence
from cellflow.integrate import count_steps, solve_augmented
from cellflow.representation import cells_of
from cellflow.tl._prediction import predict_populations
from cellflow.tl._time_course import TimeCourse

#: Times inside each interval whose populations cells are compared with.
_TIMES = 6

#: Cells of each such population, and cells of a time point that they are moved from at most.
_CELLS, _MOVED = 400, 2_000

#: Cells whose neighbours are searched at a time, and whose paths are integrated at a time: as few
#: as the activations of the net fit into the cache of a core.
_SEARCHED, _INTEGRATED = 8_192, 1_024

#: Steps of rk4 per unit of flow time, fewer than for predictions: of 99 % of the cells of two data
#: sets the pseudotime changes by at most 0.011 of its standard deviation (another seed: 0.22), and
#: the path length by 0.7 % of its median, against an adaptive solver at 1e-7.
_STEPS_PER_UNIT_TIME = 10


def pseudotime(
    adata: AnnData,
    flow: Flow,
    *,
    course: AnnData | None = None,
    n_neighbors: int = 100,
    time_key: str | None = None,
    rng: RNG = 0,
    key_added: str = PSEUDOTIME,
    copy: bool = False,
) -> AnnData | None:
    """Compute a pseudotime and the path length of each cell along a flow.

    Populations are predicted at times between the snapshots, as by `tl.interpolate`. The pseudotime
    of a cell is the mean time of the predicted cells that are nearest to it, without those that
    were moved from the cell itself. A cell that is ahead of others of its time gets a later
    pseudotime.

    Parameters
    ----------
    adata
        Annotated data matrix of the cells. Their times need not be known if `course` is given.
    flow
        The fitted flow.
    course
        Annotated data matrix of the time course that populations are predicted from; None uses
        `adata`.
    n_neighbors
        Number of predicted cells that a mean is taken over.
    time_key
        Column of `obs` with the times of the course; None uses the column that the flow was fitted
        to.
    rng
        Seed, or a numpy generator to draw one from, of the predicted cells: 400 at each of six
        times an interval, moved from at most 2,000 of each time point.
    key_added
        Column of `obs` to write the pseudotime to.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obs[key_added]`
        Pseudotime in the unit of elapsed time, float64.
    `obs["cellflow_path_length"]`
        Length of the cell's trajectory along the flow from the first time to its pseudotime, in
        units of the representation, float64.
    `uns["cellflow"][key_added]`
        `n_neighbors`, and the provenance: `flow_id`, `data`, `seed`, `device`, `versions`,
        `time_key`, `unit`.

    Raises
    ------
    InputError
        If there are not more predicted cells than neighbours, or times are outside the flow.

    Notes
    -----
    This is nearest-neighbour regression of time on position (Cover 1968, IEEE Trans. Inf. Theory
    14:50), with equal prior probability of all intervals. Means over neighbours are drawn inward
    from the first and the last time by about the range of times among the neighbours. If
    populations of different times overlap completely, all cells get the mean time. Use it as an
    order of the cells of a time: as a number it is drawn inward, and on simulated courses twice as
    far from the true progress as the time of measurement (`docs/benchmarks/trust.md`).

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0][::10].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.pseudotime(adata, flow)
    >>> bool(adata.obs["cellflow_pseudotime"].between(0, 96).all())
    True
    """
    check_positive(n_neighbors, "n_neighbors")
    predicted_from = TimeCourse.read(adata if course is None else course, flow, time_key)
    seed = resolve_seed(rng)
    if n_neighbors > (most := (len(predicted_from.times) - 1) * _TIMES * _CELLS):
        raise InputError(f"n_neighbors must be under {most}, got {n_neighbors}")
    reference = _Reference.predict(predicted_from, np.random.default_rng(seed))
    cells = predicted_from.cells if course is None else cells_of(adata, flow.context)
    cells = cells.to(flow.device)
    own = np.arange(adata.n_obs) if course is None else np.full(adata.n_obs, -1)
    times = reference.mean_time(cells.x.cpu().numpy(), own, n_neighbors)
    adata = adata.copy() if copy else adata
    adata.obs[key_added] = times
    adata.obs[PATH_LENGTH] = _path_lengths(flow, cells, reference.to_flow(flow, times))
    write_record(
        adata.uns, key_added, {**predicted_from.provenance(seed), "n_neighbors": n_neighbors}
    )
    return adata if copy else None


@dataclass(frozen=True)
class _Reference:
    """Predicted cells, equally many of each time.

    Attributes
    ----------
    points
        Their points, shape (m, d).
    times, rows
        Time of each, and row of the cell at which its path starts, shape (m,).
    knots
        Times between which the clock may be interpolated, increasing.
    """

    points: np.ndarray
    times: np.ndarray
    rows: np.ndarray
    knots: np.ndarray

    @classmethod
    def predict(cls, course: TimeCourse, rng: np.random.Generator) -> _Reference:
        """Predict the populations of times inside each interval, and sample them."""
        known = np.array(course.times)
        inside = (np.arange(_TIMES) + 0.5) / _TIMES
        inner = (known[:-1, None] + np.diff(known)[:, None] * inside).ravel()
        seed = int(rng.integers(2**62))
        rows_at = {time: _sample(course.rows_at(time), rng) for time in course.times}
        populations = predict_populations(
            course,
            inner.tolist(),
            seed=seed,
            rows_at=rows_at.__getitem__,
            steps_per_unit=_STEPS_PER_UNIT_TIME,
        )
        points, rows = [], []
        for prediction, origins in populations:
            shares = prediction.weights / prediction.weights.sum()
            sample = rng.choice(len(origins), size=_CELLS, p=shares)
            points.append(prediction.points[sample])
            rows.append(origins[sample])
        times = np.repeat(inner, _CELLS)
        return cls(np.concatenate(points), times, np.concatenate(rows), np.union1d(inner, known))

    def mean_time(self, points: np.ndarray, own: np.ndarray, n_neighbors: int) -> np.ndarray:
        """Return the mean time of the nearest predicted cells, without those from rows `own`."""
        spare = int(np.bincount(self.rows).max()) if (own >= 0).any() else 0
        if n_neighbors + spare > len(self.rows):
            raise InputError(
                f"n_neighbors must be under {len(self.rows) - spare}, got {n_neighbors}"
            )
        search = NearestNeighbors(n_neighbors=n_neighbors + spare).fit(self.points)
        found = np.empty(len(points))
        with progress_bar(len(points), "nearest predicted cells", "cell") as bar:
            for start in range(0, len(points), _SEARCHED):
                part = slice(start, start + _SEARCHED)
                near = search.kneighbors(points[part], return_distance=False)
                other = self.rows[near] != own[part, None]
                counted = other & (np.cumsum(other, axis=1) <= n_neighbors)
                found[part] = (self.times[near] * counted).sum(axis=1) / n_neighbors
                bar.update(len(near))
        return found

    def to_flow(self, flow: Flow, times: np.ndarray) -> np.ndarray:
        """Return the flow times of many elapsed times."""
        positions = [flow.axis.to_flow(float(knot)) for knot in self.knots]
        return np.interp(times, self.knots, positions)


def _sample(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many of the rows as are moved, in their order."""
    return rows if len(rows) <= _MOVED else np.sort(rng.choice(rows, _MOVED, replace=False))


def _path_lengths(flow: Flow, cells: Batch, flow_times: np.ndarray) -> np.ndarray:
    """Return the length of each cell's path from the start of the flow to its own flow time."""
    lengths = np.empty(len(flow_times))
    # Cells of a chunk take as many steps as the latest of them.
    chunks = torch.split(torch.as_tensor(flow_times.argsort(kind="stable")), _INTEGRATED)
    with progress_bar(len(lengths), "path lengths", "cell") as bar:
        for rows in chunks:
            own = torch.as_tensor(flow_times)[rows].to(cells.x)
            lengths[rows] = _integrate_speed(flow, cells[rows], own)
            bar.update(len(rows))
    return lengths


def _integrate_speed(flow: Flow, cells: Batch, own: Tensor) -> np.ndarray:
    """Return the length of the path of each cell from the start of the flow to its own time."""
    begin = flow.axis.to_flow(flow.axis.times[0])

    def velocity_and_speed(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        velocity = flow.velocity(t, x, cells.condition)
        return velocity, velocity.norm(dim=1)

    # From their own times, where the cells are, back to the start: the integral counts down.
    times = torch.stack([own, torch.full_like(own, begin)])
    n_steps = count_steps("rk4", own - begin, _STEPS_PER_UNIT_TIME)
    with explain_divergence([flow.axis.times[-1], flow.axis.times[0]]):
        _, lengths = solve_augmented(velocity_and_speed, cells.x, times, n_steps=n_steps)
    return (-lengths[-1]).double().cpu().numpy()
