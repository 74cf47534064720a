"""Encode columns of cells as covariates, and decide how couplings keep them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from torch import Tensor

from cellflow._checks import check_choice, check_finite, format_list
from cellflow._errors import CellflowWarning, InputError
from cellflow.flow import Flow
from cellflow.methods.method import Method
from cellflow.methods.parts import ConditionCostSettings

#: Cells that each value of a number needs at each time to be coupled on its own.
MIN_CELLS_WITHIN = 20

#: Default of `condition_weight`: pairs whose ranks differ by 0.05 cost as much more as random pairs
#: of one time are apart.
DEFAULT_WEIGHT = 800.0

#: Quantiles that ranks are interpolated between.
_N_QUANTILES = 101


@dataclass(frozen=True)
class Conditions:
    """Encoding of `obs` columns as covariates: categories one-hot, numbers as standardised ranks.

    Ranks resolve doses that are spaced by factors. A number between two known ones has a rank in
    proportion between theirs, of logarithms if the known ones are spaced by factors; one outside
    the known range that of the nearest.

    Couplings keep each column. Cells of different categories are not coupled, nor cells of
    different numbers if every value has 20 cells or more at every time. Otherwise the squared
    distance of ranks adds to the costs of couplings.

    Attributes
    ----------
    columns
        For each column its `key`, and either `categories`, or `n_values`, known `values` with their
        `ranks` from 0 to 1, whether the values are `spaced` by `factors` or `differences`, `centre`
        and `spread` of the ranks of cells, and whether cells are coupled `within` values. If not,
        squared distances of ranks are in costs, multiplied by `weight` and `unit`, the variance of
        the cost coordinates.
    """

    columns: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def fit(
        cls,
        obs: pd.DataFrame,
        keys: Sequence[str],
        elapsed: np.ndarray,
        *,
        label_key: str | None = None,
    ) -> Conditions:
        """Read the categories, or the numbers, of each column, and how couplings keep them.

        Parameters
        ----------
        obs
            Columns of the cells.
        keys
            The columns to encode.
        elapsed
            Time of each cell, shape (n,).
        label_key
            Further column within which cells are coupled.

        Raises
        ------
        InputError
            For a column that is missing, has a single value, or missing values.
        """
        fitted = {key: _fit_column(read_column(obs, key), key) for key in keys}
        within = [key for key in keys if "categories" in fitted[key]]
        within += [label_key] if label_key else []
        groups = number_groups(obs, within)
        for key in [key for key in keys if "categories" not in fitted[key]]:
            finer = number_groups(obs, [*within, key])
            fitted[key]["within"] = _has_enough_cells(finer, groups, elapsed)
            if fitted[key]["within"]:
                within, groups = [*within, key], finer
        return cls(tuple(fitted.values()))

    def weigh(self, points: np.ndarray, elapsed: np.ndarray, weight: float) -> Conditions:
        """Set the weight of ranks in costs.

        Parameters
        ----------
        points
            Coordinates of costs, shape (n, d).
        elapsed
            Time of each cell, shape (n,).
        weight
            Weight in units of the variance of the points at one time, a sum over dimensions.
        """
        if all(map(_is_within, self.columns)):
            return self
        unit = variance_within_times(points, elapsed)
        return Conditions(
            tuple(
                column if _is_within(column) else {**column, "weight": weight, "unit": unit}
                for column in self.columns
            )
        )

    def transform(self, obs: pd.DataFrame) -> Tensor | None:
        """Return covariates of all cells, shape (n, c), float32; None without columns."""
        if not self.columns:
            return None
        parts = [_encode_column(read_column(obs, column["key"]), column) for column in self.columns]
        return torch.as_tensor(np.hstack(parts), dtype=torch.float32)

    def cost_features(self, obs: pd.DataFrame) -> Tensor | None:
        """Return ranks times the root of their weight, shape (n, k), float32; None without."""
        parts = [
            _to_ranks(read_column(obs, column["key"]), column)
            * (column["weight"] * column["unit"]) ** 0.5
            for column in self.columns
            if column.get("weight")
        ]
        return torch.as_tensor(np.stack(parts, axis=1), dtype=torch.float32) if parts else None

    @property
    def within(self) -> list[str]:
        """Keys of the columns within whose values cells are coupled."""
        return [column["key"] for column in self.columns if _is_within(column)]

    def describe(self) -> list[str]:
        """Return a line for each column on how couplings keep it."""
        return [_describe_column(column) for column in self.columns]


def variance_within_times(points: np.ndarray, elapsed: np.ndarray) -> float:
    """Return the variance of the points of one time, a sum over dimensions; 1 if it is 0."""
    squares = [
        np.square(part - part.mean(axis=0)).sum()
        for part in (points[elapsed == time].astype(np.float64) for time in np.unique(elapsed))
    ]
    return float(np.sum(squares) / len(points)) or 1.0


def conditions_of(flow: Flow) -> Conditions:
    """Return the encoding of conditions that a flow was fitted with."""
    return Conditions(tuple(flow.context.settings.get("conditions", ())))


def condition_weight(method: Method) -> float:
    """Return the weight of ranks of numeric conditions in the costs of a method."""
    coupling = method.coupling
    given = coupling.condition_weight if isinstance(coupling, ConditionCostSettings) else None
    return DEFAULT_WEIGHT if given is None else given


def read_column(obs: pd.DataFrame, key: str) -> pd.Series:
    """Return a column of `obs` without missing values; raise `InputError` otherwise."""
    check_choice(key, [str(name) for name in obs], "obs column")
    column = obs[key]
    if column.isna().any():
        raise InputError(f"obs[{key!r}] has no value for {int(column.isna().sum())} cells")
    return column


def is_number(column: pd.Series) -> bool:
    """Report whether a condition is encoded as a number, and not as categories."""
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def spaced_by_factors(known: np.ndarray) -> bool:
    """Report whether numbers are spaced by factors rather than by differences.

    They are if the steps between the logarithms of three or more positive ones vary less, in
    proportion to their mean, than the steps between these numbers themselves.

    Parameters
    ----------
    known
        Distinct numbers, increasing.
    """
    positive = known[known > 0]
    if len(positive) < 3:
        return False
    steps, log_steps = np.diff(positive), np.diff(np.log(positive))
    return bool(log_steps.std() / log_steps.mean() < steps.std() / steps.mean())


def to_log_scale(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return logarithms of numbers from the smallest positive known one on, and a line below it.

    The line has the slope of the logarithm there, so that the scale goes through 0 and is smooth.
    """
    least = known[known > 0].min()
    return np.where(values > least, 1 + np.log(np.maximum(values, least) / least), values / least)


