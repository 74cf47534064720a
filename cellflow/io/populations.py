"""Read what couplings use of the cells of an AnnData, and split cells into populations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from pandas.api.types import is_float_dtype
from scipy import sparse
from torch import Tensor

from cellflow._batch import Batch
from cellflow._checks import check_choice, check_finite, format_number
from cellflow._errors import InputError
from cellflow._keys import GROWTH, GROWTH_SETTINGS, is_learned_growth, read_record
from cellflow.io.conditions import Conditions, number_groups, variance_within_times
from cellflow.io.known_transitions import KnownTransitions
from cellflow.io.label_intervals import TimeNames, check_label_intervals
from cellflow.io.matrices import read_numbers, read_stored
from cellflow.marginals import Marginals, Population, TimeAxis

#: Largest logarithm of the growth of a cell over an interval, about 29 doublings or halvings.
_MAX_LOG_GROWTH = 20.0

#: Name of `cost_rep` in messages.
_COSTS = "obsm key for costs"


@dataclass(frozen=True)
class SideColumns:
    """Columns of cells that couplings use, in addition to points and covariates.

    Attributes
    ----------
    label_key
        `obs` column; only cells with the same value are coupled.
    lineage_key
        `obs` column with the clone of each cell (empty or missing if unknown), or `obsm` key with a
        matrix of cells by clones.
    cost_rep
        `obsm` key with the coordinates that costs are computed in.
    growth
        Whether to use growth rates of cells.
    growth_key
        `obs` column with them, per unit of elapsed time; None for that of `pp.growth`.
    transitions
        Known transitions between groups; None for none.
    """

    label_key: str | None = None
    lineage_key: str | None = None
    cost_rep: str | None = None
    growth: bool = False
    growth_key: str | None = None
    transitions: KnownTransitions | None = None

    def batch(self, adata: AnnData, points: np.ndarray, conditions: Conditions) -> Batch:
        """Return all cells as rows of a batch, with these columns."""
        group, penalties = self.transitions.columns(adata) if self.transitions else (None, None)
        return Batch(
            # Arrays of cells in reverse order have negative strides, which tensors do not support.
            torch.as_tensor(np.ascontiguousarray(points), dtype=torch.float32),
            features=self._features(adata),
            condition_features=conditions.cost_features(adata.obs),
            condition=conditions.transform(adata.obs),
            label=self.labels(adata.obs, conditions),
            clones=self._clones(adata),
            rate=self._rates(adata),
            group=group,
            penalties=penalties,
        )

    def check(
        self,
        adata: AnnData,
        elapsed: np.ndarray,
        condition_keys: Sequence[str],
        time_names: TimeNames | None = None,
    ) -> Conditions:
        """Check all columns and keys without reading a matrix; arguments as in `encode`.

        Returns
        -------
        The encoding of conditions, without their weights in costs.
        """
        conditions = Conditions.fit(adata.obs, condition_keys, elapsed, label_key=self.label_key)
        labels = self.label_keys(conditions)
        check_label_intervals(adata.obs, labels, elapsed, time_names, warn=False)
        if self.cost_rep is not None:
            check_choice(self.cost_rep, adata.obsm, _COSTS)
        if self.lineage_key not in adata.obsm:
            self._clones(adata)
        self._rates(adata)
        if self.transitions is not None:
            self.transitions.check(adata)
        return conditions

    def weigh_transitions(
        self, adata: AnnData, points: np.ndarray, elapsed: np.ndarray, weight: float
    ) -> SideColumns:
        """Set the penalty of transitions that are not allowed.

        Parameters
        ----------
        adata, points, elapsed
            The cells, their coordinates, shape (n, d), and their times, shape (n,).
        weight
            Penalty in units of the variance of the cost coordinates at one time, a sum over
            dimensions.
        """
        if self.transitions is None:
            return self
        features = self._features(adata)
        costs = points if features is None else features.numpy()
        penalty = weight * variance_within_times(costs, elapsed)
        return replace(self, transitions=replace(self.transitions, penalty=penalty))

    def encode(
        self,
        adata: AnnData,
        points: np.ndarray,
        elapsed: np.ndarray,
        condition_keys: Sequence[str],
        condition_weight: float,
        time_names: TimeNames | None = None,
    ) -> tuple[Batch, Conditions]:
        """Fit the encoding of conditions to cells, and return all cells as rows of a batch.

        Parameters
        ----------
        adata
            The cells.
        points
            Their coordinates, shape (n, d).
        elapsed
            Their times, shape (n,).
        condition_keys
            `obs` columns of the conditions.
        condition_weight
            Weight of ranks in costs, as in `Conditions.weigh`.
        time_names
            Name of each time in messages on labels; None writes the numbers.
        """
        conditions = self.check(adata, elapsed, condition_keys, time_names)
        check_label_intervals(adata.obs, self.label_keys(conditions), elapsed, time_names)
        features = self._features(adata)
        costs = points if features is None else features.numpy()
        conditions = conditions.weigh(costs, elapsed, condition_weight)
        return self.batch(adata, points, conditions), conditions

    def _features(self, adata: AnnData) -> Tensor | None:
        if self.cost_rep is None:
            return None
        check_choice(self.cost_rep, adata.obsm, _COSTS)
        values = read_numbers(adata, self.cost_rep).astype(np.float32)
        check_finite(values, f"obsm[{self.cost_rep!r}]", list(adata.obs_names))
        return torch.as_tensor(values)

    def labels(self, obs: pd.DataFrame, conditions: Conditions) -> Tensor | None:
        """Return an integer label per cell, shape (n,), of the columns that it is coupled within.

        These are `label_key` and conditions that are kept within their values.
        """
        keys = self.label_keys(conditions)
        return torch.as_tensor(number_groups(obs, keys)) if keys else None

    def label_keys(self, conditions: Conditions) -> list[str]:
        """Return the `obs` columns within whose values cells are coupled."""
        return [*conditions.within, *([self.label_key] if self.label_key else [])]

    def _clones(self, adata: AnnData) -> Tensor | None:
        if self.lineage_key is None:
            return None
        if self.lineage_key in adata.obsm:
            return _nonzero_columns(read_stored(adata, self.lineage_key))
        check_choice(self.lineage_key, [*adata.obs, *adata.obsm], "obs or obsm key of clones")
        clones = adata.obs[self.lineage_key]
        if is_float_dtype(clones) and (clones.dropna() % 1).any():
            raise InputError(
                f"obs[{self.lineage_key!r}] has fractions, such as {clones.dropna().iloc[0]:g}, "
                "and clones are whole numbers or names; name the column of clones"
            )
        known = clones.notna() & (clones.astype(str) != "")
        return torch.as_tensor(pd.factorize(clones.where(known))[0][:, None])

    def _rates(self, adata: AnnData) -> Tensor | None:
        if not self.growth:
            return None
        key = self.growth_key
        if key is None:
            key = (read_record(adata.uns, GROWTH_SETTINGS) or {}).get("key_added", GROWTH)
        if is_learned_growth(adata.uns, key):
            raise InputError(
                f"obs[{key!r}] holds growth rates that a flow learned, which are no evidence for "
                "another flow; run pp.growth (cellflow growth) again, or name a column of your own "
                "with growth_key (--growth-key)"
            )
        if self.growth_key is not None:
            check_choice(key, [str(name) for name in adata.obs], "obs column of growth rates")
        elif key not in adata.obs:
            raise InputError(
                f"this method requires growth rates in obs[{key!r}]; run pp.growth "
                "(cellflow growth) first, or name a column of your own with growth_key "
                "(--growth-key)"
            )
        rates = pd.to_numeric(adata.obs[key], errors="coerce").to_numpy(np.float64, copy=True)
        check_finite(rates, f"obs[{key!r}]", list(adata.obs_names))
        return torch.as_tensor(rates, dtype=torch.float32)


def populations(
    cells: Batch, elapsed: np.ndarray, times: Iterable[float], axis: TimeAxis
) -> Marginals:
    """Split cells into one population per time, at flow times.

    Growth rates per unit of elapsed time are converted to rates per unit of flow time, with the
    length of the following interval (for the last time, of the one before it).
    """
    times = list(times)
    flow_times = [axis.to_flow(time) for time in times]
    parts = []
    for k, time in enumerate(times):
        population = cells[_rows(elapsed == time)]
        if population.rate is not None:
            low = min(k, len(times) - 2)
            length = times[low + 1] - times[low]
            _check_rates(population.rate, times[low], length)
            clock_rate = length / (flow_times[low + 1] - flow_times[low])
            population = replace(population, rate=population.rate * clock_rate)
        parts.append(Population(population))
    return Marginals(tuple(flow_times), tuple(parts))


def _check_rates(rate: Tensor, start: float, length: float) -> None:
    """Raise `InputError` for growth over an interval that no cell has, as of another unit."""
    most = float(rate.abs().max())
    doublings, limit = (growth / np.log(2) for growth in (most * length, _MAX_LOG_GROWTH))
    if doublings > limit:
        raise InputError(
            f"growth rates of up to {most:.3g} per unit of time mean {doublings:.0f} doublings "
            f"from time {format_number(start)} to {format_number(start + length)}, at most "
            f"{limit:.0f} are possible; give rates per unit of the times"
        )


def check_growth_key(growth_key: str | None, *, reads_rates: bool) -> None:
    """Raise `InputError` for a column of growth rates that no method reads."""
    if growth_key is not None and not reads_rates:
        raise InputError(
            f"growth_key {growth_key!r} has no effect, since the method does not read growth rates "
            "of cells: give growth='rates' (--growth rates) with method 'default' or 'wfr-fm', or "
            "objective 'growth' with another method"
        )


def _rows(mask: np.ndarray) -> slice | torch.Tensor:
    """Return the rows of a mask; a slice, which makes no copy, if they are consecutive."""
    rows = np.flatnonzero(mask)
    consecutive = len(rows) == rows[-1] - rows[0] + 1
    return slice(rows[0], rows[-1] + 1) if consecutive else torch.as_tensor(rows)


def _nonzero_columns(matrix: Any) -> Tensor:
    """Return the nonzero columns of each row of a matrix, padded with -1."""
    rows, clones = (matrix if sparse.issparse(matrix) else np.asarray(matrix)).nonzero()
    n = matrix.shape[0]
    counts = np.bincount(rows, minlength=n)
    ids = np.full((n, max(1, int(counts.max(initial=0)))), -1)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.argsort(rows, kind="stable")
    ids[rows[order], place] = clones[order]
    return torch.as_tensor(ids)
