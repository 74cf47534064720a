"""The simulated data set `simulate_course`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from cellflow._checks import check_positive
from cellflow._keys import SIMULATION, write_record
from cellflow._random import RNG, resolve_seed
from cellflow.datasets._branching_process import BranchingProcess, Latents, combine_cells
from cellflow.datasets._course_settings import (
    PROGENITOR,
    check_ranges,
    make_process,
    resolve_numbers,
    resolve_shares,
    resolve_times,
)
from cellflow.datasets._measurement import (
    GenePrograms,
    draw_counts,
    evaluate_programs,
    list_programs,
)

Array = NDArray[np.float64]

#: Passages of the cell cycle over the duration of the course.
_CYCLES = 5.0


def simulate_course(
    n_cells: int | Sequence[int] = 1_500,
    n_genes: int = 200,
    *,
    times: Sequence[float] = (0.0, 2.0, 4.0, 7.0),
    fates: Mapping[str, float] | Sequence[str] | None = None,
    commitment: str | float = "late",
    predictability: float = 0.0,
    delays: Mapping[str, float] | None = None,
    asynchrony: float = 0.08,
    growth: float | Mapping[str, float] | None = None,
    cycle: bool = False,
    donors: int = 0,
    batch_effect: float = 0.15,
    time_effect: float = 0.0,
    depth: float | None = None,
    noise: float = 0.2,
    dropout: float = 0.1,
    n_continuations: int = 200,
    rng: RNG = 0,
) -> AnnData:
    """Simulate a branching time course of counts with known fates, velocities and growth rates.

    Cells advance along a course, each by a clock of its own, and branch into fates. Each cell is
    measured once, so cells of different times are different cells. The latent states, and what is
    true of them, are returned beside the counts.

    Parameters
    ----------
    n_cells
        Number of cells in total, split evenly over the times, or the number at each time.
    n_genes
        Number of genes, at least 20.
    times
        Times of measurement, increasing. Rates and other times below are in the same unit.
    fates
        Names of the fates with their shares before growth, which sum to 1, or names alone for
        equal shares; two or more. None uses A with 0.65 and B with 0.35. With `predictability`,
        fates are in this order along the propensity.
    commitment
        Time by which cells of average progress draw their fate and begin to express it, or `late`
        (35 % of the course: day 2.45 of 0 to 7) or `early` (15 %). `start`: the fate is a hidden
        mark from the beginning, expressed where `late` expresses it.
    predictability
        Correlation of the propensity, a slow latent variable that some genes follow, with the fate
        at the time when it is drawn, from 0 to below 1. At 0 nothing can be known before fates are
        expressed. The propensity is forgotten by a factor e over the duration of the course, so
        0.6 with `late` lets the first time predict the fate with an AUROC of about 0.69.
    delays
        Times by which the expression of fates is delayed after the commitment; fates that are not
        named are expressed at once. Makes one fate arrive before another.
    asynchrony
        Standard deviation of the progress at the last time, as a share of the duration. It grows
        with the square root of time, and is half as large at the first time.
    growth
        Births minus deaths per unit of time of the progenitor (`progenitor`) and of each fate once
        it is fully expressed, by name; or one number for all. What is not named is 1 / duration
        for the progenitor and 0 for fates, the default. Populations are sampled in proportion to
        their growth.
    cycle
        Add a cell cycle: a closed orbit in expression, passed 5 times per duration by all cells.
    donors
        Number of donors, or 0. Each donor has cells of all times.
    batch_effect
        Standard deviation of the offsets of donors in log-expression.
    time_effect
        Standard deviation of an offset of each time in log-expression: a batch per time.
    depth
        Mean number of counts of a cell; None uses two per gene.
    noise
        Overdispersion of negative binomial counts: the variance is mean + noise * mean^2.
    dropout
        Probability that a gene without expression is missed; genes with mean m by this / (1 + m).
    n_continuations
        Number of equally likely continuations of the clock of each cell, over which descendants are
        counted.
    rng
        Seed, or a numpy generator to draw one from.

    Returns
    -------
    A new AnnData with counts in `X`, sparse float32, shape (cells, genes):
    `obs["time"]`
        Time of measurement.
    `obs["state"]`
        Visible fate, or `progenitor` where the branch is less than half expressed.
    `obs["fate"]`
        Visible fate of the cells of the last time; NaN for others.
    `obs["donor"]`
        Donor of each cell, if there are any.
    `obs["true_progress"]`
        Own clock of each cell since the first time, on average the elapsed time.
    `obs["true_growth_rate"]`
        Expected births minus deaths per unit of time.
    `obs["true_descendants"]`
        Expected number of descendants at the last time.
    `obs["true_fate"]`
        Fate of one of the descendants, drawn at random, as an observed fate would be.
    `obsm["true_fate_probabilities"]`
        Expected share of the descendants at the last time with each fate, expressed or not, given
        all that expression can show: before and just after the commitment it is not 0 or 1.
    `obsm["true_latent"]`
        Progress, branch, propensity, nuisance and cycle coordinates.
    `obsm["true_velocity"]`
        Expected change of the latent coordinates per unit of time.
    `var["program"]`
        Main program of each gene, such as a fate of which it is a marker, or `none`.
    `var["loading"]`
        Effect of the main program on log-expression.
    `var["true_baseline"]`, `varm["true_loadings"]`
        Log-expression without any program, and the effect of each program on it, shape (genes,
        programs), before a cell's expression is scaled to its depth.
    `uns["cellflow"]["simulation"]`
        Names of `fates`, `latent` coordinates and `programs`, expected `population_size` at each
        time and `composition` at the last, the settings and the seed.

    Raises
    ------
    InputError
        If a setting is not valid.

    Notes
    -----
    The simulators of PyPI that were looked at (`sergio-scsim`, `harissa`, `scvelo`) give no fate
    probabilities of a measured state. The process here is chosen such that they are expectations
    of known form: clocks are gamma processes, and the propensity, nuisance dimensions and branches
    are Ornstein-Uhlenbeck processes in the time of the clock, about an opening of order 2 in the
    branch. The fate given a state follows by Bayes' rule; the descendants by a sum over
    continuations.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.simulate_course(n_cells=400, n_genes=50)
    >>> adata.obsm["true_fate_probabilities"][adata.obs["time"] == 0][0].round(2)
    array([0.65, 0.35])
    """
    seed = resolve_seed(rng)
    grid = resolve_times(times)
    numbers = resolve_numbers(n_cells, len(grid))
    shares = resolve_shares(fates)
    depth = 2.0 * n_genes if depth is None else depth
    check_positive(depth, "depth")
    check_ranges(
        {"depth": depth, "noise": noise, "batch_effect": batch_effect, "time_effect": time_effect},
        {"predictability": predictability, "dropout": dropout},
        {"n_genes": n_genes, "donors": donors, "n_continuations": n_continuations},
    )
    process = make_process(
        grid,
        shares,
        commitment=commitment,
        predictability=predictability,
        delays=delays,
        asynchrony=asynchrony,
        growth=growth,
    )
    generator = np.random.default_rng(seed)
    elapsed = grid - grid[0]
    cells = combine_cells(
        [process.sample(n, t, generator) for n, t in zip(numbers, elapsed, strict=True)]
    )
    time_index = np.repeat(np.arange(len(grid)), numbers)
    phase = generator.uniform(0, 2 * np.pi, len(time_index))
    orbit = np.stack([np.cos(phase), np.sin(phase)], axis=1)[:, : 2 * cycle]
    donor = generator.permuted(np.arange(len(time_index)) % max(donors, 1))

    kinds = list_programs(list(shares), process.n_nuisance, cycle=cycle)
    programs = GenePrograms.draw(n_genes, kinds, generator)
    of_donors = batch_effect * generator.standard_normal((max(donors, 1), n_genes))
    of_times = time_effect * generator.standard_normal((len(grid), 1, n_genes))
    counts = draw_counts(
        programs,
        evaluate_programs(process, cells, orbit),
        (of_times + of_donors * (donors > 0)).reshape(-1, n_genes),
        time_index * max(donors, 1) + donor,
        depth=depth,
        noise=noise,
        dropout=dropout,
        rng=generator,
    )
    main, loading = programs.describe()
    adata = AnnData(
        counts,
        obs=pd.DataFrame({"time": grid[time_index]}, index=_names("cell", len(time_index))),
        var=pd.DataFrame(
            {
                "program": pd.Categorical(main),
                "loading": loading,
                "true_baseline": programs.baseline,
            },
            index=_names("gene", n_genes),
        ),
        varm={"true_loadings": programs.loadings.T},
    )
    if donors:
        adata.obs["donor"] = pd.Categorical.from_codes(donor, pd.Index(_names("donor", donors)))
    _write_states(adata, process, cells, list(shares), time_index == len(grid) - 1)
    _write_truth(adata, process, cells, orbit, elapsed[time_index], n_continuations)
    cdf = np.cumsum(adata.obsm["true_fate_probabilities"], axis=1)[:, :-1]
    drawn = (generator.random(adata.n_obs)[:, None] > cdf).sum(axis=1)
    adata.obs["true_fate"] = pd.Categorical.from_codes(drawn, pd.Index(list(shares)))

    sizes = [process.composition(t, n_continuations).sum() for t in elapsed]
    at_end = process.composition(elapsed[-1], n_continuations)
    record = {
        "fates": np.array(list(shares)),
        "latent": np.array(
            [
                "progress",
                *(f"branch_{at}" for at in range(1, len(shares))),
                "propensity",
                *(f"nuisance_{at + 1}" for at in range(process.n_nuisance)),
                *("cycle_cos", "cycle_sin")[: 2 * cycle],
            ]
        ),
        "programs": np.array(programs.names),
        "population_size": np.array(sizes) / sizes[0],
        "composition": at_end / at_end.sum(),
        "shares": process.shares,
        "decided_at": process.decided_at + grid[0],
        "opens_at": process.opens_at + grid[0],
        "growth_progenitor": process.growth_progenitor,
        "growth": process.growth,
        "times": grid,
        "n_cells": np.array(numbers),
        "seed": seed,
        "settings": {
            "commitment": commitment,
            "predictability": predictability,
            "asynchrony": asynchrony,
            "cycle": cycle,
            "donors": donors,
            "batch_effect": batch_effect,
            "time_effect": time_effect,
            "depth": depth,
            "noise": noise,
            "dropout": dropout,
            "n_continuations": n_continuations,
        },
    }
    write_record(adata.uns, SIMULATION, record)
    return adata


def _names(what: str, n: int) -> list[str]:
    return [f"{what}_{at + 1}" for at in range(n)]


def _write_states(
    adata: AnnData,
    process: BranchingProcess,
    cells: Latents,
    fates: Sequence[str],
    at_end: NDArray[np.bool_],
) -> None:
    """Write the visible state of each cell, and as fate that of the cells of the last time."""
    opened = process.opening(cells.progress)[np.arange(adata.n_obs), cells.fate]
    visible = np.where(opened >= 0.5, cells.fate, -1)
    adata.obs["state"] = pd.Categorical.from_codes(visible + 1, pd.Index([PROGENITOR, *fates]))
    adata.obs["fate"] = pd.Categorical.from_codes(np.where(at_end, visible, -1), pd.Index(fates))


def _write_truth(
    adata: AnnData,
    process: BranchingProcess,
    cells: Latents,
    orbit: Array,
    elapsed: Array,
    n_continuations: int,
) -> None:
    """Write the latent states, and the expectations of the process given each of them."""
    descendants = np.empty((adata.n_obs, len(process.shares)))
    for time in np.unique(elapsed):
        rows = elapsed == time
        at_time = Latents(*(values[rows] for values in cells))
        left = process.duration - time
        descendants[rows] = process.descendants(at_time, left, n_continuations)
    total = descendants.sum(axis=1)
    adata.obs["true_progress"] = cells.progress
    adata.obs["true_growth_rate"] = process.growth_rate(cells)
    adata.obs["true_descendants"] = total
    adata.obsm["true_fate_probabilities"] = descendants / total[:, None]
    speed = 2 * np.pi * _CYCLES / process.duration
    turning = speed * orbit[:, ::-1] * [-1, 1][: orbit.shape[1]]
    for key, state, more in (
        ("true_latent", cells, orbit),
        ("true_velocity", process.velocity(cells), turning),
    ):
        adata.obsm[key] = np.column_stack(
            [state.progress, state.branch, state.propensity, state.nuisance, more]
        )
