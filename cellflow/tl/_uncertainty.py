"""The verb `tl.uncertainty`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from anndata import AnnData
from scipy.spatial.distance import cdist

from cellflow._checks import check_positive, format_number
from cellflow._errors import CellflowWarning, InputError
from cellflow._keys import FROM_DATA, RADIUS, UNCERTAINTY, write_record
from cellflow._log import log_info, progress_bar
from cellflow._neighbours import MOST, NearestCells
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow, check_flow
from cellflow.nets import Fields
from cellflow.representation import from_context
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import (
    make_estimator,
    normalise_rows,
)

#: Percentile of the measured cells beyond which a cell counts as far from data.
_FAR = 95

#: Share of the descendants of a cell within their radius.
_HELD = 0.9

#: Cells of a time that stand for all of it among the descendants.
_MAX_DESCENDANTS = 1_000

#: Cells that are moved, or whose descendants are compared, at a time.
_CHUNK = 1_024

#: Share of cells far from data that is worth a warning; of measured cells it is 5 %.
_TOO_MANY = 0.2


def uncertainty(
    adata: AnnData,
    flows: Flow | Sequence[Flow],
    *,
    time: float | str | None = None,
    n_neighbors: int = 5,
    by: str | None = "bridge",
    time_key: str | None = None,
    rng: RNG = 0,
    key_added: str = UNCERTAINTY,
    copy: bool = False,
) -> AnnData | None:
    """Compute where cells may go: disagreement of fits, distance from data, radius of descendants.

    Every cell is moved from its own time to `time`, backward if that is earlier, by each of
    several flows that were fitted to the same data with different seeds. The radius is that of the
    measured cells of `time` among which its descendants are expected, and depends on no network.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course.
    flows
        Flows of different seeds in one representation; for a single flow, only the distance from
        data is written.
    time
        Time that cells are moved to, inside the range of the flows; None uses the last.
    n_neighbors
        Number of measured cells that a distance from data is the mean over.
    by
        How the descendants of a cell are estimated, for their radius: see `tl.fates`. None leaves
        the radius out; so does a `time` that is not a time point.
    time_key
        Column of `obs` with the times; None uses the column that the first flow was fitted to.
    rng
        Seed, or a numpy generator to draw one from, for the estimate of the descendants.
    key_added
        Column of `obs` to write the disagreement to.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obs[key_added]`
        Mean distance of the arrivals of a cell from their mean, in units of the spread of the
        cells: their root mean square distance from the mean of their time. 0 for cells of `time`
        itself; not written for a single flow.
    `obs["cellflow_distance"]`
        Mean distance of the arrivals to the nearest measured cells of any time, without the cell
        itself, divided by that distance of the median measured cell. If the flow was fitted within
        labels, only cells of the same label are used; numeric conditions that are in the costs of
        couplings are in these distances too. Neighbours are searched exactly, among 20,000 cells of
        a label where there are more. About 1 among data; several times that means that the
        prediction has no support in the data.
    `obs["cellflow_radius"]`
        Radius around the mean of the predicted descendants of a cell, measured cells of `time`,
        within which 90 % of them are, in units of the spread; NaN for cells of `time` or later.
        Near that of all cells of `time`, nothing is known of where the cell goes.
    `uns["cellflow"][key_added]`
        `time`, `flow_ids`, `spread`, `far_limit` (95th percentile of measured cells), `share_far`
        (share of the cells that arrive beyond it), and the provenance of the first flow: `flow_id`,
        `data`, `seed`, `device`, `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        Without flows, for the same flow twice or flows of different representations, or for a time
        outside their range.

    Warns
    -----
    CellflowWarning
        If more than 20 % of the cells arrive far from data.

    Notes
    -----
    Seeds disagree on what the fit leaves open (Lakshminarayanan et al. 2017, arXiv 1612.01474).
    They agree on errors that all of them make, such as certainty about a fate that nothing in the
    data decides; `tl.holdout` and `tl.regions` measure errors on held-out times. The radius is
    calibrated as far as `docs/benchmarks/trust.md` shows: on simulated courses, that of 90 % held
    between 83 % and 95 % of the true descendants, and at single times before fates are expressed as
    few as 70 %.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0][::10].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=20)
    >>> flows = [
    ...     cf.tl.fit(adata, time_key="time", recipe=short, rng=seed, progress=False)
    ...     for seed in (0, 1)
    ... ]
    >>> cf.tl.uncertainty(adata, flows, time=48)
    >>> bool((adata.obs["cellflow_uncertainty"][adata.obs["time"] == 48] == 0).all())
    True
    """
    flows = [flows] if isinstance(flows, Flow) else list(flows)
    _check_flows(flows)
    courses = [TimeCourse.read(adata, flow, time_key or flows[0].time_key) for flow in flows]
    labels, time_points = courses[0].labels, courses[0].time_points
    _check_neighbors(labels, n_neighbors)
    goal = time_points.times[-1] if time is None else time_points.to_elapsed(time)
    for flow in flows:
        flow.axis.to_flow(goal)  # raises outside the times of the flow
    measured = courses[0].cells.x.cpu().numpy()
    search = _Search(courses[0], measured, n_neighbors)
    typical = search.typical_distances()
    spread = _spread(measured, time_points.elapsed)
    distance, apart = _follow(courses, goal, search)
    distance /= np.median(typical)
    limit = float(np.percentile(typical, _FAR) / np.median(typical))
    share = float((distance > limit).mean())

    radius = None
    if by is not None and goal in courses[0].times:
        radius = _descendant_radius(courses[0], goal, measured, by, resolve_seed(rng)) / spread

    adata = adata.copy() if copy else adata
    if radius is not None:
        adata.obs[RADIUS] = radius
    if len(flows) > 1:
        adata.obs[key_added] = apart / spread
    adata.obs[FROM_DATA] = distance
    entry = {
        "time": goal,
        **courses[0].provenance(),
        "flow_ids": np.array([flow.fingerprint for flow in flows], dtype=object),
        "spread": spread,
        "far_limit": limit,
        "share_far": share,
    }
    write_record(adata.uns, key_added, entry)
    log_info(
        f"{share:.0%} of the cells arrive at time {format_number(goal)} far from data "
        "(5% of measured ones)"
    )
    if len(flows) > 1:
        log_info(
            f"{len(flows)} seeds disagree by {np.median(adata.obs[key_added]):.2f} of the spread "
            "(median); this says nothing about errors that all seeds share"
        )
    if share > _TOO_MANY:
        warnings.warn(
            f"{share:.0%} of the cells arrive at time {format_number(goal)} farther from measured "
            f"cells than {_FAR}% of these are from each other: the flow extrapolates there",
            CellflowWarning,
            stacklevel=2,
        )
    return adata if copy else None


@torch.no_grad()
def _follow(
    courses: Sequence[TimeCourse], time: float, search: _Search
) -> tuple[np.ndarray, np.ndarray]:
    """Move each cell from its own time to another by each flow, chunk by chunk.

    Return the mean distance of the arrivals of a cell from measured cells, and from their mean.
    """
    first, flows = courses[0], [_without_growth(course.flow) for course in courses]
    distance, apart = np.empty((2, first.adata.n_obs))
    with progress_bar(len(distance), "move cells", "cell") as bar:
        for own in first.time_points.times:
            here = first.rows_at(own)
            for rows in np.split(here, range(_CHUNK, len(here), _CHUNK)):
                cells = first.read_cells(rows)
                arrivals = np.stack(
                    [
                        flow.push(cells.x, own, time, condition=cells.condition)
                        .double()
                        .cpu()
                        .numpy()
                        for flow in flows
                    ]
                )
                distance[rows] = np.mean(
                    [search.distances(each, rows) for each in arrivals], axis=0
                )
                apart[rows] = np.linalg.norm(arrivals - arrivals.mean(axis=0), axis=2).mean(axis=0)
                bar.update(len(rows))
    return distance, apart


def _without_growth(flow: Flow) -> Flow:
    """Return a flow that moves cells to the same points, and does not compute their masses."""
    nets = {role: net for role, net in flow.nets.nets.items() if role != "growth"}
    return replace(flow, nets=Fields(nets).eval())


def _descendant_radius(
    course: TimeCourse, goal: float, points: np.ndarray, by: str, seed: int
) -> np.ndarray:
    """Return the radius around the mean descendant of each cell that holds 90 % of them."""
    estimator = make_estimator(course, by, n_neighbors=20, n_samples=None, seed=seed)
    radius = np.full(len(points), np.nan)
    there = course.rows_at(goal)
    if len(there) > _MAX_DESCENDANTS:
        rng = np.random.default_rng(seed)
        there = np.sort(rng.choice(there, _MAX_DESCENDANTS, replace=False))
    origins = [course.rows_at(own) for own in course.times[: course.times.index(goal)][::-1]]
    transitions = estimator.descend(origins, there, np.eye(len(there)))
    for rows, shares in zip(origins, transitions, strict=True):
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            radius[rows[part]] = _weighted_radius(normalise_rows(shares[part]), points[there])
    return radius


def _weighted_radius(shares: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the radius around each weighted mean of points that holds a share of the weight."""
    distances = cdist(shares @ points, points)
    order = distances.argsort(axis=1)
    held = np.take_along_axis(shares, order, axis=1).cumsum(axis=1)
    at = (held >= _HELD).argmax(axis=1)
    found = np.take_along_axis(distances, order, axis=1)[np.arange(len(at)), at]
    return np.where(np.isnan(shares).any(axis=1), np.nan, found)


