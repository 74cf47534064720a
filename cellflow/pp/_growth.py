"""The verb `pp.growth`: births and deaths of cells, told from two sets of genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import expit

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
from cellflow.io import time_key_of, time_points_of
from cellflow.io.time_points import DAYS, UNIT_OF_WORD
from cellflow.representation.expression import read_expression
from cellflow.representation.representation import on_log_scale

#: Share of a set's genes that must be in the data.
MIN_SHARE = 0.3
#: Score at which a rate is half way between its limits, and width of the rise around it.
BIRTH_RISE = (0.25, 0.5)
DEATH_RISE = (0.1, 0.2)
#: No logarithm of expression is above this: even log2 of a billion is 30.
_MAX_LOG = 30.0
#: Genes of similar expression that a gene is compared with, at least; scanpy's 25 bins need 500.
_BIN_SIZE = 20


@dataclass(frozen=True)
class GeneSet:
    """Genes of a set: those `found`, under their names in the data, and those `missing`."""

    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Part of the genes that was found; 0 for an empty set."""
        return len(self.found) / max(len(self.found) + len(self.missing), 1)

    def __str__(self) -> str:
        return f"{len(self.found)} of {len(self.found) + len(self.missing)}"

    def entry(self) -> dict[str, object]:
        """The set as a mapping for `uns`."""
        genes, missing = (np.array(names, dtype=object) for names in (self.found, self.missing))
        return {"genes": genes, "missing": missing, "share": self.share}


