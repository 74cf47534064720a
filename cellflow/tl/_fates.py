"""The verb `tl.fates`."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy.special import entr

from cellflow._errors import InputError
from cellflow._keys import ENTROPY, FATE, PROBABILITIES, write_record
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, describe_cells, groups_of
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import (
    make_estimator,
    normalise_rows,
    one_hot,
    propagate_backward,
)


def fates(
    adata: AnnData,
    flow: Flow,
    groups: str,
    *,
    cells: Cells = None,
    time: float | str | None = None,
    by: str = "bridge",
    n_neighbors: int = 20,
    n_samples: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
    key_added: str = FATE,
    copy: bool = False,
) -> AnnData | None:
    """Estimate the probability of each cell to end in each group of a later time.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course, with what the representation of the flow requires:
        the same genes, or the same `obsm` key.
    flow
        The fitted flow.
    groups
        Column of `obs` with the groups. Cells without a value do not vote.
    cells
        Cells to estimate fates of: a boolean mask, names of cells, or text such as
        `cell_type=HSC & day=2`. None uses all cells that were taken before `time`; other selected
        cells get no fate.
    time
        Time point of the fates; None uses the last of the course.
    by
        `flow` moves each cell along the flow, and the nearest cells at `time` vote. `coupling`
        multiplies exact optimal transport plans between consecutive times, unbalanced plans if the
        coupling of the flow is `wfr`; it does not use a network, and is the baseline. The fate of a
        cell is then that of all of its descendants, of which dividing cells have more.
    n_neighbors
        Number of cells that vote for each moved cell, for `by="flow"`; all of a label if there
        are fewer. Many neighbours blur the borders of groups, few are noisy. If the flow was fitted
        within labels (`label_key`, categorical `condition_keys`), only cells of the same label
        vote.
    n_samples
        Number of stochastic paths of each cell, for `by="flow"` and flows with a score (method
        `sf2m`). None moves each cell along the velocity, deterministically, so that the uncertainty
        is that of the vote.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    rng
        Seed, or a numpy generator to draw one from, of stochastic paths and of the blocks of large
        transport plans.
    key_added
        Prefix of the slots.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obsm[f"{key_added}_probabilities"]`
        Shape (n, K), float64. Rows of cells with a fate sum to one; others are NaN.
    `obs[f"{key_added}_entropy"]`
        Entropy of each row in nats, from 0 (certain) to log K.
    `uns["cellflow"][f"{key_added}_probabilities"]`
        `names` of the K groups that have cells at `time`, in the order of the column; `groups`,
        `time`, `cells`, `by`, `n_neighbors`, `n_samples`, and the provenance: `flow_id`, `data`,
        `seed`, `device`, `versions`, `time_key`, `unit`.

    Raises
    ------
    InputError
        For unknown columns, cells, times or estimators, or if no selected cell is before `time`.

    References
    ----------
    Descendants by transport plans: Schiebinger et al. 2019, Cell 176:928.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> adata.obs["half"] = (adata.obsm["X_cellflow"][:, 1] > 0).astype(str)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.fates(adata, flow, "half", cells="time=72")
    >>> adata.obsm["fate_probabilities"].shape
    (2434, 2)
    """
    course = TimeCourse.read(adata, flow, time_key)
    goal = course.find_time(time)
    labels = groups_of(adata, groups)
    targets = course.rows_at(goal, labels.notna().to_numpy())
    if not len(targets):
        raise InputError(f"no cell of time {goal:g} has a value in obs[{groups!r}]")
    before = np.isin(course.elapsed, [each for each in course.times if each < goal])
    selected = course.select(cells, before, f"before time {goal:g}")
    seed = resolve_seed(rng)
    estimator = make_estimator(course, by, n_neighbors=n_neighbors, n_samples=n_samples, seed=seed)
    ends = labels.iloc[targets].cat.remove_unused_categories()
    votes = one_hot(ends.cat.codes.to_numpy(), len(ends.cat.categories))
    probabilities = np.full((adata.n_obs, votes.shape[1]), np.nan)
    for origin in np.unique(course.elapsed[selected]):
        rows = course.rows_at(origin, selected)
        descent = propagate_backward(estimator.estimate(rows, targets), votes)
        probabilities[rows] = normalise_rows(descent)
    if lost := int(np.isnan(probabilities[selected, 0]).sum()):
        log_info(
            f"{lost} of {int(selected.sum())} cells have no descendants at time {goal:g}: no fate"
        )

    result = adata.copy() if copy else adata
    result.obsm[key_added + PROBABILITIES] = probabilities
    result.obs[key_added + ENTROPY] = entr(probabilities).sum(axis=1)
    entry = {
        "names": ends.cat.categories.to_numpy(dtype=object),
        "groups": groups,
        "time": goal,
        "cells": describe_cells(cells),
        "by": by,
        "n_neighbors": n_neighbors if by == "flow" else None,
        "n_samples": n_samples,
        **course.provenance(seed),
    }
    write_record(result.uns, key_added + PROBABILITIES, entry)
    return result if copy else None
