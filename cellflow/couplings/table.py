"""All pairs of couplings by plans in one list, so that a batch is looked up at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellflow._batch import Pairs

#: Numbers in a list of pairs up to which it is worth its memory (80 MB).
_LARGEST = 2 * 10**7


def found(ends: Tensor, marks: Tensor) -> Tensor:
    """Entries that the marks fall into, given where each entry ends."""
    return torch.searchsorted(ends, marks, right=True).clamp(max=len(ends) - 1)


@dataclass(frozen=True)
class Table:
    """Pairs, each with its part of a line that marks are drawn on.

    Attributes
    ----------
    pairs
        All pairs that can be drawn.
    ends
        Where the part of each ends, shape (k,), in float64.
    """

    pairs: Pairs
    ends: Tensor

    @property
    def length(self) -> Tensor:
        """Of the whole line."""
        return self.ends[-1]

    @property
    def size(self) -> int:
        """Numbers in it."""
        return sum(column.numel() for column in self.pairs.columns().values())

    def at(self, marks: Tensor) -> Pairs:
        """The pairs that the marks fall into."""
        return self.pairs[found(self.ends, marks)]


@dataclass(frozen=True)
class Joined:
    """Tables end to end.

    Attributes
    ----------
    table
        All of them.
    starts
        Where each begins.
    """

    table: Table
    starts: Tensor

    @classmethod
    def of(cls, couplings: Sequence[object]) -> Joined | None:
        """Those of some couplings; None where one has none, columns differ, or all are large."""
        tables = []
        for coupling in couplings:
            table = coupling.table() if hasattr(coupling, "table") else None
            if table is None:
                return None
            tables.append(table)
        columns = {tuple(table.pairs.columns()) for table in tables}
        if len(columns) > 1 or sum(table.size for table in tables) > _LARGEST:
            return None
        lengths = torch.stack([table.length for table in tables])
        starts = lengths.cumsum(0) - lengths
        ends = torch.cat([table.ends + start for table, start in zip(tables, starts, strict=True)])
        return cls(Table(Pairs.cat([table.pairs for table in tables]), ends), starts)
