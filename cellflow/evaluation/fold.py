"""One fold of held-out evaluation: its cells, the training cells, and the baselines' scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cellflow._batch import Batch
from cellflow.evaluation.condition_folds import HeldOutCondition
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.io import DEFAULT_WEIGHT
from cellflow.marginals import TimeAxis
from cellflow.metrics import (
    OTHERS,
    OTHERS_SHIFTED,
    Baselines,
    Cloud,
    make_baselines,
    make_condition_baselines,
    replicate_distance,
)
from cellflow.representation import Representation

#: Seed of the splits and draws of scoring, the same for every method and every seed of a fit.
SCORING_SEED = 0


@dataclass(frozen=True)
class Fold:
    """The held-out cells of one part of the data, and the training cells of all others.

    Attributes
    ----------
    part
        What is held out.
    training_times
        All times of the training cells.
    cells, elapsed
        The training cells, with points in the fold's representation, and their times.
    moved, moved_elapsed
        The cells that predictions and baselines start from, and their times: the training cells,
        those of a held-out replicate at its other times, or those of a held-out condition at the
        first time.
    held_out
        Points of the held-out cells, shape (m, d).
    unit
        Divisor of each coordinate before scoring, shape (d,).
    representation
        The representation, fitted to the training cells or, by protocol, to all.
    max_cells
        Maximum number of cells per side of a score, drawn with a fixed seed; None scores all.
    replicates
        Points of each replicate of the held-out cells, if there are two or more; or, if a replicate
        is held out, those of the others at that time alone.
    condition
        If a value of a condition is held out: the value, and its neighbours; else None.
    """

    part: HeldOutPart
    training_times: tuple[float, ...]
    cells: Batch
    elapsed: np.ndarray
    moved: Batch
    moved_elapsed: np.ndarray
    held_out: np.ndarray
    unit: np.ndarray
    representation: Representation
    max_cells: int | None = None
    replicates: tuple[np.ndarray, ...] = ()
    condition: HeldOutCondition | None = None

    @property
    def time(self) -> float:
        """The held-out time."""
        return self.part.time

    @property
    def moved_times(self) -> tuple[float, ...]:
        """Times of the cells that predictions start from."""
        return tuple(np.unique(self.moved_elapsed).tolist())

    @property
    def first(self) -> float:
        """First time of the cells that predictions start from."""
        return self.moved_times[0]

    @property
    def before(self) -> float:
        """Last of these times before the held-out time."""
        return max(time for time in self.moved_times if time < self.time)

    @property
    def after(self) -> float:
        """First of these times after the held-out time."""
        return min(time for time in self.moved_times if time > self.time)

    @property
    def neighbours(self) -> tuple[float, float]:
        """Time points before and after; both are the time itself if the flow was fitted to it."""
        return (self.time, self.time) if self.condition else (self.before, self.after)

    def cells_at(self, time: float) -> Batch:
        """Return the cells of one time that predictions start from."""
        return self.moved[torch.as_tensor(np.flatnonzero(self.moved_elapsed == time))]

    def to_cloud(self, points: np.ndarray, weights: np.ndarray | None = None) -> Cloud:
        """Scale points to the unit of the score, and draw `max_cells` of them if there are more.

        Parameters
        ----------
        points
            Shape (n, d).
        weights
            Mass of each point, shape (n,); None weighs them equally.
        """
        cloud = Cloud.of(points / self.unit, weights)
        if self.max_cells is None or len(cloud) <= self.max_cells:
            return cloud
        return cloud.resample(self.max_cells, np.random.default_rng(SCORING_SEED))

    def cloud_at(self, time: float) -> Cloud:
        """Return the measured cells of one time, scaled to the unit of the score."""
        held_out = time == self.time
        return self.to_cloud(self.held_out if held_out else self.cells_at(time).x.double().numpy())

    def _sample(self, cells: Batch) -> Batch:
        """Return the cells that `to_cloud` draws of some, in its order."""
        if self.max_cells is None or len(cells) <= self.max_cells:
            return cells
        cloud, rng = Cloud.of(cells.x.double().numpy()), np.random.default_rng(SCORING_SEED)
        return cells[torch.as_tensor(cloud.draw_rows(self.max_cells, rng))]

    def _condition_scale(self) -> float:
        """Return the factor of conditions in costs: default weight, and units of the score."""
        costs = self.cells.x if self.cells.features is None else self.cells.features
        scored = self.cells.x.double().numpy() / self.unit
        ratio = scored.var(axis=0).sum() / (float(costs.double().numpy().var(axis=0).sum()) or 1.0)
        return float(np.sqrt(DEFAULT_WEIGHT * ratio))

    @property
    def log2_ratio(self) -> float:
        """log2 of the cells of the larger side over `max_cells`; 0 if all are scored."""
        if self.max_cells is None:
            return 0.0
        if self.condition:
            n_beside = sum(map(len, self.condition.neighbours))
        else:
            n_beside = int(np.isin(self.moved_elapsed, self.neighbours).sum())
        return max(0.0, float(np.log2(max(len(self.held_out), n_beside) / self.max_cells)))

    def fraction(self, axis: TimeAxis) -> float:
        """Return the share of the interval between its neighbours that has passed on a clock."""
        start, here, stop = (axis.to_flow(t) for t in (self.before, self.time, self.after))
        return (here - start) / (stop - start)

    def score_baselines(
        self, axis: TimeAxis, *, progress: bool = False, threads: int | None = None
    ) -> Baselines:
        """Score the baselines on a clock, and split the held-out cells for the reference."""
        if self.condition is None:
            predictions = self._predict_by_times(axis)
        else:
            below, above = map(self._sample, self.condition.neighbours)
            predictions = make_condition_baselines(
                self.to_cloud(below.x.double().numpy()),
                self.to_cloud(above.x.double().numpy()),
                self.condition.share,
                labels=_labels_of(below, above),
            )
        return Baselines.fit(
            self.cloud_at(self.time),
            predictions,
            SCORING_SEED,
            log2_ratio=self.log2_ratio,
            progress=progress,
            threads=threads,
        )

    def _predict_by_times(self, axis: TimeAxis) -> dict[str, Cloud]:
        """Return the predictions without a model from the times before and after, by name.

        The midpoint couples cells as flows do: within labels, and with numeric conditions in costs.
        """
        before, after = (self._sample(self.cells_at(each)) for each in (self.before, self.after))
        clouds = [self.to_cloud(each.x.double().numpy()) for each in (before, after)]
        beside = None
        if before.condition_features is not None and after.condition_features is not None:
            scale = self._condition_scale()
            beside = (
                before.condition_features.double().numpy() * scale,
                after.condition_features.double().numpy() * scale,
            )
        predictions = make_baselines(
            clouds[0],
            clouds[1],
            self.fraction(axis),
            labels=_labels_of(before, after),
            beside=beside,
        )
        if self.part.replicate is not None:
            others = np.concatenate(self.replicates)
            predictions[OTHERS] = self.to_cloud(others)
            predictions[OTHERS_SHIFTED] = self.to_cloud(others + self._shift_of_replicate())
        return predictions

    def _shift_of_replicate(self) -> np.ndarray:
        """Return the mean difference of the held-out replicate from the others, shape (d,).

        It is that of the times before and after, or of one if the others lack cells at the other.
        """
        shifts = [
            (self.cells_at(time).x.mean(dim=0) - others.mean(dim=0)).double().numpy()
            for time in (self.before, self.after)
            if len(others := self.cells.x[torch.as_tensor(self.elapsed == time)])
        ]
        return np.mean(shifts, axis=0) if shifts else np.zeros(self.cells.x.shape[1])

    def score_replicates(self, reference: float) -> dict[str, float]:
        """Return `n_replicates` and `w1_replicates`, their distance at the size of `w1`.

        The distance is NaN if the held-out time does not have two replicates with enough cells.

        Parameters
        ----------
        reference
            W1 that fresh cells of the same time would have, at that size.
        """
        if len(self.replicates) < 2:
            return {"n_replicates": len(self.replicates), "w1_replicates": float("nan")}
        clouds = [self.to_cloud(points) for points in self.replicates]
        distance = replicate_distance(clouds, reference, SCORING_SEED)
        return {"n_replicates": len(clouds), "w1_replicates": distance}


def _labels_of(one: Batch, other: Batch) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the labels of two batches; None unless both have labels."""
    if one.label is None or other.label is None:
        return None
    return one.label.numpy(), other.label.numpy()
