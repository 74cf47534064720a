"""Measure what a held-out time gains from each ingredient of a prediction, with no net in the way.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_interpolants.py [DATA ...]

Protocol strict, 5 whitened dimensions, 1,000 cells of a time at most. Predictions are atoms of
plans between the neighbouring times; the numbers are W1 of the midpoint of real time, and W1 and
energy distance of each prediction relative to it, geometric means over the held-out times. Prints a
row a data set, and the geometric means over all.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import torch

from cellflow.couplings import composition_coupling
from cellflow.couplings.wfr_coupling import wfr_cost
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.marginals import Population, TimeAxis, fit_time_axis
from cellflow.metrics import Cloud, energy_distance, wasserstein
from cellflow.transport import distances, exact_plan
from cellflow.transport.kl_unbalanced import kl_unbalanced_plan

N_CELLS, ASYNCHRONY = 1000, 0.5

#: File and representation of each course.
DATA = {
    "cite": ("cite_pca100", "X_pca"),
    "semrau": ("semrau2017_ra41", None),
    "larry": ("weinreb2020_larry781", None),
    "larry2d": ("larry2d_tigon", "X_2d"),
    "bargaje": ("bargaje2017_qpcr", None),
    "emt": ("cook2020_emt_ae10", "X_latent"),
    "tcell": ("tcell_cytof15", None),
    "hpsc": ("hpsc_endoderm_cytof37", None),
    "worm": ("worm_amphid_packer", None),
    "tigon": ("sim_tigon_3gene_growth", None),
    "stvcr": ("sim_stvcr_heart2duck", None),
}


@dataclass(frozen=True)
class Pairs:
    """Coupled cells with masses at both ends; `delta` is the length scale of unbalanced plans."""

    x0: np.ndarray
    x1: np.ndarray
    m0: np.ndarray
    m1: np.ndarray
    delta: float

    def at(self, share: np.ndarray) -> Cloud:
        """Atoms after these shares of the way; masses change exponentially or along geodesics."""
        step = self.x1 - self.x0
        length = np.linalg.norm(step, axis=1)
        if math.isinf(self.delta):
            mass = self.m0 ** (1 - share) * self.m1**share
            return Cloud.of(self.x0 + share[:, None] * step, mass)
        root = np.sqrt(self.m0 * self.m1) * np.cos(length / (2 * self.delta))
        omega = 2 * self.delta * np.sqrt(np.maximum(self.m0 * self.m1 - root**2, 1e-24))
        a, b = self.m0 + self.m1 - 2 * root, self.m0 - root
        turned = np.arctan((a * share - b) * 2 * self.delta / omega)
        turned += np.arctan(b * 2 * self.delta / omega)
        gone = np.where(length > 0, 2 * self.delta * turned / np.maximum(length, 1e-12), share)
        return Cloud.of(self.x0 + gone[:, None] * step, a * share**2 - 2 * b * share + self.m0)


def unbalanced(before: np.ndarray, after: np.ndarray) -> Pairs:
    """The unbalanced plan with the mean distance of optimally coupled cells as length scale."""
    distance = distances(before, after)
    plan = exact_plan(distance**2)
    delta = float(plan.mass @ distance[plan.rows, plan.columns])
    a, b = np.ones(len(before)), np.full(len(after), len(before) / len(after))
    soft = kl_unbalanced_plan(wfr_cost(distance, delta), 1.0, a, b)
    near = distance[soft.rows, soft.columns] < math.pi * delta
    rows, columns, mass = soft.rows[near], soft.columns[near], soft.mass[near]
    m0 = mass / np.bincount(rows, mass)[rows] * a[rows]
    m1 = mass / np.bincount(columns, mass)[columns] * b[columns]
    return Pairs(before[rows], after[columns], m0, m1, delta)


def composed(before: np.ndarray, after: np.ndarray, share: float | None) -> Pairs:
    """The pairs of coupling `composition`; share 0 is the exact plan."""
    coupling = composition_coupling(
        *(Population.of(torch.from_numpy(each)) for each in (before, after)),
        generator=torch.Generator().manual_seed(0),
        share=share,
        growth=(1.0, 1.0),
    )
    plan = coupling.plan
    m0, m1 = (plan.mass * mass.numpy() for mass in (coupling.m0, coupling.m1))
    return Pairs(before[plan.rows], after[plan.columns], m0, m1, math.inf)


def spread(share: float, n: int, asynchrony: float) -> np.ndarray:
    """Shares of cells that do not share one clock."""
    odds = math.log(share / (1 - share)) + asynchrony * np.random.default_rng(0).normal(size=n)
    return 1 / (1 + np.exp(-odds))


def predictions(fold: Fold, real_axis: TimeAxis) -> dict[str, Cloud]:
    """The midpoint of real time and what is made of it, ingredient by ingredient."""
    before, after = (fold.cloud_at(time).points for time in (fold.before, fold.after))
    learned = fit_time_axis("learned", real_axis.times, fold.cells.x, fold.elapsed)
    real, clock = fold.fraction(real_axis), fold.fraction(learned)
    exact, mixed, all_changed = (composed(before, after, share) for share in (0.0, None, 1.0))

    def at(pairs: Pairs, share: float, asynchrony: float = ASYNCHRONY) -> Cloud:
        return pairs.at(spread(share, len(pairs.x0), asynchrony))

    return {
        "midpoint": at(exact, real, 0.0),
        "learned clock": at(exact, clock, 0.0),
        "+ asynchrony": at(exact, clock),
        "+ composition": at(mixed, clock),
        "+ composition, real time": at(mixed, real),
        "+ composition, share 1": at(all_changed, clock),
        "+ WFR, the default before": at(unbalanced(before, after), clock),
    }


def measure(name: str) -> np.ndarray:
    """Print the row of one data set; return the logarithms of its ratios."""
    file, use_rep = DATA[name]
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / f"{file}.h5ad")
    settings = {"time_key": "time", "use_rep": use_rep, "max_cells": N_CELLS}
    evaluation = Evaluation(adata, make_held_out(settings))
    folds = []
    for time in evaluation.find_times():
        fold = evaluation.make_fold(HeldOutPart(time))
        real = fold.cloud_at(time)
        clouds = predictions(fold, evaluation.baseline_axis)
        if not folds and name == next(iter(DATA)):
            print("| data | W1 | " + " | ".join(list(clouds)[1:]) + " |")
            print("|---" * (len(clouds) + 1) + "|")
        folds.append(
            [(wasserstein(each, real), energy_distance(each, real)) for each in clouds.values()]
        )
    scores = np.array(folds)
    ratios = np.log(scores[:, 1:] / scores[:, :1]).mean(axis=0)
    print_row(name, f"{scores[:, 0, 0].mean():.3f}", ratios)
    return ratios


def print_row(name: str, start: str, ratios: np.ndarray) -> None:
    """Print W1 and energy distance relative to the midpoint's."""
    cells = (f"{w1:.3f} / {energy:.3f}" for w1, energy in np.exp(ratios))
    print(f"| {name} | {start} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    chosen = sys.argv[1:] or list(DATA)
    rows = {each: measure(each) for each in chosen}
    # Both are of one experiment.
    if {"larry", "larry2d"} <= rows.keys():
        rows["larry"] = (rows["larry"] + rows.pop("larry2d")) / 2
    print_row("geometric mean, LARRY counted once", "", np.mean(list(rows.values()), axis=0))
