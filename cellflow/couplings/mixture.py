"""One coupling made of several: for the intervals of a time course, for groups of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow.couplings.coupling import Coupling

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


@dataclass(frozen=True)
class MixtureCoupling:
    """Serves pairs of all its parts, each pair of a part drawn by weight.

    Attributes
    ----------
    parts
        The couplings.
    weights
        Their shares, any positive scale; None for equal ones.
    """

    parts: Sequence[Coupling]
    weights: Sequence[float] | None = None

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, those of one part after those of another."""
        if self._joined is not None:
            return self._joined.table.at(self.marks(n, generator))
        return Pairs.cat(
            [
                self.parts[k].sample(count, generator)
                for k, count in enumerate(self._counts(n, generator))
                if count
            ]
        )

    def table(self) -> Table | None:
        """Pairs of all parts, where each part has a list of them."""
        return None if self._joined is None else self._joined.table

    def marks(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw `n` places on the line of that list."""
        assert self._joined is not None
        counts = self._counts(n, generator)
        marks = [
            self.parts[k].marks(count, generator)  # type: ignore[attr-defined]
            for k, count in enumerate(counts)
            if count
        ]
        drawn = torch.tensor(counts, device=generator.device)
        return torch.cat(marks).add_(self._joined.starts.repeat_interleave(drawn, output_size=n))

    @cached_property
    def _joined(self) -> Joined | None:
        return Joined.of(self.parts)

    def _counts(self, n: int, generator: torch.Generator) -> list[int]:
        draws = self._draw(n, generator)
        return torch.bincount(draws, minlength=len(self.parts)).tolist()

    def _draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        if self.weights is None:
            return torch.randint(
                len(self.parts), (n,), generator=generator, device=generator.device
            )
        shares = torch.tensor(self.weights, device=generator.device)
        return torch.multinomial(shares, n, replacement=True, generator=generator)
