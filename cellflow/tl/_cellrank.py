"""The verb `tl.to_cellrank`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from cellflow._errors import InputError
from cellflow._keys import TIME_POINT
from cellflow._log import log_info, progress_bar
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow.flow import Flow
from cellflow.io import name_time_point
from cellflow.tl._time_course import TimeCourse
from cellflow.transport import Plan, distances, entropic_plan, exact_plan
from cellflow.transport.random_blocks import random_blocks

#: Entries of a soft coupling under this share of the largest of their row are left out.
_LEAST = 1e-3

#: Largest number of cells per side of a plan.
_BLOCK_SIZE = 2_000


def to_cellrank(
    adata: AnnData,
    flow: Flow,
    *,
    epsilon: float = 0.05,
    time_key: str | None = None,
    key_added: str = TIME_POINT,
    rng: RNG = 0,
) -> dict[tuple[float, float], AnnData]:
    """Couple the cells of consecutive times along a flow, in the format of CellRank.

    Cells of a time are moved to the next one, and coupled there with the measured cells by
    entropic transport, with the mass that the flow gives each. If the flow was fitted within labels
    (`label_key`, categorical `condition_keys`), cells are coupled with cells of the same label
    only.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, all of whose times are inside the range of the
        flow.
    flow
        The fitted flow.
    epsilon
        Strength of the entropy, as a share of the mean squared distance between moved and
        measured cells; 0 gives the exact plan, in which a cell has one or two partners.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    key_added
        Column of `obs` with the times as categories, by which CellRank looks couplings up.
    rng
        Seed or generator of the blocks that more than 2,000 cells of a time are coupled in.

    Returns
    -------
    A sparse coupling for each pair of consecutive times, keyed by their elapsed times: an AnnData
    with `X` of float64, cells of the earlier time as `obs` and those of the later as `var`. Its
    entries are masses that sum to one. Rows sum to the share of descendants that the flow gives a
    cell (equal if mass is conserved), columns to equal shares of what their label receives (above
    2,000 cells of a time: what their block receives). Rows of
    cells whose label is not at the later time are empty, and their number is reported. CellRank
    scales rows to one. Written is:

    `obs[key_added]`
        Elapsed time of each cell as an ordered category.

    Raises
    ------
    InputError
        For a negative `epsilon`, times outside the range of the flow, or consecutive times without
        a common label.

    Notes
    -----
    `cellrank.kernels.RealTimeKernel(adata, time_key="cellflow_time_point", couplings=...)` takes
    the result (Weiler et al. 2024, Nat. Methods 21:1196). Above 2,000 cells of a time, the cells of
    both times are split at random into blocks, and coupled within them: time and memory grow with
    the number of cells, not with its square.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0][::20].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> couplings = cf.tl.to_cellrank(adata, flow)
    >>> list(couplings)[:2]
    [(0.0, 6.0), (6.0, 12.0)]
    """
    if not epsilon >= 0:
        raise InputError(f"epsilon must be 0 or positive, got {epsilon}")
    course = TimeCourse.read(adata, flow, time_key)
    times = course.time_points.times
    for time in times:
        flow.axis.to_flow(time)
    couplings, generator = {}, torch_generator(resolve_seed(rng))
    with progress_bar(len(times) - 1, "couple", "interval") as bar:
        for pair in pairwise(times):
            couplings[pair] = _couple(course, pair, epsilon, generator)
            bar.update()
    adata.obs[key_added] = pd.Categorical(course.elapsed, categories=times, ordered=True)
    return couplings


def _couple(
    course: TimeCourse, pair: tuple[float, float], epsilon: float, generator: torch.Generator
) -> AnnData:
    """Couple the cells of two times."""
    before, after = (course.rows_at(time) for time in pair)
    cells = course.cells[torch.as_tensor(before)]
    pushed = course.flow.trajectory(cells.x, pair, condition=cells.condition)
    masses = pushed.log_mass[-1].double().softmax(dim=0).cpu().numpy()
    there = course.cells.x[torch.as_tensor(after)].double().cpu().numpy()
    blocks = course.label_blocks(before, after)
    _check_blocks(course, blocks, pair, len(before))
    arrivals = course.append_conditions(pushed.end.double().cpu().numpy(), before)
    parts = [
        (rows[some], columns[others])
        for rows, columns in blocks
        for some, others in random_blocks(len(rows), len(columns), _BLOCK_SIZE, generator)
    ]
    plan = _couple_blocks(parts, arrivals, course.append_conditions(there, after), masses, epsilon)
    matrix = sparse.csr_matrix(
        (plan.mass, (plan.rows, plan.columns)), shape=(len(before), len(after))
    )
    names = (course.adata.obs_names[rows] for rows in (before, after))
    obs, var = (pd.DataFrame(index=each.copy()) for each in names)
    return AnnData(matrix, obs=obs, var=var)


def _check_blocks(
    course: TimeCourse,
    blocks: list[tuple[np.ndarray, np.ndarray]],
    pair: tuple[float, float],
    n: int,
) -> None:
    """Check that two times have a common label, and report cells that are not coupled."""
    before, after = (name_time_point(time, course.time_points.names) for time in pair)
    columns = course.label_columns
    if not blocks:
        raise InputError(
            f"no value of {columns}, within which the flow couples cells, has cells both at "
            f"{before} and at {after}"
        )
    if lost := n - sum(len(rows) for rows, _ in blocks):
        log_info(
            f"{lost} of {n} cells of {before} have a value of {columns} without cells at {after}: "
            "their rows are empty"
        )


def _couple_blocks(
    blocks: list[tuple[np.ndarray, np.ndarray]],
    pushed: np.ndarray,
    there: np.ndarray,
    masses: np.ndarray,
    epsilon: float,
) -> Plan:
    """Return the plans of all blocks, each with the mass of its moved cells."""
    total = sum(masses[rows].sum() for rows, _ in blocks)
    parts = []
    for rows, columns in blocks:
        costs = distances(pushed[rows], there[columns]) ** 2
        part = _solve_block(costs, epsilon, masses[rows])
        mass = part.mass * masses[rows].sum() / total
        parts.append(Plan(rows[part.rows], columns[part.columns], mass))
    return Plan.concatenate(parts)


def _solve_block(costs: np.ndarray, epsilon: float, masses: np.ndarray) -> Plan:
    if epsilon == 0:
        return exact_plan(costs, masses)
    plan = entropic_plan(costs, epsilon * float(costs.mean()), masses)
    largest = np.zeros(len(masses))
    np.maximum.at(largest, plan.rows, plan.mass)
    large = plan.mass >= _LEAST * largest[plan.rows]
    return Plan(plan.rows[large], plan.columns[large], plan.mass[large])
