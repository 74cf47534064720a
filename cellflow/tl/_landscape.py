"""The verb `tl.landscape`."""

from __future__ import annotations

import numpy as np
import torch
from anndata import AnnData
from torch.distributions import MultivariateNormal

from cellflow._checks import format_number
from cellflow._errors import InputError
from cellflow._keys import POTENTIAL, write_record
from cellflow._log import progress_bar
from cellflow._typing import Points, Rows
from cellflow.flow import Flow
from cellflow.flow.reach import explain_divergence
from cellflow.integrate import log_density
from cellflow.tl._time_course import TimeCourse

#: Derivatives that are computed at a time, and most cells: activations of the net fit into a core's
#: cache, and progress is seen each second.
_DERIVATIVES, _ROWS = 12_800, 1_024


def landscape(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    key_added: str = POTENTIAL,
    copy: bool = False,
) -> AnnData | None:
    """Compute the potential of each cell: minus its log-density under the flow.

    The cells of the first time are fitted by one Gaussian, with their mean and covariance. The flow
    transports it, squeezing and stretching it; the potential of a cell is minus the logarithm of
    that density at the cell's point and time. Valleys, where the potential is low, hold many cells;
    ridges hold few.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with cells of the first time of the flow.
    flow
        The fitted flow.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    key_added
        Column of `obs` to write to.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obs[key_added]`
        Minus log-density in nats, float64; the density is per unit volume of the representation.
    `uns["cellflow"][key_added]`
        `start` (time of the Gaussian), and the provenance: `flow_id`, `data`, `seed`, `device`,
        `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        If the first time has no cells, or too few to span the representation.

    Notes
    -----
    Points are integrated back to the first time together with the divergence of the velocity (Chen
    et al. 2018, arXiv 1806.07366, theorem 1), which takes d derivatives of the network at each
    evaluation: time grows with the square of the dimensions.

    The potential describes a density, not a force: a cell need not move downhill. Where cells
    spread into more volume, the potential of all of them rises, so it compares cells of one time;
    between times it shows how much the population was squeezed. All cells share one clock here,
    growth is ignored, and a first time that is not Gaussian is smoothed to one. Cells that the flow
    integrates back to far outside the first snapshot get a high potential, which depends on the
    tail of the Gaussian alone.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0][::10].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.landscape(adata, flow)
    >>> bool(adata.obs["cellflow_potential"].notna().all())
    True
    """
    course = TimeCourse.read(adata, flow, time_key)
    first = flow.axis.times[0]
    base = _fit_gaussian(course.cells.x[torch.as_tensor(course.rows_at(first))], first)
    potential = np.empty(adata.n_obs)
    size = min(_ROWS, max(1, _DERIVATIVES // flow.dim))
    with progress_bar(adata.n_obs, "landscape", "cell") as bar:
        for time in course.time_points.times:
            for rows in torch.split(torch.as_tensor(course.rows_at(time)), size):
                potential[rows] = -_log_density(course, rows, time, base)
                bar.update(len(rows))
    adata = adata.copy() if copy else adata
    adata.obs[key_added] = potential
    write_record(adata.uns, key_added, {**course.provenance(), "start": first})
    return adata if copy else None


def _fit_gaussian(points: Points, time: float) -> MultivariateNormal:
    """Return the Gaussian with the mean and the covariance of some points, float64."""
    points = points.double()
    n, dim = points.shape
    covariance = torch.cov(points.T).reshape(dim, dim) if n > 1 else points.new_zeros(dim, dim)
    if torch.linalg.matrix_rank(covariance, hermitian=True) < dim:
        raise InputError(
            f"the {n} cells of time {format_number(time)}, the first of the flow, do not span its "
            f"{dim} dimensions; take more cells or fewer dimensions"
        )
    return MultivariateNormal(points.mean(dim=0), covariance)


@torch.no_grad()
def _log_density(
    course: TimeCourse, rows: torch.Tensor, time: float, base: MultivariateNormal
) -> np.ndarray:
    """Return the log-density of cells of a time, shape (k,)."""
    flow, cells = course.flow, course.cells[rows]

    def velocity(t: Rows, x: Points) -> Points:
        return flow.velocity(t, x, cells.condition)

    def log_density_at_first(x: Points) -> Rows:
        return base.log_prob(x.double())  # type: ignore[no-untyped-call]

    start, stop = (flow.axis.to_flow(each) for each in (flow.axis.times[0], time))
    with explain_divergence([time, flow.axis.times[0]]):
        found = log_density(velocity, log_density_at_first, cells.x, start, stop)
    return found.double().cpu().numpy()
