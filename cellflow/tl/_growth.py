"""The verb `tl.growth`."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from cellflow._errors import InputError
from cellflow._keys import GROWTH, LEARNED_GROWTH, read_record, write_record
from cellflow.evaluation.cautions import record_cautions
from cellflow.flow import Flow
from cellflow.tl._time_course import TimeCourse

_CAUTION = (
    "learned growth mistakes cells that are ahead of their time for cells that grow: compare it "
    "with markers of the cell cycle"
)


def growth(
    adata: AnnData,
    flow: Flow,
    *,
    time_key: str | None = None,
    key_added: str = GROWTH,
    copy: bool = False,
) -> AnnData | None:
    """Compute the growth rate of each cell, as learned by a flow, at the time of the cell.

    Over a time `dt` the mass of a cell grows by the factor `exp(growth * dt)`, as with the rates
    that `pp.growth` computes from gene sets. These rates are learned from the changes of the
    populations, with the evidence of growth that the flow was fitted with.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course.
    flow
        A fitted flow with growth: methods `default` and `wfr-fm`, growth from gene sets, ...
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    key_added
        Column of `obs` to write to. The default is that of `pp.growth`, whose rates are replaced.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the annotated copy. Written are:

    `obs[key_added]`
        Growth rate of each cell, births minus deaths per unit of elapsed time, float64. At a
        time point between two intervals it is the growth rate per flow time multiplied by the mean
        of `d flow time / d elapsed time` of both.
    `uns["cellflow"]["learned_growth"][key_added]`
        `growth` (evidence of growth: `relative`, `counts`, ...), `cautions` unless
        rates were given, and the provenance: `flow_id`, `data`, `seed`, `device`, `versions`,
        `time_key`, `unit`.

    Raises
    ------
    InputError
        If the flow conserves mass, or cells are outside its times.

    Notes
    -----
    Snapshots measure the composition of a population, rarely its size. With growth `relative`, the
    default, numbers of cells are not used: the total mass stays the same, and only differences
    between cells of one time have a meaning. Where numbers of cells are sizes of the population,
    fit with `growth="counts"`; `rising` uses increases only. On paths of unbalanced transport mass
    dips between the times, so that rates at the first time are too low.

    Cells that are ahead of their time resemble the next population, and look as if they grew. On
    simulated courses the rank correlation with the true rates within a time was 0.4 where fates
    grow at different rates, and -0.4 where only early cells divide (`docs/benchmarks/trust.md`):
    hold these rates against markers of the cell cycle.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.growth(adata, flow)
    >>> adata.obs["cellflow_growth"].shape
    (2434,)
    """
    if not flow.changes_mass:
        raise InputError(
            "this flow keeps mass, so no growth was learned; fit with a method that lets it change "
            "(method 'default' or 'wfr-fm', or objective 'growth' with the rates of pp.growth)"
        )
    course = TimeCourse.read(adata, flow, time_key)
    rate = course.evaluate(flow.nets.growth, None, "growth rates")
    adata = adata.copy() if copy else adata
    adata.obs[key_added] = rate.astype(np.float64)
    evidence = flow.method.growth_evidence
    entry = {
        **course.provenance(),
        "growth": evidence,
        "cautions": record_cautions([] if evidence == "rates" else [_CAUTION]),
    }
    known = read_record(adata.uns, LEARNED_GROWTH) or {}
    write_record(adata.uns, LEARNED_GROWTH, {**known, key_added: entry})
    return adata if copy else None
