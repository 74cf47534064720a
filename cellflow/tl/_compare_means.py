"""Differences of means between conditions: of fate probabilities, groups and growth rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import stats

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._keys import FATE, FIT, GROWTH, PROBABILITIES, is_relative_growth, read_record
from cellflow._log import log_info
from cellflow.tl._condition_pairs import ConditionPairs, Samples
from cellflow.tl._groups import membership_of

#: Squared errors that are rounding.
_ROUNDING = 1e-24

#: Probability that an interval holds the difference.
_CONFIDENCE = 0.95


def compare_means(
    found: ConditionPairs, values: pd.DataFrame, end: float | None = None
) -> pd.DataFrame:
    """Return a row for each condition, time and column of values; see `tl.compare`.

    Parameters
    ----------
    found
        The conditions.
    values
        Values of all cells, one column for each group; cells with missing values are left out.
    end
        Time of the cells that values of earlier ones were estimated from, whose sampling error they
        share; None for values that were measured.

    Raises
    ------
    InputError
        If no time has a value in both conditions.
    """
    matrix = values.to_numpy(dtype=np.float64)
    by_replicates = found.replicate_key is not None
    tables = []
    for pair in found.pairs:
        for time, sides in pair.samples.items():
            first, second = (_read_units(matrix, side, by_replicates) for side in sides)
            if not len(first) or not len(second):
                continue
            means = [each.mean(axis=0) for each in (first, second)]
            estimated_from = end if end is not None and time < end else None
            shared = () if estimated_from is None else pair.samples.get(estimated_from, ({}, {}))
            ends = [_read_units(matrix, side, by_replicates) for side in shared]
            half = _half_interval([first, second, *ends])
            tables.append(
                pd.DataFrame(
                    {
                        "condition": pair.condition,
                        "reference": pair.reference,
                        "time": time,
                        "group": list(map(str, values)),
                        "mean": means[1],
                        "mean_reference": means[0],
                        "difference": means[1] - means[0],
                        "low": means[1] - means[0] - half,
                        "high": means[1] - means[0] + half,
                        "units": "replicates" if by_replicates else "cells",
                        "n": len(second),
                        "n_reference": len(first),
                    }
                )
            )
    if not tables:
        raise InputError("no time has a value for cells of both conditions")
    if not by_replicates:
        log_info(
            "intervals are those of the means of these cells; replicate_key (--replicate-key) "
            "gives those of the means of replicates, which are wider"
        )
    return found.add_unit(pd.concat(tables, ignore_index=True))


def read_fates(
    adata: AnnData, by: str | None, condition_key: str
) -> tuple[pd.DataFrame, float | None]:
    """Return fate probabilities, or membership in groups, of all cells, NaN where unknown.

    Also return the time of the cells that probabilities were estimated from, None for groups.

    Raises
    ------
    InputError
        If there are no fates, or no such column or key.
    """
    key = FATE + PROBABILITIES if by is None else by
    if by is None and key not in adata.obsm:
        raise InputError(
            f"no obsm key {key!r}; run cellflow.tl.fates (cellflow fates) first, or name a column "
            "of obs with groups (by, --by)"
        )
    values = membership_of(adata, key)
    if key not in adata.obsm:
        return values.where(values.sum(axis=1) > 0), None
    fates, fitted = read_record(adata.uns, key), read_record(adata.uns, FIT)
    if fates and fitted and fates.get("flow_id") == fitted.get("flow_id"):
        kept = [*np.atleast_1d(fitted.get("condition_keys", ())), fitted.get("label_key")]
        if condition_key not in kept:
            log_info(
                f"obsm[{key!r}] is of a flow that couples cells of different conditions, so "
                "differences before the last time are smaller than they are: fit it with "
                f"condition_keys={condition_key!r} (--condition-key)"
            )
    return values, float(fates["time"]) if fates and "time" in fates else None


def read_growth(adata: AnnData, by: str | None) -> pd.DataFrame:
    """Return the growth rates of all cells, one column.

    Raises
    ------
    InputError
        If there are no rates, or they are not numbers.
    """
    key = GROWTH if by is None else by
    if by is None and key not in adata.obs:
        raise InputError(
            f"no obs column {key!r}; run cellflow.pp.growth or cellflow.tl.growth first, or name a "
            "column of obs with rates (by, --by)"
        )
    check_choice(key, [str(name) for name in adata.obs], "obs column")
    if not pd.api.types.is_numeric_dtype(adata.obs[key]):
        raise InputError(f"obs[{key!r}] has no numbers, and growth rates are numbers")
    if is_relative_growth(adata.uns, key):
        log_info(
            f"obs[{key!r}] compares cells of one time with each other, so only the sign and order "
            "of differences between conditions can be read"
        )
    log_info(
        "numbers of cells are not compared: they depend on how many were sampled, so it cannot be "
        "told here whether a population grew or cells moved there"
    )
    return adata.obs[[key]]


def _read_units(matrix: np.ndarray, samples: Samples, by_replicates: bool) -> np.ndarray:
    """Return the values of cells, or the means of replicates, shape (n, K)."""
    known = [rows[np.isfinite(matrix[rows]).all(axis=1)] for rows in samples.values()]
    if not by_replicates:
        return matrix[np.concatenate([np.empty(0, dtype=np.int64), *known])]
    means = [matrix[rows].mean(axis=0) for rows in known if len(rows)]
    return np.stack(means) if means else np.empty((0, matrix.shape[1]))


def _half_interval(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Return half of Welch's interval for a sum or difference of means, shape (K,).

    NaN where no sample varies, or one has fewer than two units.
    """
    if min(map(len, samples)) < 2:
        return np.full(samples[0].shape[1], np.nan)
    parts = np.stack([each.var(axis=0, ddof=1) / len(each) for each in samples])
    freedom = np.array([len(each) - 1 for each in samples])[:, None]
    square = parts.sum(axis=0)
    square = np.where(square > _ROUNDING, square, np.nan)
    df = square**2 / (parts**2 / freedom).sum(axis=0)
    return stats.t.ppf((1 + _CONFIDENCE) / 2, df) * np.sqrt(square)
