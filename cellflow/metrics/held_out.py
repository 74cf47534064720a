"""The held-out score: a prediction, the baselines and the reference, against the real cells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from cellflow.metrics.cloud import Cloud
from cellflow.metrics.kernels import energy_distance, mmd
from cellflow.metrics.moments import cov_error, mean_error, var_ratio
from cellflow.metrics.wasserstein import midpoint, wasserstein

#: Factors by which the shrunken midpoints stand nearer to their mean.
SHRINKAGE = (0.7, 0.8, 0.9)

#: Names of the baselines, in the order of every table.
BASELINES = ("previous", "next", "midpoint", *(f"midpoint_{factor}" for factor in SHRINKAGE))

#: Random splits of the real cells into halves that the reference is a mean of.
N_SPLITS = 5

#: Memory that transport problems solved side by side may take together.
_MEMORY = 8 * 2**30


@dataclass(frozen=True)
class Score:
    """How far one prediction is from the real cells; distances in units of the points.

    Attributes
    ----------
    w1
        Exact Wasserstein-1 of all cells, predicted ones with their weights.
    w1_half
        The same with as many cells as half of the real ones, mean of the splits; comparable with
        the reference.
    energy, mean_error, cov_error, var_ratio
        Energy distance, distance of means, Frobenius distance of covariances, and total variance
        over the real one.
    """

    w1: float
    w1_half: float
    energy: float
    mean_error: float
    cov_error: float
    var_ratio: float


@dataclass(frozen=True)
class HeldOutScore:
    """The score of one fold.

    Attributes
    ----------
    method
        Of the prediction.
    w1_uniform, w2, mmd
        Of the prediction: W1 with equal weights, Wasserstein-2, maximum mean discrepancy.
    baselines
        Of each of `BASELINES`.
    reference
        W1 of one half of the real cells against the other, mean of the splits. Not a lower bound:
        in 50 or more dimensions points nearer to the mean score lower.
    """

    method: Score
    w1_uniform: float
    w2: float
    mmd: float
    baselines: Mapping[str, Score]
    reference: float

    @property
    def gap_closed(self) -> float:
        """Share of the way from the midpoint's W1 to the reference that the prediction goes."""
        start = self.baselines["midpoint"].w1_half
        return (start - self.method.w1_half) / (start - self.reference)


def make_baselines(previous: Cloud, following: Cloud, fraction: float) -> dict[str, Cloud]:
    """Predictions that need no model, from the neighbours of a held-out time.

    Parameters
    ----------
    previous, following
        Cells of the kept times before and after.
    fraction
        Where between them the held-out time stands, on the time axis in use.
    """
    middle = midpoint(previous, following, fraction)
    shrunken = {f"midpoint_{factor}": middle.shrunken(factor) for factor in SHRINKAGE}
    return {"previous": previous, "next": following, "midpoint": middle, **shrunken}


def score_held_out(
    predicted: Cloud,
    baselines: Mapping[str, Cloud],
    real: Cloud,
    rng: np.random.Generator,
    *,
    progress: bool = False,
) -> HeldOutScore:
    """Score a prediction and the baselines against the real cells of a held-out time.

    Parameters
    ----------
    predicted
        Predicted cells with the model's weights.
    baselines
        Named predictions to stand beside it, `midpoint` among them.
    real
        The cells that were held out.
    rng
        Draws the splits and, for the scores at half size, the cells.
    progress
        Show a progress bar on stderr.
    """
    candidates = {"": predicted, **baselines}
    half = len(real) // 2
    tasks: dict[tuple[str, ...], tuple[Cloud, Cloud, int]] = {
        ("w1", name): (cloud, real, 1) for name, cloud in candidates.items()
    }
    tasks["w2", ""] = (predicted, real, 2)
    if not predicted.is_uniform:
        tasks["uniform", ""] = (predicted.uniform(), real, 1)
    # A stream for each, so that splits and baselines are the same whatever is scored.
    splitting, *drawing = rng.spawn(1 + len(candidates))
    for split in range(N_SPLITS):
        order = splitting.permutation(len(real))
        one = Cloud.of(real.points[order[:half]])
        other = Cloud.of(real.points[order[half : 2 * half]])
        tasks["reference", str(split)] = (one, other, 1)
        for (name, cloud), stream in zip(candidates.items(), drawing, strict=True):
            tasks["half", name, str(split)] = (cloud.drawn(half, stream), one, 1)
    solved = _solve_all(tasks, progress=progress)

    def mean_of(*key: str) -> float:
        return float(np.mean([solved[(*key, str(split))] for split in range(N_SPLITS)]))

    def score_of(name: str) -> Score:
        cloud = candidates[name]
        return Score(
            w1=solved["w1", name],
            w1_half=mean_of("half", name),
            energy=energy_distance(cloud, real),
            mean_error=mean_error(cloud, real),
            cov_error=cov_error(cloud, real),
            var_ratio=var_ratio(cloud, real),
        )

    return HeldOutScore(
        method=score_of(""),
        w1_uniform=solved.get(("uniform", ""), solved["w1", ""]),
        w2=solved["w2", ""],
        mmd=mmd(predicted, real),
        baselines={name: score_of(name) for name in baselines},
        reference=mean_of("reference"),
    )


def _solve_all(
    tasks: Mapping[tuple[str, ...], tuple[Cloud, Cloud, int]], *, progress: bool
) -> dict[tuple[str, ...], float]:
    """Solve transport problems side by side; the solver works outside Python's lock."""
    largest = max(len(x) * len(y) for x, y, _ in tasks.values())
    workers = max(1, min(os.cpu_count() or 1, _MEMORY // (4 * 8 * largest)))

    def solve(task: tuple[Cloud, Cloud, int]) -> float:
        x, y, power = task
        return wasserstein(x, y, power=power)

    with ThreadPoolExecutor(workers) as pool:
        values = tqdm(
            pool.map(solve, tasks.values()),
            total=len(tasks),
            disable=not progress,
            desc="score",
            unit="plan",
        )
        return dict(zip(tasks, values, strict=True))
