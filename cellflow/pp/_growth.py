"""The verb `pp.growth`: growth rates of cells from two gene sets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
from anndata import AnnData
from scipy.special import expit
from scipy.stats import rankdata

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow._keys import (
    APOPTOSIS,
    GROWTH,
    GROWTH_SETTINGS,
    LEARNED_GROWTH,
    PROLIFERATION,
    read_record,
    remove_record,
    write_record,
)
from cellflow._log import log_info
from cellflow.io import GeneNames, detect_unit
from cellflow.io.matrices import Matrix
from cellflow.io.time_labels import DAYS, unit_of_name
from cellflow.representation.chunks import map_chunks, moments, open_expression
from cellflow.representation.expression import (
    check_unique_genes,
    describe_raw,
    gene_table,
    stored_expression,
)
from cellflow.representation.scales import ExpressionScale, decoded_scale

#: Smallest fraction of a gene set that must be in the data.
MIN_SHARE = 0.3
#: Score at which a rate is halfway between its limits, and width of the rise around it.
BIRTH_RISE = (0.25, 0.5)
DEATH_RISE = (0.1, 0.2)
#: Smallest number of genes per bin of similar expression; scanpy's 25 bins need 500 genes.
_BIN_SIZE = 20


@dataclass(frozen=True)
class GeneSet:
    """Genes of a set: those `found`, by their names in the data, and those `missing`.

    `columns` has the positions of each gene found: several if genes of the data share its symbol.
    """

    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    columns: tuple[tuple[int, ...], ...] = ()

    @property
    def share(self) -> float:
        """Fraction of the genes that was found; 0 for an empty set."""
        return len(self.found) / max(len(self.found) + len(self.missing), 1)

    def __str__(self) -> str:
        return f"{len(self.found)} of {len(self.found) + len(self.missing)}"

    def entry(self, names: GeneNames) -> dict[str, object]:
        """Return the set as a mapping for `uns`."""
        ids = [names.ids[column] for columns in self.columns for column in columns]
        named = {"genes": self.found, "gene_ids": ids, "missing": self.missing}
        return {key: np.array(each, dtype=object) for key, each in named.items()} | {
            "share": self.share
        }


def growth(
    adata: AnnData,
    *,
    time_key: str | None = None,
    species: str | None = None,
    proliferation: Sequence[str] | None = None,
    apoptosis: Sequence[str] | None = None,
    gene_symbols: str | None = None,
    layer: str | None = None,
    birth: tuple[float, float] = (0.3, 1.7),
    death: tuple[float, float] = (0.3, 1.7),
    per: str | float | None = None,
    key_added: str = GROWTH,
    copy: bool = False,
) -> AnnData | None:
    """Estimate the growth rate of each cell from proliferation and apoptosis genes.

    A logistic function turns the score of a gene set into a rate. The growth rate is the birth rate
    minus the death rate: after a time `dt` a cell has `exp(growth * dt)` descendants on average.
    Expression may stay on disk, as for `pp.embed`.

    Parameters
    ----------
    adata
        Annotated data matrix, with gene symbols as `var_names` or in a column of `var`.
    time_key
        Column of `obs` with the times; None uses the one that `pp.time_points` recorded, or
        one of a usual name (`time`, `day`, ...).
    species
        Species of the gene symbols, `human` or `mouse`. None detects mouse by names in lower case
        after the first letter (`Trp53`), else human.
    proliferation
        Genes of dividing cells, by symbol or identifier. None uses the 97 markers of S and G2/M
        phase of Tirosh et al.
    apoptosis
        Genes of dying cells. None uses 31 core genes of apoptosis. With `()`, or if too few of the
        31 are in the data, all cells have the death rate of score zero.
    gene_symbols
        Column of `var` with the symbols of the genes. None uses a column of a usual name
        (`feature_name`, `gene_symbols`, `gene_name`, ...) if `var_names` are other names, such as
        identifiers of Ensembl, and reports it.
    layer
        Layer with the expression, or `raw`; None uses `X`. It is brought to a logarithmic scale as
        by `pp.embed`.
    birth, death
        Lowest and highest rate, per day. Between them the rate rises with the score, halfway at
        0.25 (births) and 0.1 (deaths), over a width of 0.5 and 0.2.
    per
        Unit of elapsed time: `minute`, `hour`, `day`, `week`, `month`, `year`, or a number of
        days. None uses the unit of the time column, by its labels (`24h`, `day 2`) or its name
        (`day`, `hours`). Required for times without a unit, ordered categories and stages.
    key_added
        Column of `obs` to write the growth rates to.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obs[key_added]`
        Growth rate of each cell, float64, per unit of elapsed time.
    `obs["cellflow_proliferation"]`, `obs["cellflow_apoptosis"]`
        Scores of the two sets, float64; zero where no apoptosis genes were used.
    `uns["cellflow"]["growth"]`
        `key_added`, `species`, `layer`, `gene_symbols` (the column; empty for `var_names`), `per`,
        `days_per_unit`, `birth`, `death`, and for `proliferation` and `apoptosis` the `genes`
        found, their `gene_ids` in `var_names`, those `missing` and the `share` found.

    Raises
    ------
    InputError
        If fewer than 30 % of the genes of a set are in the data, the unit of time is unknown or
        differs from `per`, or an argument is invalid.

    Notes
    -----
    Scores are scanpy's `score_genes`: mean of the set minus mean of genes of similar expression,
    here of all such genes and not of a random sample, so that no seed is needed. Of several genes
    with the symbol of a set, the one with the highest mean expression is scored. The logistic
    function and its numbers are those of Waddington-OT (Schiebinger et al. 2019, Cell 176:928, and
    its tutorial), chosen for one mouse reprogramming time course: use the rates as a first guess.
    Sources of the genes are listed in `cellflow/pp/data/README.md`.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd, cellflow as cf
    >>> names = ["MKI67", "TOP2A", "CDK1", *(f"GENE{k}" for k in range(57))]
    >>> counts = np.random.default_rng(0).poisson(2.0, (40, 60))
    >>> counts[:20, :3] += 6  # the first half of the cells divides
    >>> obs = pd.DataFrame({"day": [0, 1] * 20}, index=[f"cell{k}" for k in range(40)])
    >>> adata = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=names))
    >>> cf.pp.growth(adata, proliferation=["MKI67", "TOP2A", "CDK1"], apoptosis=())
    >>> rates = adata.obs["cellflow_growth"]
    >>> bool(rates[:20].mean() > rates[20:].mean())
    True
    """
    _check_limits(birth, "birth")
    _check_limits(death, "death")
    unit, days = _unit_of_time(adata, time_key, per)
    stored_expression(adata, layer, or_embedding=False)
    names = GeneNames.read(gene_table(adata, layer), gene_symbols)
    species = _species(names, species)
    more = describe_raw(adata, layer)
    dividing, dying = _gene_sets(names, species, proliferation, apoptosis, more)
    check_unique_genes(gene_table(adata, layer).index)
    x = open_expression(adata, layer)
    scale = decoded_scale(adata, x)
    _, mean, _ = moments(x, scale.to_log)
    dividing, dying = (_choose_genes(mean, names, genes) for genes in (dividing, dying))
    proliferation_score, apoptosis_score = _score(x, scale, mean, dividing, dying)
    scores = {PROLIFERATION: proliferation_score, APOPTOSIS: apoptosis_score}
    births = _rate(proliferation_score, birth, BIRTH_RISE)
    deaths = _rate(apoptosis_score, death, DEATH_RISE)
    adata = adata.copy() if copy else adata
    adata.obs = adata.obs.assign(**scores, **{key_added: (births - deaths) * days})
    entry = {
        "key_added": key_added,
        "species": species,
        "layer": layer or "",
        "gene_symbols": names.column or "",
        "per": unit,
        "days_per_unit": days,
        "birth": np.array(birth, dtype=np.float64),
        "death": np.array(death, dtype=np.float64),
        "proliferation": dividing.entry(names),
        "apoptosis": dying.entry(names),
    }
    write_record(adata.uns, GROWTH_SETTINGS, entry)
    learned = dict(read_record(adata.uns, LEARNED_GROWTH) or {})
    if learned.pop(key_added, None) is not None:
        remove_record(adata.uns, LEARNED_GROWTH)
        if learned:
            write_record(adata.uns, LEARNED_GROWTH, learned)
    log_info(f"growth per {unit}: {dividing} proliferation and {dying} apoptosis genes ({species})")
    return adata if copy else None


def gene_names(species: str, *sets: str) -> list[tuple[str, ...]]:
    """Return the symbols of the sets `S`, `G2M` or `apoptosis`, each followed by older names."""
    text = (files("cellflow.pp") / "data" / "growth_genes.tsv").read_text(encoding="utf-8")
    header, *rows = (line.split("\t") for line in text.splitlines())
    column = header.index(species)
    return [tuple(row[column].split("|")) for row in rows if row[0] in sets]


def _check_limits(limits: tuple[float, float], what: str) -> None:
    low, high = limits
    if not 0 <= low <= high < np.inf:
        raise InputError(
            f"{what} must be (lowest, highest) with 0 <= lowest <= highest, got {limits}"
        )


def _unit_of_time(
    adata: AnnData, time_key: str | None, per: str | float | None
) -> tuple[str, float]:
    """Return the unit of elapsed time, as text and in days."""
    detected = _detect_unit(adata, time_key)
    if per is None and detected not in DAYS:
        raise InputError(
            "the times have no unit of fixed length, which growth rates per day require; run "
            "pp.time_points on labels such as '24h', or give the unit by per= (--per day): "
            f"{format_list(map(repr, DAYS))} or a number of days"
        )
    if (number := _number(per)) is not None:
        check_positive(number, "per")
        unit, days = f"{number:g} days", number
    else:
        unit = detected if per is None else unit_of_name(str(per).strip()) or str(per)
        check_choice(unit, DAYS, "unit of time")
        days = DAYS[unit]
    if detected in DAYS and not np.isclose(days, DAYS[detected]):
        raise InputError(f"per is {per!r}, but the times are in {detected}s; leave per out")
    return unit, days


def _number(per: object) -> float | None:
    """Return a number, or the number in a text; None for a word."""
    try:
        return float(per)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _detect_unit(adata: AnnData, time_key: str | None) -> str:
    """Return the unit of the time column by its labels, else by its name; else empty."""
    try:
        return detect_unit(adata, time_key)
    except InputError:
        if time_key is not None:
            raise
        # Rates require only the unit of times, which the caller may give.
        return ""


def _species(names: GeneNames, species: str | None) -> str:
    if species is None:
        pairs = zip(names.ids, names.symbols, strict=True)
        symbols = [symbol for name, symbol in pairs if symbol != name] or names.symbols
        lower = sum(symbol[1:].islower() for symbol in symbols)
        return "mouse" if lower > len(symbols) / 2 else "human"
    check_choice(species, ("human", "mouse"), "species")
    return species


def _gene_sets(
    names: GeneNames,
    species: str,
    proliferation: Sequence[str] | None,
    apoptosis: Sequence[str] | None,
    more: str,
) -> tuple[GeneSet, GeneSet]:
    """Return genes of dividing and of dying cells; the latter empty for a constant death rate.

    `more` ends the message on genes that are missing.
    """
    dividing = _look_up(names, proliferation, gene_names(species, "S", "G2M"))
    _check_share(dividing, "proliferation", species, names, more)
    dying = _look_up(names, apoptosis, gene_names(species, "apoptosis"))
    if apoptosis is None and dying.share < MIN_SHARE:
        log_info(f"only {dying} apoptosis genes are in the data: all cells get the same death rate")
        return dividing, GeneSet(missing=dying.found + dying.missing)
    if dying != GeneSet():
        _check_share(dying, "apoptosis", species, names, more)
    return dividing, dying


def _look_up(names: GeneNames, given: Sequence[str] | None, ours: list[tuple[str, ...]]) -> GeneSet:
    """Find each gene in the data, by its current or an older name."""
    if isinstance(given, str):
        raise InputError(f"a set of genes must be a list of names, got {given!r}")
    wanted = ours if given is None else [(name,) for name in dict.fromkeys(given)]
    found: dict[str, tuple[int, ...]] = {}
    missing: list[str] = []
    for synonyms in wanted:
        there = next((name for name in synonyms if names.find(name)), None)
        if there is None:
            missing.append(synonyms[0])
        else:
            found[there] = tuple(names.find(there))
    return GeneSet(tuple(found), tuple(missing), tuple(found.values()))


def _choose_genes(mean: np.ndarray, names: GeneNames, genes: GeneSet) -> GeneSet:
    """Return the set with one gene for each symbol: that of the highest mean expression."""
    if not any(len(columns) > 1 for columns in genes.columns):
        return genes
    columns = [max(each, key=mean.__getitem__) for each in genes.columns]
    shared = [
        f"{gene} ({names.ids[column]})"
        for gene, column, each in zip(genes.found, columns, genes.columns, strict=True)
        if len(each) > 1
    ]
    log_info(f"of genes that share a symbol the highest expressed is used: {format_list(shared)}")
    return replace(genes, columns=tuple((column,) for column in columns))


def _check_share(genes: GeneSet, what: str, species: str, names: GeneNames, more: str) -> None:
    if genes.share < MIN_SHARE:
        others = (
            f" (gene_symbols=, --gene-symbols names another column: {format_list(names.columns)})"
            if names.columns
            else ""
        )
        hint = names.describe_symbols() or (
            f". Does {names.source} hold gene symbols{others}, is the species {species!r}, and are "
            f"all genes there, not only variable ones? Or give your own genes as {what}"
        )
        raise InputError(
            f"{genes} {what} genes ({genes.share:.0%}) are in the data, at least {MIN_SHARE:.0%} "
            f"are required; missing: {format_list(genes.missing) or 'none'}{hint}{more}"
        )


def _score(x: Matrix, scale: ExpressionScale, mean: np.ndarray, *sets: GeneSet) -> list[np.ndarray]:
    """Return the scores of each set, shape (n,).

    A score is linear in the expression, so one pass over the cells serves all sets.
    """
    weights = np.column_stack([_weights_of_genes(mean, genes) for genes in sets])
    product = functools.partial(_weigh, scale=scale, weights=weights)
    return list(np.concatenate(list(map_chunks(x, product))).T)


def _weigh(x: Matrix, scale: ExpressionScale, weights: np.ndarray) -> np.ndarray:
    return np.asarray(scale.to_log(x) @ weights)


def _weights_of_genes(mean: np.ndarray, genes: GeneSet) -> np.ndarray:
    """Return weights of genes (g,) in the mean of a set minus that of genes of similar expression.

    As by scanpy's `score_genes`, with all genes of the bins of the set as controls.
    """
    weights = np.zeros(len(mean))
    if not genes.found:
        return weights
    chosen = np.zeros(len(mean), dtype=bool)
    chosen[[column for columns in genes.columns for column in columns]] = True
    n_bins = int(np.clip(len(mean) // _BIN_SIZE, 2, 25))
    bins = (rankdata(mean, method="min") // round(len(mean) / (n_bins - 1))).astype(np.int64)
    controls = np.isin(bins, bins[chosen]) & ~chosen
    if not controls.any():
        raise InputError(f"no other genes have an expression similar to {format_list(genes.found)}")
    weights[chosen], weights[controls] = 1 / chosen.sum(), -1 / controls.sum()
    return weights


def _rate(score: np.ndarray, limits: tuple[float, float], rise: tuple[float, float]) -> np.ndarray:
    """Return a logistic function between the limits, with slope (high - low) / width."""
    (low, high), (centre, width) = limits, rise
    return low + (high - low) * expit(4 * (score - centre) / width)
