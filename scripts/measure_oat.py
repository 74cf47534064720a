"""Measure fine-tuning by optimal acceleration transport in the plane: docs/methods/oat-fm.md.

    python scripts/measure_oat.py results/oat

A flow of I-CFM is fitted and fine-tuned by default, and for a quarter of the steps at a tenth of
the learning rate ("short") with each alpha and with the Hermite target; nothing stops a
fine-tuning, so that the table shows where each goes. W2^2 and the normalised path energy are
those of measure_toys.py. `ratio` is that of the monitor, at the last reading and at its farthest
from 1, and the step at which the default tolerance would have stopped. Each fit's
numbers stay in the folder, and fits that are there already are not made again.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from measure_toys import LAWS, N_TRAIN, SEEDS, kept, score_plane, spread

from cellflow.flow import Flow
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.methods.method import method_of
from cellflow.methods.parts import OATSettings
from cellflow.methods.recipes import recipe_of
from cellflow.training import fit_flow, resolve_fine_tuning
from cellflow.training.target_net import patience_of, stays_away


def gauss(n: int, seed: int) -> np.ndarray:
    """Draw from a Gaussian with standard deviations 2 and 1/2."""
    return np.random.default_rng(seed).normal(size=(n, 2)) * [2.0, 0.5]


LAWS["gauss"] = gauss
PAIRS = (("moons", "8gauss"), ("N", "gauss"))
CHANGES = {
    "alpha 4/5": {"oat_alpha": 4 / 5},
    "alpha 4/5, short": {"oat_alpha": 4 / 5},
    "alpha 2/3, short": {"oat_alpha": 2 / 3},
    "alpha 12/13, short": {"oat_alpha": 12 / 13},
    "Hermite, short": {"oat_target": "hermite"},
}
#: Divisors of the learning rate, and of the steps and the warm-up, of a short fine-tuning.
SLOWER, SHORTER = 10, 4
NET = {"width": 64, "depth": 3, "activation": "selu", "time_features": 0}
TOLERANCE = OATSettings().oat_tolerance
AXIS, CPU = TimeAxis("index", (0.0, 1.0)), torch.device("cpu")


def course(start: str, stop: str, seed: int) -> Marginals:
    """Draw training points of both laws, as in measure_toys.py."""
    ends = (LAWS[start](N_TRAIN, seed + 50), LAWS[stop](N_TRAIN, seed))
    points = (Population.of(torch.as_tensor(x, dtype=torch.float32)) for x in ends)
    return Marginals((0.0, 1.0), tuple(points))


def fit_prior(start: str, stop: str, seed: int) -> Flow:
    """Fit a flow of independent pairs."""
    recipe = recipe_of("default", n_steps=2500, net=NET, standardise=False)
    options = {"method": method_of("i-cfm"), "recipe": recipe, "seed": seed, "device": CPU}
    return fit_flow(course(start, stop, seed), AXIS, **options)


def score_finetuned(prior: Flow, start: str, stop: str, seed: int, name: str) -> dict[str, float]:
    """Return the scores of a fine-tuning, and the readings of its monitor."""
    changes = {"oat_tolerance": 100.0, **CHANGES[name]}
    first = prior.recipe
    short = {
        "learning_rate": first.learning_rate / SLOWER,
        "n_steps": first.n_steps // SHORTER,
        "warmup": first.warmup // SHORTER,
    }
    numbers = short if name.endswith("short") else {}
    method, recipe = resolve_fine_tuning(prior, "oat-fm", None, changes, numbers)
    options = {"method": method, "recipe": recipe, "seed": seed, "device": CPU}
    flow = fit_flow(course(start, stop, seed), AXIS, prior=prior, **options)
    ratios = flow.history["ratio"]
    readings = list(zip(flow.history["step"], ratios, strict=True))
    patience = patience_of(recipe.n_steps)
    out = [
        readings[k - 1][0]
        for k in range(1, len(readings) + 1)
        if stays_away(readings[:k], 1 - TOLERANCE, 1 + TOLERANCE, patience)
    ]
    return {
        **score_plane(flow.nets, start, stop, seed),
        "ratio": ratios[-1],
        "farthest": max(ratios, key=lambda each: abs(each - 1)),
        "stop": out[0] if out else None,
    }


def measure_pair(start: str, stop: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return the scores of the first flow and of all its fine-tunings, by name."""
    fit = cache(partial(fit_prior, start, stop, seed))

    def first() -> dict[str, float]:
        return score_plane(fit().nets, start, stop, seed)

    def later(name: str) -> dict[str, float]:
        return score_finetuned(fit(), start, stop, seed, name)

    where = f"{start}-{stop}-{seed}"
    found = {"prior, I-CFM": kept(folder, f"{where}-prior", first)}
    for name in CHANGES:
        key = f"{where}-{name.replace(' ', '-').replace('/', '_')}"
        found[name] = kept(folder, key, partial(later, name))
    return found


def format_row(runs: list[dict[str, float]]) -> str:
    """Format means and standard deviations over seeds."""
    names = [name for name in ("w2_squared", "npe", "ratio", "farthest") if name in runs[0]]
    cells = [spread([run[name] for run in runs]) for name in names]
    if "stop" in runs[0]:
        cells.append(", ".join("no" if run["stop"] is None else str(run["stop"]) for run in runs))
    return " | ".join([*cells, *[""] * (5 - len(cells))])


def main(folder: str) -> None:
    """Measure everything and print the table."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    print(
        "| pair | flow | W2² | NPE | ratio | farthest | stops at |\n|---|---|---|---|---|---|---|"
    )
    for start, stop in PAIRS:
        runs = [measure_pair(start, stop, seed, target) for seed in SEEDS]
        for name in runs[0]:
            print(
                f"| {start} → {stop} | {name} | {format_row([run[name] for run in runs])} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