def growth(
    adata: AnnData,
    *,
    time_key: str | None = None,
    species: str | None = None,
    proliferation: Sequence[str] | None = None,
    apoptosis: Sequence[str] | None = None,
    layer: str | None = None,
    birth: tuple[float, float] = (0.3, 1.7),
    death: tuple[float, float] = (0.3, 1.7),
    per: str | float | None = None,
    key_added: str = GROWTH,
    copy: bool = False,
) -> AnnData | None:
    """Estimate how fast each cell multiplies, from proliferation and apoptosis genes.

    A set's score becomes a rate by a logistic function, and the growth rate is the birth rate
    minus the death rate: over a time `dt` a cell leaves `exp(growth * dt)` descendants on average.

    Parameters
    ----------
    adata
        Annotated data matrix, with gene symbols as `var_names`.
    time_key
        Column of `obs` with the times; None takes the one that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    species
        Whose symbols they are, `human` or `mouse`. None takes mouse where most names go on in
        lower case after their first letter (`Trp53`), else human.
    proliferation
        Genes of dividing cells. None takes the 97 markers of S and G2/M phase of Tirosh et al.
    apoptosis
        Genes of dying cells. None takes 31 core genes of apoptosis. For `()`, or where too few of
        the 31 are in the data, all cells die at the rate of score zero.
    layer
        Layer with the expression; None takes `X`. Counts are normalised to the median depth and
        log1p-transformed; other values are taken as they are, and must be on a logarithmic scale.
    birth, death
        Lowest and highest rate, per day. Between them the rate rises with the score, half way at
        0.25 (births) and 0.1 (deaths), over a width of 0.5 and 0.2.
    per
        What one unit of elapsed time is: `minute`, `hour`, `day`, `week`, or a number of days.
        None takes the unit of the time column, by its labels (`24h`, `day 2`) or its name (`day`,
        `hours`). Times without a unit, ordered categories, months and years need it.
    key_added
        Column of `obs` to write the growth rates to.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obs[key_added]`
        Growth rate of each cell, float64, per unit of elapsed time of the course.
    `obs["cellflow_proliferation"]`, `obs["cellflow_apoptosis"]`
        Scores of the two sets, float64; zero where no apoptosis genes were used.
    `uns["cellflow"]["growth"]`
        `key_added`, `species`, `layer`, `per`, `days_per_unit`, `birth`, `death`, and for
        `proliferation` and `apoptosis` the `genes` found, those `missing` and the `share` found.

    Raises
    ------
    InputError
        If fewer than 30 % of the genes of a set are in the data, the unit of time is not known or
        another than `per`, the expression is on no logarithmic scale, or an argument is not valid.

    Notes
    -----
    Scores are scanpy's `score_genes`: mean of the set minus mean of genes of similar expression,
    here of all such genes and not of a random sample, so that no seed enters. The logistic function
    and its numbers are those of Waddington-OT (Schiebinger et al. 2019, Cell 176:928, and its
    tutorial), chosen for one mouse reprogramming course: take the rates as a first
    guess. Sources of the genes stand in `cellflow/pp/data/README.md`.

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
    species = _species(adata, species)
    dividing, dying = _gene_sets(adata, species, proliferation, apoptosis)
    work = _log_expression(adata, layer)
    scores = {PROLIFERATION: _score(work, dividing.found), APOPTOSIS: _score(work, dying.found)}
    births = _rate(scores[PROLIFERATION], birth, BIRTH_RISE)
    deaths = _rate(scores[APOPTOSIS], death, DEATH_RISE)
    adata = adata.copy() if copy else adata
    adata.obs = adata.obs.assign(**scores, **{key_added: (births - deaths) * days})
    entry = {
        "key_added": key_added,
        "species": species,
        "layer": layer or "",
        "per": unit,
        "days_per_unit": days,
        "birth": np.array(birth, dtype=np.float64),
        "death": np.array(death, dtype=np.float64),
        "proliferation": dividing.entry(),
        "apoptosis": dying.entry(),
    }
    write_record(adata.uns, GROWTH_SETTINGS, entry)
    if (read_record(adata.uns, LEARNED_GROWTH) or {}).get("key_added") == key_added:
        remove_record(adata.uns, LEARNED_GROWTH)
    log_info(f"growth per {unit}: {dividing} proliferation and {dying} apoptosis genes ({species})")
    return adata if copy else None


def gene_names(species: str, *sets: str) -> list[tuple[str, ...]]:
    """Symbols of the sets `S`, `G2M` or `apoptosis`, each with its earlier ones after it."""
    text = (files("cellflow.pp") / "data" / "growth_genes.tsv").read_text(encoding="utf-8")
    header, *rows = (line.split("\t") for line in text.splitlines())
    column = header.index(species)
    return [tuple(row[column].split("|")) for row in rows if row[0] in sets]


def _check_limits(limits: tuple[float, float], what: str) -> None:
    low, high = limits
    if not 0 <= low <= high < np.inf:
        raise InputError(f"{what} must be a lowest and a highest rate from 0 up, got {limits}")


def _unit_of_time(
    adata: AnnData, time_key: str | None, per: str | float | None
) -> tuple[str, float]:
    """What one unit of elapsed time is, in words and in days."""
    told = _told_unit(adata, time_key)
    if per is None and told not in DAYS:
        raise InputError(
            "the times of the course tell no unit of fixed length, and rates are per day; run "
            "pp.time_points on labels such as '24h', or say what one unit of time is: "
            f"per={format_list(map(repr, DAYS))} or a number of days"
        )
    if (number := _number(per)) is not None:
        check_positive(number, "per")
        unit, days = f"{number:g} days", number
    else:
        unit = told if per is None else UNIT_OF_WORD.get(str(per).strip().lower(), str(per))
        check_choice(unit, DAYS, "unit of time")
        days = DAYS[unit]
    if told in DAYS and not np.isclose(days, DAYS[told]):
        raise InputError(f"per is {per!r}, but the times of the course are in {told}s")
    return unit, days


def _number(per: object) -> float | None:
    """The number that is given, or written in a text; None where it is a word."""
    try:
        return float(per)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _told_unit(adata: AnnData, time_key: str | None) -> str:
    """Unit of the time column by its labels, else by its name; empty where neither tells."""
    try:
        key = time_key_of(adata, time_key)
        return time_points_of(adata, key).unit or UNIT_OF_WORD.get(key.lower(), "")
    except InputError:
        if time_key is not None:
            raise
        # Rates need no times, only their unit, which the caller may give.
        return ""


def _species(adata: AnnData, species: str | None) -> str:
    if species is None:
        lower = sum(str(name)[1:].islower() for name in adata.var_names)
        return "mouse" if lower > adata.n_vars / 2 else "human"
    check_choice(species, ("human", "mouse"), "species")
    return species


def _gene_sets(
    adata: AnnData,
    species: str,
    proliferation: Sequence[str] | None,
    apoptosis: Sequence[str] | None,
) -> tuple[GeneSet, GeneSet]:
    """Genes of dividing and of dying cells; none of the latter for a constant death rate."""
    dividing = _look_up(adata, proliferation, gene_names(species, "S", "G2M"))
    _check_share(dividing, "proliferation", species)
    dying = _look_up(adata, apoptosis, gene_names(species, "apoptosis"))
    if apoptosis is None and dying.share < MIN_SHARE:
        log_info(
            f"{dying} apoptosis genes are in the data, too few: all cells die at the same rate"
        )
        return dividing, GeneSet(missing=dying.found + dying.missing)
    if dying != GeneSet():
        _check_share(dying, "apoptosis", species)
    return dividing, dying


def _look_up(adata: AnnData, given: Sequence[str] | None, ours: list[tuple[str, ...]]) -> GeneSet:
    """The first name of each gene that the data has."""
    if isinstance(given, str):
        raise InputError(f"a set of genes must be a list of names, got {given!r}")
    wanted = ours if given is None else [(name,) for name in dict.fromkeys(given)]
    here = {names[0]: [name for name in names if name in adata.var_names] for names in wanted}
    return GeneSet(
        found=tuple(names[0] for names in here.values() if names),
        missing=tuple(symbol for symbol, names in here.items() if not names),
    )


def _check_share(genes: GeneSet, what: str, species: str) -> None:
    if genes.share < MIN_SHARE:
        raise InputError(
            f"{genes} {what} genes ({genes.share:.0%}) are in the data, at least {MIN_SHARE:.0%} "
            f"are needed; missing: {format_list(genes.missing) or 'none'}. Are var_names gene "
            f"symbols, is the species {species!r}, and are all genes there, not only variable "
            f"ones? Else give genes of your own as {what}"
        )


def _log_expression(adata: AnnData, layer: str | None) -> AnnData:
    """Expression on a logarithmic scale, float64, with the names of the genes and no more."""
    if not adata.var_names.is_unique:
        raise InputError("gene names repeat; call adata.var_names_make_unique() first")
    if layer is None and adata.X is None:
        raise InputError(
            f"X is empty; name a layer, there are: {format_list(adata.layers) or 'none'}"
        )
    x = on_log_scale(read_expression(adata, layer))
    if (top := float(x.max())) > _MAX_LOG:
        raise InputError(
            f"expression goes up to {top:g}, and is neither counts nor on a logarithmic scale; "
            "take scanpy.pp.log1p of it first, or name a layer with counts"
        )
    return AnnData(x.astype(np.float64), var=pd.DataFrame(index=adata.var_names))


def _score(work: AnnData, genes: tuple[str, ...]) -> np.ndarray:
    """Mean of the genes minus mean of all others in their bins of mean expression, shape (n,)."""
    import scanpy as sc

    if not genes:
        return np.zeros(work.n_obs)
    n_bins = int(np.clip(work.n_vars // _BIN_SIZE, 2, 25))
    try:
        # As many controls as there are: nothing is drawn, and numpy's global seed stays.
        sc.tl.score_genes(work, genes, ctrl_size=work.n_vars, n_bins=n_bins, random_state=None)
    except RuntimeError as error:
        raise InputError(f"no other genes of similar expression as {format_list(genes)}") from error
    return work.obs["score"].to_numpy(dtype=np.float64)


def _rate(score: np.ndarray, limits: tuple[float, float], rise: tuple[float, float]) -> np.ndarray:
    """Logistic function between the limits; its slope in the middle is (high - low) / width."""
    (low, high), (centre, width) = limits, rise
    return low + (high - low) * expit(4 * (score - centre) / width)
