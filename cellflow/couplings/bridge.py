"""The discrete Schrödinger bridge between two populations, as a matrix of transitions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from cellflow._batch import Batch, FiniteMarginal
from cellflow._log import progress_bar
from cellflow.couplings.full_plan import block_cost, masses_of, to_float64
from cellflow.couplings.ground_costs import Cost, squared_euclidean
from cellflow.transport.bridge import (
    EntropicOperator,
    NearRows,
    RowAverages,
    choose_epsilon,
    solve_block,
)
from cellflow.transport.random_blocks import random_blocks

#: Largest number of cells per side that a plan is solved for at once.
_BLOCK_SIZE = 4000

#: Share of the cells of a label that a row is averaged over, and their smallest number.
_NEAR_ROWS, _FEWEST_NEAR = 0.075, 5

#: Cells per side from which the strength of the entropy is read.
_SAMPLE_SIZE = 500


def bridge_transitions(
    source: FiniteMarginal,
    target: FiniteMarginal,
    labels: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    generator: torch.Generator,
    cost: Cost = squared_euclidean,
    block_size: int = _BLOCK_SIZE,
) -> EntropicOperator:
    """Couple all cells by entropic plans, whose strength is read from the cells.

    Rows are averaged over the nearest 7.5 % of the cells of the same label.

    Parameters
    ----------
    source, target
        The two marginals. Masses of the target are taken as equal.
    labels
        Positions of the cells of each label in source and target, within which they are coupled.
    generator
        Source of randomness of the samples that the strength is read from, and of the blocks.
    cost
        Ground cost.
    block_size
        Largest number of cells per side of a plan. Larger sides are split at random into blocks.

    Returns
    -------
    Matrix of shape (n, m) whose columns sum to one; columns of a label that the source lacks are
    zero. Its entries are computed when it is multiplied.
    """
    before, after, masses = to_float64(source.cells), to_float64(target.cells), masses_of(source)
    costs = block_cost(cost, before, after)
    solved, near = [], []
    for rows, columns in labels:
        near.append(_find_near_rows(before, rows, generator))
        epsilon = _read_epsilon(cost, before, after, rows, columns, generator)
        pairs = random_blocks(len(rows), len(columns), block_size, generator)
        with progress_bar(len(pairs), "plans", "block") as bar:
            for some, others in pairs:
                chosen = rows[some], columns[others]
                solved.append(solve_block(costs, *chosen, masses[chosen[0]], epsilon))
                bar.update()
    smoothing = RowAverages(near, len(before))
    return EntropicOperator(solved, costs, smoothing, masses, len(after))


def _find_near_rows(before: Batch, rows: np.ndarray, generator: torch.Generator) -> NearRows:
    """Return the nearest of some rows, of up to 4,000 of them."""
    some = _draw_sample(rows, generator, _BLOCK_SIZE).numpy()
    k = min(len(some), max(_FEWEST_NEAR, round(_NEAR_ROWS * len(some))))
    points = before.cost_features.numpy()
    search = NearestNeighbors(n_neighbors=k).fit(points[some])
    near = np.empty((len(rows), k), dtype=np.uint16)
    for start in range(0, len(rows), _BLOCK_SIZE):
        chunk = slice(start, start + _BLOCK_SIZE)
        near[chunk] = search.kneighbors(points[rows[chunk]], return_distance=False)
    return NearRows(rows, some, near)


def _read_epsilon(
    cost: Cost,
    before: Batch,
    after: Batch,
    rows: np.ndarray,
    columns: np.ndarray,
    generator: torch.Generator,
) -> float:
    """Return the strength of the entropy for some rows and columns, from samples of them."""
    x = before[_draw_sample(rows, generator, _SAMPLE_SIZE)]
    y = after[_draw_sample(columns, generator, _SAMPLE_SIZE)]
    between, *within = (cost(*pair).numpy() for pair in ((x, y), (x, x), (y, y)))
    return choose_epsilon(between, (within[0], within[1]))


def _draw_sample(rows: np.ndarray, generator: torch.Generator, size: int) -> torch.Tensor:
    order = torch.randperm(len(rows), generator=generator, device=generator.device).cpu()
    return torch.from_numpy(rows)[order[:size]]
