"""Transitions between groups of cells that are known beforehand, as penalties in costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from cellflow._checks import check_columns, format_list
from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.io.groups import groups_of, name_group
from cellflow.io.text_tables import read_table
from cellflow.methods.method import Method
from cellflow.methods.parts import CloneCostSettings

#: Pairs of groups with the weight of each, 1 for those that are allowed.
AllowedTransitions = tuple[tuple[str, str, float], ...]

#: Columns of a table of known transitions.
_NEEDED = ("source", "target")


@dataclass(frozen=True)
class KnownTransitions:
    """Groups that are known to become each other.

    Attributes
    ----------
    group_key
        Column of `obs` with the groups. Cells without a value take part in any transition.
    allowed
        Pairs of source and target with their weight: the full penalty is added to the cost of cells
        with weight 0 or without a row, none to those with weight 1. Staying in a group is allowed.
    penalty
        Cost that is added to a pair of cells with weight 0, in squared units of the points.
    """

    group_key: str
    allowed: AllowedTransitions
    penalty: float = 1.0

    @classmethod
    def read(
        cls, table: pd.DataFrame | str | Path | AllowedTransitions | None, group_key: str | None
    ) -> KnownTransitions | None:
        """Read a table of known transitions, or its rows; None without both.

        Raises
        ------
        InputError
            For a table without `group_key` or the reverse, and as `read_allowed_transitions` does.
        """
        given = table is not None and not (isinstance(table, tuple) and not table)
        if given != (group_key is not None):
            raise InputError(
                "allowed_transitions (--allowed-transitions) and group_key (--group-key), the obs "
                "column of the groups that it names, go together; give both or none"
            )
        if group_key is None or table is None:
            return None
        rows = table if isinstance(table, tuple) else read_allowed_transitions(table)
        return cls(group_key, rows)

    @classmethod
    def of_flow(cls, flow: Flow) -> KnownTransitions | None:
        """Return the transitions that a flow was fitted with, with their penalty."""
        known = cls.read(flow.inputs.allowed_transitions, flow.inputs.group_key)
        penalty = flow.record.transition_penalty
        return None if known is None or penalty is None else replace(known, penalty=penalty)

    def check(self, adata: AnnData) -> None:
        """Raise `InputError` if the column is missing, or none of its groups are in the table."""
        found = set(groups_of(adata, self.group_key).cat.categories)
        if not any(source in found and target in found for source, target, _ in self.allowed):
            named = dict.fromkeys(name for row in self.allowed for name in row[:2])
            raise InputError(
                f"no row of allowed_transitions has two groups of obs[{self.group_key!r}]: it "
                f"names {format_list(named)}; the groups are {format_list(sorted(found))}"
            )

    def describe(self, adata: AnnData) -> list[str]:
        """Return lines on how many transitions are allowed, and on names that do not match."""
        names = groups_of(adata, self.group_key).cat.categories
        weights = self._weights(list(names))
        allowed = int((weights > 0).sum()) - len(names)
        sources = {source for source, _, _ in self.allowed}
        named = sources | {target for _, target, _ in self.allowed}
        lines = [
            f"known transitions: {allowed} of {len(names) * (len(names) - 1)} pairs of groups of "
            f"{self.group_key} are allowed"
        ]
        if final := [name for name in names if name not in sources]:
            lines.append(f"allowed to become no other group: {format_list(final)}")
        if foreign := sorted(named - set(names)):
            lines.append(f"groups of allowed_transitions without cells: {format_list(foreign)}")
        return lines

    def columns(self, adata: AnnData) -> tuple[Tensor, Tensor]:
        """Return the group of each cell, shape (n,), and its penalty to each, shape (n, k + 1).

        Cells without a group have number k.
        """
        groups = groups_of(adata, self.group_key)
        names = list(groups.cat.categories)
        penalties = np.zeros((len(names) + 1, len(names) + 1), dtype=np.float32)
        penalties[:-1, :-1] = self.penalty * (1 - self._weights(names))
        codes = groups.cat.codes.to_numpy().astype(np.int64)
        codes[codes < 0] = len(names)
        return torch.as_tensor(codes), torch.as_tensor(penalties[codes])

    def _weights(self, names: list[str]) -> np.ndarray:
        """Return the weight of each pair of groups, shape (k, k), 1 on the diagonal."""
        place = {name: k for k, name in enumerate(names)}
        weights = np.eye(len(names))
        for source, target, weight in self.allowed:
            if source in place and target in place and source != target:
                weights[place[source], place[target]] = weight
        return weights


def transition_penalty(method: Method) -> float:
    """Return the weight of the penalty of transitions in the costs of a method."""
    coupling = method.coupling
    return coupling.transition_penalty if isinstance(coupling, CloneCostSettings) else 0.0


def read_allowed_transitions(table: pd.DataFrame | str | Path) -> AllowedTransitions:
    """Return the rows of a table of known transitions.

    Parameters
    ----------
    table
        Table with columns `source`, `target` and, optionally, `weight`, or the file of one (`.csv`,
        `.tsv`).

    Raises
    ------
    InputError
        For missing columns, an empty table, pairs that are there twice, or weights outside 0 to 1.
    FileError
        If the file cannot be read.
    """
    if not isinstance(table, pd.DataFrame):
        table = read_table(table)
    check_columns(table, _NEEDED, "allowed transitions (source, target and optionally weight)")
    if table.empty:
        raise InputError("the table of allowed transitions is empty; leave it out")
    if (
        table[list(_NEEDED)].isna().to_numpy().any()
        or (table[list(_NEEDED)] == "").to_numpy().any()
    ):
        raise InputError("the table of allowed transitions has rows without a source or a target")
    sources, targets = (list(map(name_group, table[name])) for name in _NEEDED)
    pairs = list(zip(sources, targets, strict=True))
    if twice := [pair for pair in dict.fromkeys(pairs) if pairs.count(pair) > 1]:
        raise InputError(
            f"allowed transitions are there twice: {format_list(map(' to '.join, twice))}"
        )
    return tuple(
        (*pair, float(weight)) for pair, weight in zip(pairs, _read_weights(table), strict=True)
    )


def _read_weights(table: pd.DataFrame) -> np.ndarray:
    if "weight" not in table:
        return np.ones(len(table))
    weights = pd.to_numeric(table["weight"], errors="coerce").to_numpy(dtype=np.float64)
    # Missing values are not numbers between 0 and 1 either.
    if wrong := np.flatnonzero(~((weights >= 0) & (weights <= 1))).tolist():
        source, target, weight = table[[*_NEEDED, "weight"]].iloc[wrong[0]]
        raise InputError(
            "weights of allowed transitions are numbers from 0 (not allowed) to 1, got "
            f"{weight!r} for {source} to {target}"
        )
    return weights
