"""Semidiscrete potentials of cellflow beside those of OTT-JAX: docs/methods/sd-fm.md.

    python benchmarks/semidiscrete/compare.py FOLDER --ott PYTHON [--atoms 256 2000] [--dims 2 50]

Both get the same atoms, a mixture of ten normal laws whose spread decreases with the dimension, and
standard normal noise. The semidual of squared distances is evaluated in double precision on 40,000
other noise vectors, the same for all potentials; the highest value of all is the reference. OTT-JAX
has no default optimiser: `run_ott.py` runs several, and for each of our results the one that gets
there first in CPU seconds counts, which a user cannot know beforehand. CPU seconds are of one
thread, without imports, and for OTT-JAX without compilation and estimates of the error; ours
include all of `fit_potentials`. What OTT-JAX found is kept in FOLDER.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import process_time

import numpy as np
import torch

from cellflow import CellflowWarning
from cellflow._random import torch_generator
from cellflow.couplings import Potentials, fit_potentials
from cellflow.marginals import Gaussian
from cellflow.training.devices import cpu_threads

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
THRESHOLDS = (0.05, 0.005)
N_HELD_OUT, BLOCK = 40_000, 2_000

#: Steps of 1,024 points that OTT-JAX gets, in all and an atom, the larger of both.
N_STEPS, STEPS_PER_ATOM = 1_000, 2


@dataclass(frozen=True)
class Problem:
    """Atoms, and noise that no solver sees."""

    atoms: np.ndarray
    noise: np.ndarray

    def score(self, g: np.ndarray) -> tuple[float, float]:
        """Return the semidual of squared distances, and chi-squared of the assigned masses."""
        g, n_atoms = g.astype(np.float64), len(self.atoms)
        lengths, lowest = (self.atoms**2).sum(axis=1) - g, 0.0
        hits = np.zeros(n_atoms)
        for x in np.split(self.noise, len(self.noise) // BLOCK):
            costs = lengths - 2 * x @ self.atoms.T
            which = costs.argmin(axis=1)
            hits += np.bincount(which, minlength=n_atoms)
            lowest += float((costs[np.arange(len(x)), which] + (x**2).sum(axis=1)).sum())
        n = len(self.noise)
        chi_squared = n_atoms * float((hits**2 - hits).sum()) / (n * (n - 1)) - 1
        return lowest / n + float(g.mean()), chi_squared


def make_problem(n: int, dim: int) -> Problem:
    """Return atoms in ten groups, and held-out noise."""
    rng = np.random.default_rng(n + dim)
    scales = 3 / np.sqrt(1 + np.arange(dim))
    centres = rng.normal(size=(10, dim)) * scales
    atoms = centres[rng.integers(10, size=n)] + 0.3 * scales * rng.normal(size=(n, dim))
    atoms = atoms.astype(np.float32).astype(np.float64)
    return Problem(atoms, np.random.default_rng(1).normal(size=(N_HELD_OUT, dim)))


def squared_distance_potentials(found: Potentials) -> np.ndarray:
    """Return potentials of squared distances, where ours are of inner products."""
    return (2 * found.g + found.atoms.square().sum(dim=1)).double().numpy()


def run_cellflow(
    problem: Problem, threshold: float, seed: int, max_steps: int = 20_000
) -> tuple[np.ndarray, float]:
    """Return potentials and CPU seconds."""
    atoms = torch.as_tensor(problem.atoms, dtype=torch.float32)
    source = Gaussian(torch.zeros(1, atoms.shape[1]))
    with cpu_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", CellflowWarning)
        began = process_time()
        found = fit_potentials(
            source, atoms, generator=torch_generator(seed), threshold=threshold, max_steps=max_steps
        )
        seconds = process_time() - began
    return squared_distance_potentials(found), seconds


def compare(problem: Problem, theirs: dict[str, np.ndarray]) -> list[str]:
    """Return rows of the table."""
    # The first call of a process takes longer.
    run_cellflow(problem, 1.0, 0, max_steps=50)
    curves = {
        name: (theirs[f"{name}|seconds"], [problem.score(g) for g in theirs[f"{name}|g"]])
        for name in dict.fromkeys(key.split("|")[0] for key in theirs)
    }
    highest = max(value for _, scores in curves.values() for value, _ in scores)
    ours = {each: [run_cellflow(problem, each, seed) for seed in SEEDS] for each in THRESHOLDS}
    found = {each: [problem.score(g) for g, _ in runs] for each, runs in ours.items()}
    best = max(highest, *(value for scores in found.values() for value, _ in scores))
    rows = []
    for threshold in THRESHOLDS:
        value, chi_squared = np.mean(found[threshold], axis=0)
        seconds = float(np.mean([each for _, each in ours[threshold]]))
        reached = {
            name: next((s for s, (each, _) in zip(*curve, strict=True) if each >= value), np.inf)
            for name, curve in curves.items()
        }
        first = min(reached, key=reached.__getitem__)
        there = f"{reached[first]:.2f} ({first}) | {reached[first] / seconds:.1f}"
        if np.isinf(reached[first]):
            most = max(times[-1] for times, _ in curves.values())
            there = f"not in {most:.0f} | > {most / seconds:.1f}"
        n, dim = problem.atoms.shape
        rows.append(
            f"| {n:,}, {dim} | {threshold:g} | {best:.5f} | {100 * (best - value) / best:.4f} % | "
            f"{100 * (best - highest) / best:.4f} % | {chi_squared:.4f} | {seconds:.2f} | {there} |"
        )
    return rows


def main() -> None:
    """Compare all sizes and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ott", required=True, help="Python of an environment with ott-jax")
    parser.add_argument("--atoms", type=int, nargs="+", default=[256, 2000])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 50])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(
        "| atoms, dimensions | threshold | highest semidual | ours below it | OTT-JAX at best | "
        "chi-squared | CPU s | CPU s of OTT-JAX | ratio |\n" + "|---" * 9 + "|"
    )
    for n, dim in product(options.atoms, options.dims):
        problem = make_problem(n, dim)
        atoms, output = (options.folder / f"{n}-{dim}{end}" for end in (".npy", ".npz"))
        if not output.exists():
            np.save(atoms, problem.atoms)
            n_steps = max(N_STEPS, STEPS_PER_ATOM * n)
            command = [options.ott, str(HERE / "run_ott.py"), str(atoms), str(output)]
            subprocess.run([*command, "--steps", str(n_steps)], check=True, stdout=sys.stderr)
        with np.load(output) as file:
            theirs = dict(file)
        print("\n".join(compare(problem, theirs)), flush=True)


if __name__ == "__main__":
    main()
