"""Mixtures of couplings: over the intervals of a time course, or over groups of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._random import draw_weighted
from cellflow.couplings.coupling import Coupling, PairTable

#: Largest table of pairs that is held, in numbers (80 MB in float32).
_MAX_TABLE_SIZE = 2 * 10**7


@dataclass(frozen=True)
class MixtureCoupling(Coupling):
    """Draw each pair from a component chosen with probability proportional to its weight.

    If all components have a table of their pairs, the tables are concatenated and a batch is one
    lookup; the pairs are those that the components would draw.

    Attributes
    ----------
    components
        The couplings.
    weights
        Weights of the components, any positive scale; None for equal weights.
    """

    components: Sequence[Coupling]
    weights: Sequence[float] | None = None

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` pairs, grouped by component."""
        if self._table is not None:
            return self._table.sample(n, generator)
        return Pairs.cat(
            [
                self.components[k].sample(count, generator)
                for k, count in enumerate(self._draw_counts(n, generator))
                if count
            ]
        )

    def pending_pairs(self) -> list[list[Pairs]]:
        """Return the buffers of all components, in order."""
        return [buffer for each in self.components for buffer in each.pending_pairs()]

    def pair_table(self) -> PairTable | None:
        """Return the concatenated tables of the components, if each has one."""
        return self._table

    @cached_property
    def _table(self) -> PairTable | None:
        tables = []
        for component in self.components:
            table = component.pair_table()
            if table is None:
                return None
            tables.append(table)
        columns = {tuple(table.pairs.columns()) for table in tables}
        if len(columns) > 1 or sum(table.size for table in tables) > _MAX_TABLE_SIZE:
            return None
        totals = torch.stack([table.cdf[-1] for table in tables])
        starts = totals.cumsum(0) - totals
        cdf = torch.cat([table.cdf + start for table, start in zip(tables, starts, strict=True)])
        # Only the draws of the components are kept; their pairs are copied into this table.
        draws = [table.draw_positions for table in tables]
        return PairTable(
            Pairs.cat([table.pairs for table in tables]),
            cdf,
            lambda n, generator: self._draw_positions(draws, starts, n, generator),
        )

    def _draw_positions(
        self,
        draws: Sequence[Callable[[int, torch.Generator], Tensor]],
        starts: Tensor,
        n: int,
        generator: torch.Generator,
    ) -> Tensor:
        counts = self._draw_counts(n, generator)
        positions = [draws[k](count, generator) for k, count in enumerate(counts) if count]
        repeats = torch.tensor(counts, device=generator.device)
        return torch.cat(positions).add_(starts.repeat_interleave(repeats, output_size=n))

    def _draw_counts(self, n: int, generator: torch.Generator) -> list[int]:
        """Draw how many of `n` pairs come from each component."""
        k, device = len(self.components), generator.device
        if self.weights is None:
            chosen = torch.randint(k, (n,), generator=generator, device=device)
        else:
            chosen = draw_weighted(torch.tensor(self.weights, device=device), n, generator)
        return torch.bincount(chosen, minlength=k).tolist()