def _check_flows(flows: list[Flow]) -> None:
    if not flows:
        raise InputError("no flows; give one or more")
    for flow in flows:
        check_flow(flow)
    first, *others = flows
    fingerprints = {first.fingerprint}
    for k, other in enumerate(others, start=1):
        if not _share_representation(first, other):
            raise InputError(
                f"flow {k} has another representation than the first one "
                f"({from_context(other.context).describe()}; "
                f"{from_context(first.context).describe()}); fit all of them in one"
            )
        if other.fingerprint in fingerprints:
            raise InputError(
                f"flow {k} is the same as one before it, which would agree with itself; fit it "
                "with another seed (rng=1, --seed 1)"
            )
        fingerprints.add(other.fingerprint)


def _share_representation(one: Flow, other: Flow) -> bool:
    """Return whether both flows have the same representation."""
    maps = [flow.context.settings.get("representation") for flow in (one, other)]
    ours, theirs = one.context.arrays, other.context.arrays
    return (
        one.dim == other.dim
        and maps[0] == maps[1]
        and ours.keys() == theirs.keys()
        and all(
            ours[name].shape == theirs[name].shape
            and torch.allclose(ours[name], theirs[name], atol=1e-5)
            for name in ours
        )
    )


def _check_neighbors(labels: np.ndarray, n_neighbors: int) -> None:
    """Check that each cell has so many neighbours."""
    check_positive(n_neighbors, "n_neighbors")
    _, counts = np.unique(labels, return_counts=True)
    if n_neighbors >= counts.min():
        which = "all cells" if len(counts) == 1 else "cells of the smallest label of the flow"
        raise InputError(f"n_neighbors must be under {counts.min()} ({which}), got {n_neighbors}")


