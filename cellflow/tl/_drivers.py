"""The verb `tl.drivers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import stats
from torch import Tensor

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow._keys import FATE, PROBABILITIES
from cellflow._log import log_info, progress_bar
from cellflow.flow import Flow
from cellflow.integrate import jacobian
from cellflow.io import GeneNames, time_points_for_flow, time_points_of
from cellflow.io.matrices import Matrix, take_cells
from cellflow.methods.names import RANKINGS
from cellflow.representation.chunks import moments
from cellflow.representation.expression import CONSTANT, describe_raw, gene_table, read_expression
from cellflow.representation.scales import to_log_scale
from cellflow.tl._decoding import choose_genes
from cellflow.tl._groups import membership_of
from cellflow.tl._time_course import TimeCourse

#: Cells whose Jacobians or decoded velocities are in memory at a time.
_CHUNK = 1024

#: Fewest cells that a correlation has a p-value for.
_FEWEST = 3

#: Range of a fate, relative to its largest value, that is rounding of single precision.
_SAME = 1e-6

#: Reasons why a correlation is missing.
_FEW = "fewer than three cells"
_SAME_FATE = "the fate has one value"
_SAME_GENE = "the gene has one value"


def drivers(
    adata: AnnData,
    *,
    flow: Flow | None = None,
    method: str = "correlation",
    by: str | None = None,
    genes: str | Sequence[str] | None = None,
    gene_symbols: str | None = None,
    n_top: int | None = None,
    layer: str | None = None,
    times: float | str | Sequence[float | str] | None = None,
    time_key: str | None = None,
) -> pd.DataFrame:
    """Rank the genes that correlate with a fate, or that a flow changes most.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course.
    flow
        The fitted flow; not needed for `correlation`.
    method
        `correlation` of expression with fate probabilities; `velocity`, decoded to genes;
        `jacobian` of the velocity, decoded to pairs of genes.
    by
        For `correlation`: `obsm` key with the weights; None uses `fate_probabilities`. Otherwise:
        column of `obs` with groups, or `obsm` key with the weights of means; None uses all cells.
    genes
        Genes to rank (for `jacobian`: regulators and targets), by symbol or identifier; None uses
        all, or for a flow those of its representation. A symbol of several genes ranks all of them.
        For `velocity`, others are decoded as in `tl.gene_trends`.
    gene_symbols
        Column of `var` with the symbols of the genes. None uses a column of a usual name
        (`feature_name`, `gene_symbols`, `gene_name`, ...) if `var_names` are other names, such as
        identifiers of Ensembl, and reports it.
    n_top
        Number of rows to return for each group, the first ones; None returns all, for `jacobian`
        1,000.
    layer
        For `correlation`: layer with the expression; None uses `X`. It is brought to a logarithmic
        scale as by `pp.embed`.
    times
        Time or times whose cells are used; None uses all.
    time_key
        Column of `obs` with the times, if they are needed; None uses the column that the flow was
        fitted to.

    Returns
    -------
    A DataFrame, sorted within each `group`:

    `correlation`
        `group`, `gene`, `correlation` (Pearson, over cells with a known fate, those of the end
        times included), `p` (two-sided, t distribution; of the correlation with the fate itself,
        see Notes), `q` (Benjamini and Hochberg 1995, over the genes of a group), `n` cells, `note`.
        The largest correlation is first: genes that rise
        with the fate come before those that fall. Rows without a correlation are last, and `note`
        says why: the gene or the fate has one value in all cells used, or fewer than three cells
        are used. It is empty elsewhere.
    `velocity`
        `group`, `gene`, `velocity` (mean, per unit of elapsed time, on the scale of the
        representation), `share_up` (share of the cells in which the gene rises), by the absolute
        velocity, the largest first.
    `jacobian`
        `group`, `regulator`, `target`, `effect`: mean derivative of the target's velocity by the
        regulator's expression, per unit of elapsed time, by its absolute value, the largest first.

    With a column of symbols, genes have their symbols, and a column after them their `var_names`:
    `gene_id`, or `regulator_id` and `target_id`. A symbol of several genes is followed by `_` and
    the identifier.

    Raises
    ------
    InputError
        For an unknown method, missing keys or genes, a missing flow, a representation without a
        map back to genes, fewer than three cells with a known fate, or negative weights of means.

    Notes
    -----
    A probability is known for each cell, and its fate is not. If probabilities are calibrated, the
    correlation of a gene with the fate itself is r s / sqrt(m (1 - m)), with the correlation r, and
    the mean m and standard deviation s of the probabilities. p and q are those of this number:
    where probabilities hardly differ, no gene is significant, however well it follows them. For
    groups, and for weights beyond 0 to 1, which are taken as measured, it is r.

    p treats cells as independent draws, which the cells of a time course are not: genes that change
    with time correlate with any fate that does. Use the ranks, and `times` to compare cells of one
    time. Probabilities of 1 at the end times make the markers of the groups correlate; `times`
    leaves those cells out.

    The Jacobian knows the directions of the representation only: the effect of perturbing one gene
    is seen as far as the components represent it, and genes with similar loadings share their
    effects. Correlation with fates is the driver score of CellRank (Lange et al. 2022, Nat. Methods
    19:159); Jacobians of a velocity as regulation are those of Dynamo (Qiu et al. 2022, Cell
    185:690).

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.tl.drivers(adata, flow=flow, method="velocity", n_top=5).columns.tolist()
    ['group', 'gene', 'velocity', 'share_up']
    """
    check_choice(method, RANKINGS, "method")
    if n_top is not None:
        check_positive(n_top, "n_top")
    if method == "correlation":
        rows = _find_rows(adata, flow, times, time_key)
        table = _read_fates(adata, by).iloc[rows]
        names = GeneNames.read(gene_table(adata, layer), gene_symbols)
        columns = names.find_all(genes, hint=describe_raw(adata, layer))
        # Rows of a sparse matrix on disk are slow to pick.
        cells = adata if times is None else take_cells(adata, rows)
        values = to_log_scale(adata, read_expression(cells, layer))
        values = values if genes is None else values[:, columns]
        shown = names.labels[columns]
        parts = [_correlate(values, fate).assign(gene=shown) for fate in table.to_numpy().T]
        _report_missing(dict(zip(map(str, table), parts, strict=True)))
        sizes = [part["correlation"] for part in parts]
        ranked = _stack(table, parts, sizes, n_top)
        return names.add_ids(ranked[["group", "gene", "correlation", "p", "q", "n", "note"]])
    if flow is None:
        raise InputError(f"method {method!r} requires a flow: give flow (--flow)")
    course = TimeCourse.read(adata, flow, time_key)
    names = GeneNames.read(course.gene_table, gene_symbols)
    if method == "jacobian":
        names = names.of(course.representation.require_linear().genes)
        columns = names.find_all(genes, "the representation")
    else:
        fitted, names, columns = choose_genes(course, names, genes)
        course = replace(course, representation=fitted)
    shown = names.labels[columns]
    rows = _find_rows(adata, flow, times, time_key)
    table = _drop_empty_groups(membership_of(adata, by).fillna(0.0).iloc[rows], by)
    weights = table.to_numpy() / np.maximum(table.to_numpy().sum(axis=0), 1e-300)
    if method == "velocity":
        parts = _velocities(course, rows, weights, columns, shown)
        sizes = [part["velocity"].abs() for part in parts]
        ranked = _stack(table, parts, sizes, n_top)[["group", "gene", "velocity", "share_up"]]
        return names.add_ids(ranked)
    parts = _regulation(course, rows, weights, columns, shown, n_top or 1000)
    sizes = [part["effect"].abs() for part in parts]
    ranked = _stack(table, parts, sizes, None)[["group", "regulator", "target", "effect"]]
    return names.add_ids(ranked, ["regulator", "target"])


def _drop_empty_groups(table: pd.DataFrame, by: str | None) -> pd.DataFrame:
    """Return the groups that any of the cells is in; refuse negative weights of means."""
    if (table.to_numpy() < 0).any():
        raise InputError(
            f"obsm[{by!r}] has negative weights, which no mean can have; method 'correlation' "
            "takes any numbers"
        )
    there = table.sum() > 0
    if not there.any():
        raise InputError("none of the cells used is in a group")
    if absent := format_list(table.columns[~there]):
        log_info(f"no cell used is in: {absent}")
    return table.loc[:, there]


def _read_fates(adata: AnnData, by: str | None) -> pd.DataFrame:
    if by is None and FATE + PROBABILITIES not in adata.obsm:
        raise InputError(
            f"no obsm key {FATE + PROBABILITIES!r}; run cellflow.tl.fates (cellflow fates) first, "
            "or name another key with the weights of cells (by)"
        )
    return membership_of(adata, by or FATE + PROBABILITIES)


def _find_rows(
    adata: AnnData,
    flow: Flow | None,
    times: float | str | Sequence[float | str] | None,
    time_key: str | None,
) -> np.ndarray:
    """Return the rows of the cells of some times."""
    if times is None:
        return np.arange(adata.n_obs)
    points = (
        time_points_for_flow(adata, flow, time_key) if flow else time_points_of(adata, time_key)
    )
    return np.flatnonzero(np.isin(points.elapsed, points.find_all(times)))


def _correlate(values: Matrix, fate: np.ndarray) -> pd.DataFrame:
    """Correlate each column with a fate, over the cells with a known fate; NaN with a note."""
    known = np.isfinite(fate)
    values, fate, n = values[known], fate[known], int(known.sum())
    found, q = np.full((2, values.shape[1]), np.nan)
    known_share = 1.0
    if n < _FEWEST:
        note = _FEW
    elif np.ptp(fate) <= _SAME * np.abs(fate).max():
        note = _SAME_FATE
    else:
        note = _SAME_GENE
        known_share = _known_share(fate)
        fate = fate - fate.mean()
        _, mean, variance = moments(values)
        varies = variance > CONSTANT * (1 + mean**2)
        scale = np.sqrt(variance[varies] * n) * np.linalg.norm(fate)
        found[varies] = np.clip(np.asarray(values.T @ fate).ravel()[varies] / scale, -1, 1)
    with_fate = np.abs(found) * known_share
    with np.errstate(divide="ignore"):  # a correlation of 1 has p = 0
        statistic = with_fate * np.sqrt(max(n - 2, 0) / (1 - with_fate**2))
    p = 2 * stats.t.sf(statistic, max(n - 2, 1))
    if (tested := np.isfinite(found)).any():
        q[tested] = stats.false_discovery_control(p[tested])
    notes = np.where(tested, "", note)
    return pd.DataFrame({"correlation": found, "p": p, "q": q, "n": n, "note": notes})


def _known_share(fate: np.ndarray) -> float:
    """Return the standard deviation of probabilities over that of the fates drawn from them."""
    mean = fate.mean()
    if fate.min() < 0 or fate.max() > 1:
        return 1.0  # not probabilities
    return min(1.0, float(fate.std() / np.sqrt(mean * (1 - mean))))


def _report_missing(parts: Mapping[str, pd.DataFrame]) -> None:
    """Report fates and genes without a correlation, and why.

    Raises
    ------
    InputError
        If no fate is known for three cells.
    """
    if all((part["note"] == _FEW).all() and len(part) for part in parts.values()):
        most = max(int(part["n"].max()) for part in parts.values())
        raise InputError(
            f"a correlation needs {_FEWEST} cells or more with a known fate, got {most}; use more "
            "times, or other weights (by)"
        )
    for name, part in parts.items():
        for note in (_FEW, _SAME_FATE):
            if (part["note"] == note).any():
                log_info(f"no correlation with {name!r}: {note} ({part['n'].iloc[0]} cells used)")
    n_genes = max(part["gene"].nunique() for part in parts.values())
    constant = {
        gene for part in parts.values() for gene in part["gene"][part["note"] == _SAME_GENE]
    }
    if constant:
        log_info(
            f"no correlation of {len(constant)} of {n_genes} genes, which have one value in all "
            f"cells used: {format_list(sorted(constant))}"
        )


def _velocities(
    course: TimeCourse,
    rows: np.ndarray,
    weights: np.ndarray,
    columns: np.ndarray,
    names: np.ndarray,
) -> list[pd.DataFrame]:
    """Return the mean velocity of genes in each group."""
    velocity = course.velocity(rows)
    mean, rising = np.zeros((2, weights.shape[1], len(columns)))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        points = velocity[part].astype(np.float64)
        decoded = course.representation.decode_velocity(points, columns)
        mean += weights[part].T @ decoded
        rising += weights[part].T @ (decoded > 0)
    # Rounding takes sums of weights past 1.
    rising = np.clip(rising, 0, 1)
    return [
        pd.DataFrame({"gene": names, "velocity": mean[k], "share_up": rising[k]})
        for k in range(len(mean))
    ]


def _regulation(
    course: TimeCourse,
    rows: np.ndarray,
    weights: np.ndarray,
    columns: np.ndarray,
    names: np.ndarray,
    n_top: int,
) -> list[pd.DataFrame]:
    """Return the largest entries of the mean Jacobian between genes in each group.

    Decoding is affine, so the mean Jacobian of the points is decoded.
    """
    representation = course.representation
    linear = representation.require_linear()
    back = (linear.loadings * linear.scale[:, None] * representation.spread)[columns]
    there = (linear.loadings / linear.scale[:, None] / representation.spread)[columns]
    parts = []
    for mean in _mean_jacobians(course, rows, weights):
        effect = (back @ mean @ there.T).ravel()
        # Names of all pairs of thousands of genes would take gigabytes.
        first = np.argsort(-np.abs(effect), kind="stable")[:n_top]
        targets, regulators = np.divmod(first, len(names))
        parts.append(
            pd.DataFrame(
                {"regulator": names[regulators], "target": names[targets], "effect": effect[first]}
            )
        )
    return parts


def _mean_jacobians(course: TimeCourse, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted sums of the cells' Jacobians of the velocity, shape (k, d, d).

    They are per unit of elapsed time; `weights` has the shape (n, k).
    """
    total = np.zeros((weights.shape[1], course.flow.dim, course.flow.dim))
    with progress_bar(len(rows), "Jacobians", "cell") as bar:
        for chunk in torch.split(torch.arange(len(rows)), _CHUNK):
            here = torch.as_tensor(rows)[chunk]
            cells = course.cells[here]

            def velocity(
                t: Tensor, x: Tensor, condition: Tensor | None = cells.condition
            ) -> Tensor:
                return course.flow.velocity(t, x, condition)

            slopes = jacobian(velocity, course.flow_times[here], cells.x)
            slopes = slopes * course.clock_rate[here, None, None]
            flat = slopes.double().cpu().numpy().reshape(len(here), -1)
            total += (weights[chunk].T @ flat).reshape(total.shape)
            bar.update(len(here))
    return total


def _stack(
    groups: pd.DataFrame, parts: list[pd.DataFrame], sizes: list[pd.Series], n_top: int | None
) -> pd.DataFrame:
    """Stack the tables of groups, each sorted by its sizes, the largest first and NaN last."""
    sorted_parts = []
    for group, part, size in zip(map(str, groups), parts, sizes, strict=True):
        order = np.argsort(-size.to_numpy(), kind="stable")[:n_top]
        sorted_parts.append(part.iloc[order].assign(group=group))
    return pd.concat(sorted_parts, ignore_index=True)
