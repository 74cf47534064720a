"""Held-out scores of predictions and baselines, and the reference that they compare with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations
from math import nan

import numpy as np

from cellflow._log import progress_bar
from cellflow.metrics.cloud import Cloud
from cellflow.metrics.distances import (
    Sides,
    cov_error,
    energy_distance,
    mean_error,
    midpoint,
    mmd,
    var_ratio,
    wasserstein,
)
from cellflow.transport.exact import plan_memory

#: Factors by which the shrunken midpoints are scaled towards their mean.
SHRINKAGE = (0.7, 0.8, 0.9)

#: Names of the baselines, in the order of every table.
BASELINES = ("previous", "next", "midpoint", *(f"midpoint_{factor}" for factor in SHRINKAGE))

#: Names of the baselines of a held-out value of a condition, in the order of tables.
NEAREST, MIXTURE = "nearest", "mixture"

#: Names of the columns of the reference.
REFERENCES = ("reference", "w1_reference", "w1_reference_sd")

#: Random splits of the real cells into halves that the reference is a mean of.
N_SPLITS = 5


@dataclass(frozen=True, kw_only=True)
class Score:
    """Distances of one prediction from the real cells, in units of the points.

    Attributes
    ----------
    w1
        Exact Wasserstein-1 of all cells, predicted ones with their weights.
    w1_half
        W1 with as many cells as half of the real ones, mean over the splits; comparable with the
        reference.
    energy, mean_error, cov_error, var_ratio
        Energy distance, distance of means, Frobenius distance of covariances, and total variance
        over the real one.
    w1_error
        Where a sample of the cells was scored: standard error of `w1` by the delete-half
        jackknife, the standard deviation of the W1 at half size over the splits (Shao and Wu 1989,
        Ann. Stat. 17:1176). NaN where all cells were.
    w1_excess
        Upper bound of the mean excess of the sample's `w1` over that of all cells; NaN where all
        cells were scored. Each doubling of the cells lowers W1 by no more than the one before
        (it falls as n^(-1/d), Fournier and Guillin 2015, arXiv 1312.2128), so this is the decrease
        from half size to the sample's size, times the doublings from there to all cells.
    """

    w1: float
    w1_half: float
    energy: float
    mean_error: float
    cov_error: float
    var_ratio: float
    w1_error: float = nan
    w1_excess: float = nan


@dataclass(frozen=True, kw_only=True)
class PredictionScore(Score):
    """A score with further distances, which are computed for predictions only.

    Attributes
    ----------
    w1_uniform, w2, mmd
        W1 with equal weights, Wasserstein-2, maximum mean discrepancy.
    gap_closed
        Share of the gap between the midpoint's W1 and the reference that the prediction closes, at
        half size; NaN if the midpoint is at the reference.
    """

    w1_uniform: float
    w2: float
    mmd: float
    gap_closed: float


def make_baselines(
    previous: Cloud, following: Cloud, fraction: float, **coupled: Sides | None
) -> dict[str, Cloud]:
    """Make the predictions that need no model, from the neighbours of a held-out time.

    Parameters
    ----------
    previous, following
        Cells of the training times before and after.
    fraction
        Share of the interval between them that has passed at the held-out time, on the time axis
        in use.
    **coupled
        `labels` and `beside` of the midpoint, as in `midpoint`.
    """
    middle = midpoint(previous, following, fraction, **coupled)
    shrunken = {f"midpoint_{factor}": middle.shrink(factor) for factor in SHRINKAGE}
    return {"previous": previous, "next": following, "midpoint": middle, **shrunken}


def make_condition_baselines(
    below: Cloud, above: Cloud, share: float, *, labels: Sides | None = None
) -> dict[str, Cloud]:
    """Make the predictions that need no model, from the neighbours of a held-out value.

    Parameters
    ----------
    below, above
        Cells of the same time with the next lower and the next higher value of the condition.
    share
        Share of the way from the lower value to the higher one.
    labels
        Label of each cell of both, within which the midpoint couples them.
    """
    weights = np.concatenate([(1 - share) * below.weights, share * above.weights])
    return {
        NEAREST: below if share <= 0.5 else above,
        MIXTURE: Cloud.of(np.concatenate([below.points, above.points]), weights),
        "midpoint": midpoint(below, above, share, labels=labels),
    }


@dataclass(frozen=True)
class Baselines:
    """Scores of the baselines of one held-out time, and the reference of its predictions.

    Attributes
    ----------
    real
        The held-out cells.
    halves
        Random splits of them, each two equally large clouds.
    scores
        Score of each of `BASELINES`.
    reference
        W1 of one half of the real cells against the other, mean over the splits. Not a lower bound:
        in 50 or more dimensions points nearer to the mean score lower.
    w1_reference
        W1 that as many fresh cells of the same time would have, the reference at the size of `w1`:
        `reference` times its ratio to the W1 of quarters, since W1 falls by about as much with each
        doubling of the cells. At most `reference`.
    w1_reference_sd
        Standard deviation of it over the splits: by how much it is uncertain.
    log2_ratio
        log2 of all cells over the cells that are scored; 0 if all are scored.
    """

    real: Cloud
    halves: tuple[tuple[Cloud, Cloud], ...]
    scores: Mapping[str, Score]
    reference: float
    w1_reference: float
    w1_reference_sd: float
    log2_ratio: float = 0.0

    @classmethod
    def fit(
        cls,
        real: Cloud,
        predictions: Mapping[str, Cloud],
        seed: int,
        *,
        log2_ratio: float = 0.0,
        progress: bool = False,
        threads: int | None = None,
    ) -> Baselines:
        """Split the real cells and score the predictions of the baselines.

        Parameters
        ----------
        real
            The held-out cells, four at least.
        predictions
            Cells predicted by each baseline, by name, including `midpoint`.
        seed
            Seed of the splits.
        log2_ratio
            log2 of all cells over the cells that are scored.
        progress
            Show a progress bar on stderr.
        threads
            Transport problems that are solved side by side at most; None uses as many as there
            are cores, and memory for.
        """
        halves = _split(real, np.random.default_rng(seed))
        clouds = [*predictions.values(), real]
        with _Solvers(clouds, real, progress=progress, threads=threads) as solvers:
            pending = {name: solvers.begin(cloud, halves) for name, cloud in predictions.items()}
            references = [solvers.distance(one, other) for one, other in halves]
            quarters = [
                solvers.distance(one, other)
                for pair in halves
                for one, other in combinations(_cut_halves(pair), 2)
            ]
        scores = {name: one.score(real, log2_ratio) for name, one in pending.items()}
        reference, smaller = _mean(references), _mean(quarters)
        ratio = min(reference / smaller, 1.0) if smaller else 1.0
        spread = ratio * _spread(references)
        return cls(real, halves, scores, reference, ratio * reference, spread, log2_ratio)

    @classmethod
    def restore(
        cls,
        real: Cloud,
        scores: Mapping[str, Score],
        references: Mapping[str, float],
        seed: int,
        *,
        log2_ratio: float = 0.0,
    ) -> Baselines:
        """Make the object again from what `fit` computed for the same cells and seed."""
        halves = _split(real, np.random.default_rng(seed))
        return cls(real, halves, scores, **references, log2_ratio=log2_ratio)

    @property
    def references(self) -> dict[str, float]:
        """The reference at both sizes and its spread, by their names in tables."""
        return {name: getattr(self, name) for name in REFERENCES}

    def gap_closed(self, w1_half: float) -> float:
        """Return the share of the gap from the midpoint to the reference that `w1_half` closes."""
        start = self.scores["midpoint"].w1_half
        gap = start - self.reference
        return (start - w1_half) / gap if gap else float("nan")

    def score(
        self, predicted: Cloud, *, progress: bool = False, threads: int | None = None
    ) -> PredictionScore:
        """Score predicted cells with the model's weights; options as in `fit`."""
        with _Solvers([predicted], self.real, progress=progress, threads=threads) as solvers:
            pending = solvers.begin(predicted, self.halves)
            w2 = solvers.distance(predicted, self.real, power=2)
            uniform = (
                None
                if predicted.is_uniform
                else solvers.distance(predicted.with_equal_weights(), self.real)
            )
        score = pending.score(self.real, self.log2_ratio)
        return PredictionScore(
            **asdict(score),
            w1_uniform=score.w1 if uniform is None else uniform.result(),
            w2=w2.result(),
            mmd=mmd(predicted, self.real),
            gap_closed=self.gap_closed(score.w1_half),
        )