class _Search:
    """Measured cells of each label, among which the nearest of points are found."""

    def __init__(self, course: TimeCourse, measured: np.ndarray, n_neighbors: int) -> None:
        self.course, self.n_neighbors, self.labels = course, n_neighbors, course.labels
        self.points = course.append_conditions(measured)
        self.rows = {
            label: np.flatnonzero(self.labels == label) for label in np.unique(self.labels)
        }
        self.cells = {
            label: NearestCells.among(self.points[rows]) for label, rows in self.rows.items()
        }

    def typical_distances(self) -> np.ndarray:
        """Return the distances of measured cells, of as many as neighbours are searched among."""
        n = len(self.labels)
        rows = np.sort(np.random.default_rng(0).permutation(n)[:MOST])
        return self._find(self.points[rows], rows)

    def distances(self, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the distances of points to which the cells of some rows were moved."""
        return self._find(self.course.append_conditions(points, rows), rows)

    def _find(self, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the mean distance to the nearest measured cells of the label, without itself."""
        found = np.empty(len(points))
        for label in np.unique(self.labels[rows]):
            here = np.flatnonzero(self.labels[rows] == label)
            own = np.searchsorted(self.rows[label], rows[here])
            for part, far, _ in self.cells[label].find(points[here], self.n_neighbors, own=own):
                found[here[part]] = far.mean(axis=1)
        return found


def _spread(points: np.ndarray, elapsed: np.ndarray) -> float:
    """Return the root mean square distance of cells from the mean of their time."""
    parts = (points[elapsed == time] for time in np.unique(elapsed))
    variances = [part.var(axis=0, dtype=np.float64).sum() * len(part) for part in parts]
    return float(np.sqrt(np.sum(variances) / len(points)))
