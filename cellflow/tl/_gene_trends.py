"""The verb `tl.gene_trends`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._keys import read_record
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import GeneNames, colours_for_table
from cellflow.methods.names import STARTS
from cellflow.tl._decoding import choose_genes
from cellflow.tl._groups import membership_of
from cellflow.tl._prediction import predict_populations
from cellflow.tl._time_course import TimeCourse

#: Points of a representation, shape (n, d), to expression, shape (n, g).
Decoder = Callable[[np.ndarray], "np.ndarray | pd.DataFrame"]

#: Values of decoded expression that are in memory at a time.
_VALUES = 2**21

#: Scales of decoded expression by the kind of the representation.
_SCALES = {"counts": "log1p", "linear": "log1p", "normalised": "log"}


def gene_trends(
    adata: AnnData,
    flow: Flow,
    *,
    genes: str | Sequence[str] | None = None,
    gene_symbols: str | None = None,
    by: str | None = None,
    n_times: int = 40,
    quantiles: tuple[float, float] = (0.1, 0.9),
    decoder: Decoder | None = None,
    start: str = "both",
    time_key: str | None = None,
    rng: RNG = 0,
) -> pd.DataFrame:
    """Compute mean expression and quantiles of genes along a flow, by group or by fate.

    At each time of a grid the population is predicted as in `tl.interpolate`, decoded to genes, and
    summarised by group. Cells are weighted by the growth of their mass, times the membership in the
    group of the cell that each was moved from.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course.
    flow
        The fitted flow.
    genes
        Names of genes, symbols or identifiers; None uses all that the decoder returns. A symbol of
        several genes uses all of them. Genes of `adata` that the representation was not made of,
        any for an embedding without loadings, are decoded by regression on its points, and the
        share of their variance that these explain is reported.
    gene_symbols
        Column of `var` with the symbols of the genes. None uses a column of a usual name
        (`feature_name`, `gene_symbols`, `gene_name`, ...) if `var_names` are other names, such as
        identifiers of Ensembl, and reports it.
    by
        Column of `obs` with groups, or `obsm` key with weights of groups such as
        `fate_probabilities`; None uses all cells together.
    n_times
        Number of times of the grid, evenly from the first to the last; the time points of the
        course are added.
    quantiles
        Lower and upper quantile.
    decoder
        Function from points of the representation, float64 of shape (n, d), to expression: a
        DataFrame with one column for each gene, or an array whose columns are `adata.var_names`.
        None uses the map back of the representation.
    start
        As in `tl.interpolate`.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    rng
        As in `tl.interpolate`.

    Returns
    -------
    A DataFrame with a row for each gene, group and time, genes and groups in their own order:

    `gene`, `group`, `time`
        Elapsed time in the unit of the course; the group is `all` without `by`. With a column of
        symbols genes have their symbols, and `gene_id`, after `gene`, their `var_names`; a symbol
        of several genes is followed by `_` and the identifier.
    `mean`, `low`, `high`
        Weighted mean and quantiles of decoded expression, on the scale of the representation (for
        counts: after normalisation and log1p).
    `share`
        Share of the population's mass that belongs to the group.
    `observed`
        Whether cells were taken at that time; they are then the population.
    `color`, `unit`, `scale`
        If known, for figures: the colour of the group in `uns["<by>_colors"]` or by default, the
        unit of the times, and `log1p` or `log`, the scale of the expression.

    Numbers are NaN if no cell has a group. By fate probabilities, trends coincide where all cells
    have the same, and part as far as they are known.

    Raises
    ------
    InputError
        For unknown genes or groups, a decoder that returns a table of the wrong shape, or a
        representation without a map back to genes if neither genes nor a decoder were given.

    Notes
    -----
    Quantiles are those of the cells, not a confidence interval of the mean. Decoded expression is
    what the representation retains of a gene: principal components smooth it, and its quantiles are
    closer together than those of measured expression.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> trends = cf.tl.gene_trends(adata, flow, genes=["Sox2", "Gata6"], n_times=3)
    >>> trends.columns.tolist()
    ['gene', 'group', 'time', 'mean', 'low', 'high', 'share', 'observed', 'scale']
    """
    check_choice(start, STARTS, "start")
    check_positive(n_times, "n_times")
    low, high = quantiles
    if not 0 <= low <= high <= 1:
        raise InputError(f"quantiles must be a lower and an upper one from 0 to 1, got {quantiles}")
    course, seed = TimeCourse.read(adata, flow, time_key), resolve_seed(rng)
    annotation = course.gene_table if decoder is None else adata.var
    decode = _make_decoder(course, decoder, GeneNames.read(annotation, gene_symbols), genes)
    groups = membership_of(adata, by).fillna(0.0)
    known = course.times
    tables = []
    grid = map(course.time_points.to_elapsed, np.linspace(known[0], known[-1], n_times))
    times = np.union1d(list(grid), known).tolist()
    populations = predict_populations(course, times, start=start, seed=seed)
    places: dict[str, int] = {}
    for time, (prediction, rows) in zip(times, populations, strict=True):
        weights = prediction.weights[:, None] * groups.to_numpy()[rows]
        total = weights.sum()
        for expression, decoded in decode(prediction.points):
            names = decoded
            for gene in expression:
                places.setdefault(str(gene), len(places))
            parts = _summarise(expression, weights, quantiles)
            for k, (group, part) in enumerate(zip(map(str, groups), parts, strict=True)):
                share = weights[:, k].sum() / total if total > 0 else np.nan
                tables.append(
                    part.assign(group=group, time=time, share=share, observed=time in known)
                )
    columns = ["gene", "group", "time", "mean", "low", "high", "share", "observed"]
    order: dict[Any, dict[str, int]] = {
        "gene": places,
        "group": {str(name): place for place, name in enumerate(groups)},
    }
    table = pd.concat(tables)[columns].sort_values(
        ["gene", "group"], key=lambda keys: keys.map(order[keys.name]), ignore_index=True
    )
    if (colours := _group_colours(adata, by)) is not None:
        table["color"] = table["group"].map(colours)
    if course.time_points.has_unit:
        table["unit"] = course.time_points.unit
    scale = _SCALES.get(course.representation.kind, "")
    if decoder is None and scale:
        table["scale"] = scale
    return names.add_ids(table)


def _group_colours(adata: AnnData, by: str | None) -> pd.Series | None:
    """Return the colours of groups, or of the groups that fates were estimated of, if known."""
    column = by
    if by is not None and by in adata.obsm:
        column = (read_record(adata.uns, by) or {}).get("groups")
    if column is None or column not in adata.obs:
        return None
    colours = colours_for_table(adata, str(column))
    return None if colours.empty else colours


def _make_decoder(
    course: TimeCourse,
    decoder: Decoder | None,
    names: GeneNames,
    genes: str | Sequence[str] | None,
) -> Callable[[np.ndarray], Iterator[tuple[pd.DataFrame, GeneNames]]]:
    """Return a function from points to tables of chosen genes, and the names of all genes.

    Genes have the names to show; the map of the representation gives a block of them at a time.
    """
    if decoder is None:
        fitted, decoded, columns = choose_genes(course, names, genes)
        shown = decoded.labels[columns]

        def decode_blocks(points: np.ndarray) -> Iterator[tuple[pd.DataFrame, GeneNames]]:
            size = max(1, _VALUES // max(len(points), 1))
            exact = points.astype(np.float64)
            for start in range(0, len(columns), size):
                block = slice(start, start + size)
                values = fitted.decode(exact, columns[block])
                yield pd.DataFrame(values, columns=shown[block]), decoded

        return decode_blocks

    def decode(points: np.ndarray) -> Iterator[tuple[pd.DataFrame, GeneNames]]:
        table = _call_decoder(decoder, points.astype(np.float64), names)
        decoded = names.of([str(name) for name in table])
        columns = decoded.find_all(genes, "the decoded expression")
        yield table.iloc[:, columns].set_axis(decoded.labels[columns], axis=1), decoded

    return decode


def _call_decoder(decoder: Decoder, points: np.ndarray, names: GeneNames) -> pd.DataFrame:
    """Return what a decoder of the user makes of points, with one column for each gene."""
    values = decoder(points)
    table = values if isinstance(values, pd.DataFrame) else pd.DataFrame(np.asarray(values))
    if len(table) != len(points):
        raise InputError(f"the decoder gave {len(table)} rows for {len(points)} points")
    if table is values:
        return table.reset_index(drop=True)
    if table.shape[1] != len(names.ids):
        raise InputError(
            f"the decoder gave {table.shape[1]} columns without names, and there are "
            f"{len(names.ids)} genes; let it give a DataFrame with a column a gene"
        )
    return table.set_axis(list(names.ids), axis=1)


def _summarise(
    expression: pd.DataFrame, weights: np.ndarray, quantiles: tuple[float, float]
) -> Iterator[pd.DataFrame]:
    """Yield the mean and quantiles of each gene by each column of weights; NaN without any."""
    values = expression.to_numpy(dtype=np.float64)
    order = np.argsort(values, axis=0)
    for own in weights.T:
        found = {name: np.full(values.shape[1], np.nan) for name in ("mean", "low", "high")}
        if own.sum() > 0:
            shares = own / own.sum()
            found["mean"] = shares @ values
            reached = np.cumsum(shares[order], axis=0)
            for name, level in zip(("low", "high"), quantiles, strict=True):
                place = (reached < level - 1e-12).sum(axis=0)[None]
                row = np.take_along_axis(order, place, 0)
                found[name] = np.take_along_axis(values, row, 0)[0]
        yield pd.DataFrame({"gene": list(expression), **found})