def number_groups(obs: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """Number the combinations of values of some columns, shape (n,); all 0 without columns."""
    if not keys:
        return np.zeros(len(obs), dtype=np.int64)
    groups = pd.DataFrame({key: read_column(obs, key).astype(str) for key in keys})
    # pandas 3 returns a read-only view, which PyTorch warns of.
    return groups.groupby(list(groups)).ngroup().to_numpy(copy=True)


def _has_enough_cells(finer: np.ndarray, groups: np.ndarray, elapsed: np.ndarray) -> bool:
    """Report whether each finer group has enough cells at each time at which its group has any."""
    if len(np.unique(finer)) * MIN_CELLS_WITHIN > len(finer):
        return False
    counts = pd.crosstab(finer, elapsed).to_numpy()
    _, first = np.unique(finer, return_index=True)
    present = pd.crosstab(groups, elapsed).loc[groups[first]].to_numpy() > 0
    return bool((counts[present] >= MIN_CELLS_WITHIN).all())


def _fit_column(column: pd.Series, key: str) -> dict[str, Any]:
    if column.nunique() < 2:
        raise InputError(f"obs[{key!r}] has a single value; a condition requires two or more")
    if is_number(column):
        check_finite(column.to_numpy(dtype=np.float64), f"obs[{key!r}]", list(column.index))
        return {"key": key, **_fit_ranks(column.to_numpy(dtype=np.float64))}
    return {"key": key, "categories": sorted(column.astype(str).unique().tolist())}


def _fit_ranks(values: np.ndarray) -> dict[str, Any]:
    """Return values of a number, or quantiles of many, and the mean rank of the cells of each."""
    known, counts = np.unique(values, return_counts=True)
    n_values = len(known)
    ranks = (np.cumsum(counts) - counts / 2) / len(values)
    if n_values > _N_QUANTILES:
        grid = np.linspace(0, 1, _N_QUANTILES)
        known, groups = np.unique(np.quantile(values, grid), return_inverse=True)
        ranks = np.bincount(groups, weights=grid) / np.bincount(groups)
    ranked = np.interp(values, known, ranks)
    return {
        "n_values": n_values,
        "values": known.tolist(),
        "ranks": ranks.tolist(),
        "spaced": "factors" if spaced_by_factors(known) else "differences",
        "centre": float(ranked.mean()),
        "spread": float(ranked.std()),
    }


def _to_ranks(column: pd.Series, encoding: Mapping[str, Any]) -> np.ndarray:
    """Return the rank of each number among those that were fitted, shape (n,)."""
    values, known = column.to_numpy(dtype=np.float64), np.asarray(encoding["values"])
    # Flows of earlier versions have differences.
    if encoding.get("spaced") == "factors":
        values, known = (to_log_scale(each, known) for each in (values, known))
    return np.interp(values, known, encoding["ranks"])


def _warn_if_outside(column: pd.Series, encoding: Mapping[str, Any]) -> None:
    """Warn of numbers beyond those that the encoding was fitted to."""
    low, high = encoding["values"][0], encoding["values"][-1]
    if n_outside := int(((column < low) | (column > high)).sum()):
        warnings.warn(
            f"{n_outside} values of obs[{encoding['key']!r}] are outside those that the flow was "
            f"fitted to, {low:g} to {high:g}: the course of the nearest is used, no data supports "
            "another",
            CellflowWarning,
            stacklevel=2,
        )


def _is_within(column: Mapping[str, Any]) -> bool:
    """Report whether cells are coupled within the values of a column."""
    return "categories" in column or column["within"]


def _encode_column(column: pd.Series, encoding: Mapping[str, Any]) -> np.ndarray:
    if "categories" not in encoding:
        _warn_if_outside(column, encoding)
        return ((_to_ranks(column, encoding) - encoding["centre"]) / encoding["spread"])[:, None]
    values = column.astype(str)
    if foreign := sorted(set(values) - set(encoding["categories"])):
        raise InputError(
            f"obs[{encoding['key']!r}] has values that the flow was not fitted to: "
            f"{format_list(foreign)}; known: {format_list(encoding['categories'])}"
        )
    return np.stack(
        [(values == category).to_numpy() for category in encoding["categories"]], axis=1
    )


def _describe_column(column: Mapping[str, Any]) -> str:
    key = column["key"]
    if "categories" in column:
        return f"{key}: cells are coupled within each of {len(column['categories'])} categories"
    if column["within"]:
        return f"{key}: cells are coupled within each of {column['n_values']} values"
    fact = (
        f"some of its {column['n_values']:,} values have under {MIN_CELLS_WITHIN} cells at a time"
    )
    few = f"{key}: {fact}"
    if not column.get("weight"):
        return f"{few}; couplings mix its values (condition_weight 0)"
    return (
        f"{few}, so its ranks are in the costs of couplings (condition_weight {column['weight']:g})"
    )
