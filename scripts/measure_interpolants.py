"""Measure what a held-out time gains from each ingredient of a prediction, with no net in the way.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_interpolants.py [DATA ...]

Protocol strict, 5 whitened dimensions, 1,200 cells of a time at most. Predictions are atoms of
plans between the neighbouring times; the numbers are W1, and W1, energy distance and covariance
error relative to the midpoint of real time, geometric means over the held-out times. Prints a table
a data set.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import torch
from scipy.spatial import cKDTree

from cellflow.couplings.wfr_coupling import wfr_cost
from cellflow.evaluation.folds import Evaluation, Fold
from cellflow.evaluation.held_out import make_held_out
from cellflow.marginals import TimeAxis, fit_time_axis
from cellflow.metrics import Cloud, cov_error, energy_distance, wasserstein
from cellflow.transport import distances, exact_plan
from cellflow.transport.kl_unbalanced import kl_unbalanced_plan

N_CELLS, N_NEIGHBOURS, ASYNCHRONY, PULL = 1200, 30, 0.5, 0.3

#: File, representation, and the times to hold out where these are not all.
DATA = {
    "cite": ("cite_pca100", "X_pca", None),
    "semrau": ("semrau2017_ra41", None, None),
    "larry": ("weinreb2020_larry781", None, None),
    "bargaje": ("bargaje2017_qpcr", None, [24, 36, 48, 60, 72, 96]),
    "emt": ("cook2020_emt_ae10", "X_latent", None),
}


@dataclass(frozen=True)
class Pairs:
    """Coupled cells with their masses at both ends, and the length scale of growth."""

    x0: np.ndarray
    x1: np.ndarray
    m0: np.ndarray
    m1: np.ndarray
    delta: float

    def at(self, share: np.ndarray) -> Cloud:
        """Atoms after these shares of the way, along Wasserstein-Fisher-Rao geodesics of pairs."""
        step = self.x1 - self.x0
        length = np.linalg.norm(step, axis=1)
        if math.isinf(self.delta):
            return Cloud.of(self.x0 + share[:, None] * step, self.m0)
        root = np.sqrt(self.m0 * self.m1) * np.cos(length / (2 * self.delta))
        omega = 2 * self.delta * np.sqrt(np.maximum(self.m0 * self.m1 - root**2, 1e-24))
        a, b = self.m0 + self.m1 - 2 * root, self.m0 - root
        turned = np.arctan((a * share - b) * 2 * self.delta / omega)
        turned += np.arctan(b * 2 * self.delta / omega)
        gone = np.where(length > 0, 2 * self.delta * turned / np.maximum(length, 1e-12), share)
        return Cloud.of(self.x0 + gone[:, None] * step, a * share**2 - 2 * b * share + self.m0)


def coupled(before: np.ndarray, after: np.ndarray, scale: float, growth: float = 1.0) -> Pairs:
    """The exact plan, or the unbalanced one at `scale` times the mean distance of its pairs.

    Masses grow in all by `growth`.
    """
    distance = distances(before, after)
    plan = exact_plan(distance**2)
    if math.isinf(scale):
        return Pairs(before[plan.rows], after[plan.columns], plan.mass, plan.mass, math.inf)
    delta = scale * float(plan.mass @ distance[plan.rows, plan.columns])
    a, b = np.ones(len(before)), np.full(len(after), growth * len(before) / len(after))
    soft = kl_unbalanced_plan(wfr_cost(distance, delta), 1.0, a, b)
    near = distance[soft.rows, soft.columns] < math.pi * delta
    rows, columns, mass = soft.rows[near], soft.columns[near], soft.mass[near]
    m0 = mass / np.bincount(rows, mass)[rows] * a[rows]
    m1 = mass / np.bincount(columns, mass)[columns] * b[columns]
    return Pairs(before[rows], after[columns], m0, m1, delta)


def spread(share: float, n: int, asynchrony: float) -> np.ndarray:
    """Shares of cells that do not share one clock."""
    odds = math.log(share / (1 - share)) + asynchrony * np.random.default_rng(0).normal(size=n)
    return 1 / (1 + np.exp(-odds))


def pulled(cloud: Cloud, kept: np.ndarray) -> Cloud:
    """Points moved some of the way to the mean of their nearest kept cells."""
    nearest = cKDTree(kept).query(cloud.points, N_NEIGHBOURS)[1]
    return Cloud.of(
        cloud.points + PULL * (kept[nearest].mean(axis=1) - cloud.points), cloud.weights
    )


def predictions(fold: Fold, real_axis: TimeAxis) -> dict[str, Callable[[], Cloud]]:
    """The midpoint and what is made of it."""
    before, after = (fold.cloud_at(time).points for time in (fold.before, fold.after))
    learned = fit_time_axis("learned", real_axis.times, fold.cells.x, fold.elapsed)
    real, clock = fold.fraction(real_axis), fold.fraction(learned)
    kept = np.concatenate([fold.cloud_at(time).points for time in fold.training_times])
    growth = len(fold.cells_at(fold.after)) / len(fold.cells_at(fold.before))

    def of(scale: float, share: float, asynchrony: float = 0.0, growth: float = 1.0) -> Cloud:
        pairs = coupled(before, after, scale, growth)
        return pairs.at(spread(share, len(pairs.x0), asynchrony))

    return {
        "midpoint": lambda: of(math.inf, real),
        "learned clock": lambda: of(math.inf, clock),
        "+ asynchrony": lambda: of(math.inf, clock, ASYNCHRONY),
        "+ asynchrony + WFR, 2": lambda: of(2.0, clock, ASYNCHRONY),
        "+ asynchrony + WFR, 1": lambda: of(1.0, clock, ASYNCHRONY),
        "+ asynchrony + WFR, 0.7": lambda: of(0.7, clock, ASYNCHRONY),
        "+ asynchrony + WFR, 1, growing": lambda: of(1.0, clock, ASYNCHRONY, growth),
        "+ asynchrony + WFR, 1, rising": lambda: of(1.0, clock, ASYNCHRONY, max(1.0, growth)),
        "+ asynchrony + WFR, 1, + pull": lambda: pulled(of(1.0, clock, ASYNCHRONY), kept),
    }


def measure(name: str) -> None:
    """Print the table of one data set."""
    file, use_rep, times = DATA[name]
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / f"{file}.h5ad")
    settings = {"time_key": "time", "times": times, "use_rep": use_rep, "max_cells": N_CELLS}
    evaluation = Evaluation(adata, make_held_out(settings))
    scores: dict[str, list[list[float]]] = {}
    for time in evaluation.find_times():
        fold = evaluation.make_fold(time)
        real = fold.cloud_at(time)
        for label, make in predictions(fold, evaluation.baseline_axis).items():
            cloud = make()
            row = [wasserstein(cloud, real), energy_distance(cloud, real), cov_error(cloud, real)]
            scores.setdefault(label, []).append(row)
    print(f"\n| {name} | W1 | relative | energy | covariance |\n|---|---|---|---|---|")
    start = np.array(scores["midpoint"])
    for label, rows in scores.items():
        relative = np.exp(np.log(np.array(rows) / start).mean(axis=0))
        print(
            f"| {label} | {np.mean(rows, axis=0)[0]:.3f} | "
            + " | ".join(f"{r:.3f}" for r in relative)
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for each in sys.argv[1:] or DATA:
        measure(each)
