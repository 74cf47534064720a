"""From latent states to counts: gene programs, expression, depth, noise and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from cellflow.datasets._branching_process import BranchingProcess, Latents

Array = NDArray[np.float64]

#: Share of the genes in each kind of program, and standard deviation of their loadings (log e).
_SHARES = {"progress": 0.30, "fate": 0.25, "propensity": 0.08, "nuisance": 0.12, "cycle": 0.10}
_STRENGTHS = {"progress": 1.2, "fate": 1.5, "propensity": 0.7, "nuisance": 0.6, "cycle": 0.8}
#: Share of genes that follow a second program, at half the strength.
_SECOND = 0.25
#: Standard deviations over genes of the mean log-expression, and over cells of the log-depth.
_BASELINE, _DEPTH = 1.2, 0.3
#: Progress programs: places and widths in units of the duration of the course.
_SWITCHES, _SWITCH_WIDTH = (0.1, 0.3, 0.5, 0.7, 0.9), 0.08
_WAVES, _WAVE_WIDTH = (0.2, 0.45, 0.7), 0.15
_CELLS_PER_CHUNK = 2_000


@dataclass(frozen=True)
class GenePrograms:
    """Loadings of genes on programs, smooth functions of the latent state."""

    names: list[str]
    loadings: Array
    baseline: Array
    main: NDArray[np.int64]

    @classmethod
    def draw(
        cls, n_genes: int, kinds: Sequence[tuple[str, str]], rng: np.random.Generator
    ) -> GenePrograms:
        """Draw the programs of each gene; `kinds` has kind and name of each program."""
        share = np.array([_SHARES[kind] for kind, _ in kinds])
        share /= [sum(kind == other for other, _ in kinds) for kind, _ in kinds]
        # The last entry is genes that follow no program.
        main = rng.choice(len(kinds) + 1, n_genes, p=[*share, 1 - share.sum()])
        # Each fate has at least two markers, also in a small panel.
        fates = [at for at, (kind, _) in enumerate(kinds) if kind == "fate"]
        forced = rng.permutation(n_genes)[: 2 * len(fates)]
        main[forced] = np.repeat(fates, 2)
        second = rng.choice(len(kinds), n_genes)
        loadings = np.zeros((len(kinds), n_genes))
        strength = np.array([_STRENGTHS[kind] for kind, _ in kinds] + [0.0])
        scale = 0.5 * strength[second] * (rng.random(n_genes) < _SECOND)
        loadings[second, np.arange(n_genes)] = scale * rng.standard_normal(n_genes)
        size = strength[main] * rng.standard_normal(n_genes)
        up = np.isin(main, fates)
        # Most markers of a fate go up.
        size[up] = np.abs(size[up]) * np.where(rng.random(up.sum()) < 0.8, 1, -1)
        follows = main < len(kinds)
        loadings[main[follows], np.flatnonzero(follows)] = size[follows]
        names = [name for _, name in kinds]
        return cls(names, loadings, _BASELINE * rng.standard_normal(n_genes), main)

    def describe(self) -> tuple[list[str], Array]:
        """Return the name of the main program of each gene, or "none", and its loading."""
        names = [*self.names, "none"]
        padded = np.vstack([self.loadings, np.zeros(self.loadings.shape[1])])
        return [names[at] for at in self.main], padded[self.main, np.arange(len(self.main))]


def list_programs(fates: Sequence[str], n_nuisance: int, *, cycle: bool) -> list[tuple[str, str]]:
    """Return kind and name of each program, in the order of `evaluate_programs`."""
    n_progress = len(_SWITCHES) + len(_WAVES)
    return [
        *(("progress", f"progress_{at + 1}") for at in range(n_progress)),
        *(("fate", fate) for fate in fates),
        ("propensity", "propensity"),
        *(("nuisance", f"nuisance_{at + 1}") for at in range(n_nuisance)),
        *(("cycle", f"cycle_{at + 1}") for at in range(2 * cycle)),
    ]


def evaluate_programs(process: BranchingProcess, cells: Latents, cycle: Array) -> Array:
    """Return the activity of each program in each cell; `cycle` is cos and sin of the phase."""
    u = (cells.progress / process.duration)[:, None]
    return np.concatenate(
        [
            expit((u - _SWITCHES) / _SWITCH_WIDTH),
            np.exp(-(((u - _WAVES) / _WAVE_WIDTH) ** 2) / 2),
            expit(6 * (cells.branch @ process.directions.T - 0.5)),
            np.tanh(cells.propensity)[:, None],
            np.tanh(cells.nuisance),
            cycle,
        ],
        axis=1,
    )


def draw_counts(
    programs: GenePrograms,
    activity: Array,
    offsets: Array,
    batch: NDArray[np.int64],
    *,
    depth: float,
    noise: float,
    dropout: float,
    rng: np.random.Generator,
) -> Any:
    """Draw counts, a sparse float32 matrix (n, genes); `offsets` has a row per `batch`."""
    chunks = []
    for start in range(0, len(activity), _CELLS_PER_CHUNK):
        rows = slice(start, start + _CELLS_PER_CHUNK)
        log_mean = activity[rows] @ programs.loadings
        log_mean += programs.baseline + offsets[batch[rows]]
        mean = np.exp(log_mean).astype(np.float32)
        sizes = depth * rng.lognormal(-(_DEPTH**2) / 2, _DEPTH, len(mean))
        mean *= (sizes / mean.sum(axis=1))[:, None].astype(np.float32)
        rate = mean
        if noise > 0:
            spread = rng.standard_gamma(1 / noise, mean.shape, dtype=np.float32)
            rate = mean * spread * np.float32(noise)
        counts = rng.poisson(rate).astype(np.float32)
        if dropout > 0:
            # Weakly expressed genes are the ones that are missed.
            counts[rng.random(mean.shape, dtype=np.float32) < dropout / (1 + mean)] = 0
        chunks.append(sparse.csr_matrix(counts))
    return sparse.vstack(chunks, format="csr")
