"""Differences of means between conditions: of fate probabilities, groups and growth rates."""

from __future__ import annotations

import warnings

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

#: Probability that an interval holds the difference.
_CONFIDENCE = 0.95


def compare_means(found: ConditionPairs, values: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each condition, time and column of values; see `tl.compare`.

    Parameters
    ----------
    found
        The conditions.
    values
        Values of all cells, one column for each group; cells with missing values are left out.

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
            low, high = _welch_interval(first, second)
            means = [each.mean(axis=0) for each in (first, second)]
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
                        "low": low,
                        "high": high,
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


def read_fates(adata: AnnData, by: str | None, condition_key: str) -> pd.DataFrame:
    """Return fate probabilities, or membership in groups, of all cells; NaN where unknown.

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
        return values.where(values.sum(axis=1) > 0)
    fates, fitted = read_record(adata.uns, key), read_record(adata.uns, FIT)
    if fates and fitted and fates.get("flow_id") == fitted.get("flow_id"):
        kept = [*np.atleast_1d(fitted.get("condition_keys", ())), fitted.get("label_key")]
        if condition_key not in kept:
            log_info(
                f"obsm[{key!r}] is of a flow that couples cells of different conditions, so "
                "differences before the last time are smaller than they are: fit it with "
                f"condition_keys={condition_key!r} (--condition-key)"
            )
    return values


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
        return matrix[np.concatenate(known)]
    means = [matrix[rows].mean(axis=0) for rows in known if len(rows)]
    return np.stack(means) if means else np.empty((0, matrix.shape[1]))


def _welch_interval(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of the difference of means; NaN where neither side varies."""
    low, high = np.full((2, first.shape[1]), np.nan)
    varies = (np.ptp(first, axis=0) > 0) | (np.ptp(second, axis=0) > 0)
    if min(len(first), len(second)) > 1 and varies.any():
        with warnings.catch_warnings():
            # scipy warns of columns that are constant on one side, which are no fault here.
            warnings.simplefilter("ignore", RuntimeWarning)
            test = stats.ttest_ind(second[:, varies], first[:, varies], equal_var=False)
            found = test.confidence_interval(_CONFIDENCE)
        low[varies], high[varies] = found.low, found.high
    return low, high