@dataclass(frozen=True)
class _Pending:
    """Transport problems of one score, being solved."""

    cloud: Cloud
    whole: Future[float]
    halves: list[Future[float]]

    def score(self, real: Cloud, log2_ratio: float) -> Score:
        w1, w1_half = self.whole.result(), _mean(self.halves)
        sampled = log2_ratio > 0
        return Score(
            w1=w1,
            w1_half=w1_half,
            energy=energy_distance(self.cloud, real),
            mean_error=mean_error(self.cloud, real),
            cov_error=cov_error(self.cloud, real),
            var_ratio=var_ratio(self.cloud, real),
            w1_error=_spread(self.halves) if sampled else nan,
            w1_excess=log2_ratio * max(w1_half - w1, 0.0) if sampled else nan,
        )


class _Solvers:
    """Solves transport problems side by side; the solver works outside Python's lock."""

    def __init__(
        self, clouds: Iterable[Cloud], real: Cloud, *, progress: bool, threads: int | None
    ) -> None:
        needed = plan_memory(max(len(cloud) for cloud in clouds), len(real))
        cores = threads or os.cpu_count() or 1
        workers = max(1, min(cores, int(_memory() / needed)))
        self.real = real
        self.pool = ThreadPoolExecutor(workers)
        self.bar = progress_bar(0, "score", "plan", shown=progress)

    def __enter__(self) -> _Solvers:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self.pool.shutdown(cancel_futures=failed is not None)
        self.bar.close()

    def begin(self, cloud: Cloud, halves: Iterable[tuple[Cloud, Cloud]]) -> _Pending:
        """Start the distances of one score: of all cells, and of half as many as the real ones."""
        halved = [
            self.distance(cloud.resample(len(one), np.random.default_rng(k)), one)
            for k, (one, _) in enumerate(halves)
        ]
        return _Pending(cloud, self.distance(cloud, self.real), halved)

    def distance(self, x: Cloud, y: Cloud, *, power: int = 1) -> Future[float]:
        """Start the computation of one Wasserstein distance."""
        self.bar.total = (self.bar.total or 0) + 1
        solving = self.pool.submit(wasserstein, x, y, power=power)
        solving.add_done_callback(lambda _: self.bar.update())
        return solving


def _split(real: Cloud, rng: np.random.Generator) -> tuple[tuple[Cloud, Cloud], ...]:
    half = len(real) // 2
    splits = []
    for _ in range(N_SPLITS):
        order = rng.permutation(len(real))
        parts = order[:half], order[half : 2 * half]
        splits.append((Cloud.of(real.points[parts[0]]), Cloud.of(real.points[parts[1]])))
    return tuple(splits)


def _cut_halves(halves: tuple[Cloud, Cloud]) -> list[Cloud]:
    """Return four quarters, each half cut in two; its points are in random order."""
    size = len(halves[0]) // 2
    return [Cloud.of(half.points[k : k + size]) for half in halves for k in (0, size)]


def _mean(values: Iterable[Future[float]]) -> float:
    return float(np.mean([value.result() for value in values]))


def _spread(values: Iterable[Future[float]]) -> float:
    return float(np.std([value.result() for value in values], ddof=1))


def _memory() -> float:
    """Return the memory for parallel problems, in GB: half of the machine's; 0 if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2e9
    except (AttributeError, ValueError, OSError):
        return 0.0
