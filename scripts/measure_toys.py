"""Measure what is known in two dimensions and for Gaussians: docs/benchmarks/toys.md.

    python scripts/measure_toys.py results/toys docs/images
    python scripts/measure_toys.py --figure docs/images

The first table has, for pairs of planar laws, W2^2 between carried and true test points and the
normalised path energy; the second the Kullback-Leibler divergence of a learned Schrödinger bridge
between Gaussians from the closed form. Each fit's numbers stay in the first folder, and fits that
are there already are not made again. The figure goes to the second; with `--figure` nothing else is
made, in two minutes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from sklearn.datasets import make_moons, make_s_curve

from cellflow._batch import Marginal
from cellflow._random import normal_like, torch_generator
from cellflow.couplings import IndependentCoupling, MinibatchCoupling
from cellflow.integrate import solve
from cellflow.marginals import Gaussian, Population
from cellflow.methods.recipes import recipe_of
from cellflow.metrics import Cloud, wasserstein
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression
from cellflow.paths import BridgePath, StraightPath, TargetPath
from cellflow.training import Trainer
from cellflow.training.devices import cpu_threads
from cellflow.transport import entropic_plan

SEEDS = (0, 1, 2)
N_TRAIN, N_TEST = 10_000, 1_000
RECIPE = recipe_of("default", n_steps=2500, batch_size=256, coupling_batch_size=256)


def eight_gaussians(n: int, seed: int) -> np.ndarray:
    """Eight centres on a circle of radius 5; standard deviation 0.1^(1/4) = 0.562."""
    rng = np.random.default_rng(seed)
    angle = rng.integers(8, size=n) * np.pi / 4
    centres = 5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return centres + 0.1**0.25 * rng.normal(size=(n, 2))


def moons(n: int, seed: int) -> np.ndarray:
    """Half-moons with noise 0.2, three times as large, moved by -1."""
    return make_moons(n, noise=0.2, random_state=seed)[0] * 3 - 1


def s_curve(n: int, seed: int) -> np.ndarray:
    """The S of scikit-learn, seen from the side, with noise 0.05, three times as large."""
    return make_s_curve(n, noise=0.05, random_state=seed)[0][:, [0, 2]] * 3


def normal(n: int, seed: int) -> np.ndarray:
    """Standard normal."""
    return np.random.default_rng(seed).normal(size=(n, 2))


LAWS: dict[str, Callable[[int, int], np.ndarray]] = {
    "N": normal,
    "8gauss": eight_gaussians,
    "moons": moons,
    "scurve": s_curve,
}
PAIRS = (("N", "8gauss"), ("moons", "8gauss"), ("N", "moons"), ("N", "scurve"))

#: W2^2 and NPE of Tong et al. 2024, table 2, on data of other scalings.
PUBLISHED = {
    ("N", "8gauss", "OT-CFM"): "1.262, .018",
    ("N", "8gauss", "I-CFM"): "1.284, .222",
    ("N", "8gauss", "FM"): "1.062, .174",
    ("moons", "8gauss", "OT-CFM"): "1.923, .053",
    ("moons", "8gauss", "I-CFM"): "1.977, 2.738",
    ("N", "moons", "OT-CFM"): ".239, .087",
    ("N", "moons", "I-CFM"): ".338, .841",
    ("N", "moons", "FM"): ".246, .778",
    ("N", "scurve", "OT-CFM"): ".264, .027",
    ("N", "scurve", "I-CFM"): ".333, .867",
    ("N", "scurve", "FM"): ".377, .772",
}


@dataclass(frozen=True)
class Toy:
    """A method: its coupling of two marginals, and its path."""

    coupling: Callable[[Marginal, Marginal], object]
    path: object


METHODS = {
    "I-CFM": Toy(IndependentCoupling, StraightPath(0.1)),
    "OT-CFM": Toy(MinibatchCoupling, StraightPath(0.1)),
    "FM": Toy(IndependentCoupling, TargetPath(0.1)),
    "SB-CFM": Toy(
        partial(MinibatchCoupling, solver=partial(entropic_plan, epsilon=2.0)), BridgePath(1.0)
    ),
}


def fit(
    toy: Toy, source: Marginal, target: Marginal, dim: int, seed: int, roles: tuple[str, ...]
) -> Fields:
    """Train a net between two marginals."""
    fields = Fields.make(
        roles, (dim,), width=64, depth=3, activation="selu", generator=torch_generator(seed)
    )
    with cpu_threads(1):
        return Trainer(
            fields,
            toy.coupling(source, target),
            VelocityRegression(toy.path),
            RECIPE,
            torch_generator(seed),
        ).run()


def measure_plane(start: str, stop: str, name: str, seed: int) -> dict[str, float]:
    """W2^2 and normalised path energy of one fit."""
    data = torch.as_tensor(LAWS[stop](N_TRAIN, seed), dtype=torch.float32)
    source: Marginal = Population.of(
        torch.as_tensor(LAWS[start](N_TRAIN, seed + 50), dtype=torch.float32)
    )
    if start == "N":
        source = Gaussian(torch.zeros(1, 2))
    net = fit(METHODS[name], source, Population.of(data), 2, seed, ("velocity",))
    return score_plane(net, start, stop, seed)


def score_plane(net: Fields, start: str, stop: str, seed: int) -> dict[str, float]:
    """W2^2 and normalised path energy of a net, on test points."""
    x0, x1 = LAWS[start](N_TEST, 1000 + seed), LAWS[stop](N_TEST, 2000 + seed)
    times = np.linspace(0, 1, 101).tolist()
    x = torch.as_tensor(x0, dtype=torch.float32)
    paths = solve(net.velocity, x, times, solver="euler", n_steps=1).x
    with torch.no_grad():
        energy = np.mean(
            [
                float(net.velocity(torch.full((N_TEST,), t), at).square().sum(dim=1).mean())
                for t, at in zip(times[:-1], paths, strict=False)
            ]
        )
    optimal = wasserstein(Cloud.of(x0), Cloud.of(x1), power=2) ** 2
    reached = wasserstein(Cloud.of(paths[-1].numpy()), Cloud.of(x1), power=2) ** 2
    return {
        "w2_squared": reached,
        "npe": float(abs(energy - optimal) / optimal),
        "optimal": optimal,
    }


def measure_bridge(dim: int, how: str, seed: int) -> dict[str, float]:
    """Mean KL over 21 times of a learned bridge between N(-a, I) and N(a, I), sigma = 1."""
    shift = 0.1
    ends = [Gaussian(torch.full((1, dim), sign * shift)) for sign in (-1.0, 1.0)]
    toy = METHODS["SB-CFM"]
    roles = ("velocity", "score") if how == "SDE" else ("velocity",)
    net = fit(toy, ends[0], ends[1], dim, seed, roles)
    generator = torch_generator(100 + seed)
    x = ends[0].sample(N_TEST * 10, generator).x
    times = np.linspace(0, 1, 21).tolist()
    if how == "SDE":
        path = euler_maruyama(net, x, times, generator)
    else:
        path = solve(net.velocity, x, times, solver="euler", n_steps=1).x
    found = [divergence(at.double().numpy(), t, shift) for t, at in zip(times, path, strict=True)]
    return {"kl": float(np.mean(found))}


@torch.no_grad()
def euler_maruyama(
    net: Fields, x: torch.Tensor, times: list[float], generator: torch.Generator
) -> list[torch.Tensor]:
    """Return the points at all times, sigma = 1, as the published numbers were simulated."""
    path = [x]
    for start, stop in pairwise(times):
        t, length = x.new_full((len(x),), start), stop - start
        drift = net.velocity(t, x) + net.score(t, x)
        x = x + length * drift + length**0.5 * normal_like(x, generator)
        path.append(x)
    return path


def divergence(points: np.ndarray, t: float, shift: float) -> float:
    """KL of the Gaussian with the points' moments from the bridge's, sigma = 1, at time t."""
    dim = points.shape[1]
    mean = np.full(dim, (2 * t - 1) * shift)
    variance = (1 - t) ** 2 + t**2 + t * (1 - t) * np.sqrt(5)
    offset = points.mean(axis=0) - mean
    covariance = np.cov(points.T)
    return 0.5 * (
        np.trace(covariance) / variance
        + offset @ offset / variance
        - dim
        + dim * np.log(variance)
        - np.linalg.slogdet(covariance)[1]
    )


def kept(folder: Path, key: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The numbers of a fit, from its file where it is there."""
    path = folder / f"{key}.json"
    if not path.exists():
        values = measure()
        path.write_text(json.dumps(values))
    return json.loads(path.read_text())


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def main(folder: str, images: str) -> None:
    """Measure everything, print the tables, draw the figure."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    print("| pair | method | W2² | NPE | published W2², NPE |\n|---|---|---|---|---|")
    for (start, stop), name in product(PAIRS, METHODS):
        if name == "FM" and start != "N":
            continue
        runs = [
            kept(
                target,
                f"plane-{start}-{stop}-{name}-{seed}",
                partial(measure_plane, start, stop, name, seed),
            )
            for seed in SEEDS
        ]
        columns = " | ".join(spread([run[key] for run in runs]) for key in ("w2_squared", "npe"))
        published = PUBLISHED.get((start, stop, name), "")
        print(f"| {start} → {stop} | {name} | {columns} | {published} |", flush=True)
    print("\n| dimensions | ODE (SB-CFM) | SDE ([SF]²M) |\n|---|---|---|")
    for dim in (2, 5):
        cells = []
        for how in ("ODE", "SDE"):
            runs = [
                kept(target, f"bridge-{dim}-{how}-{seed}", partial(measure_bridge, dim, how, seed))
                for seed in SEEDS
            ]
            cells.append(
                f"{np.mean([run['kl'] for run in runs]):.4f} ± "
                f"{np.std([run['kl'] for run in runs], ddof=1):.4f}"
            )
        print(f"| {dim} | {cells[0]} | {cells[1]} |", flush=True)
    draw(Path(images))


def draw(images: Path) -> None:
    """Draw paths of each method from moons, or noise, to the eight Gaussians."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    # A page of a journal is 180 mm wide, 7.08 inches.
    figure, panels = plt.subplots(
        2, 2, figsize=(7.08, 7.0), layout="constrained", sharex=True, sharey=True
    )
    for panel, (name, toy) in zip(panels.flat, METHODS.items(), strict=True):
        start = "N" if name == "FM" else "moons"
        data = torch.as_tensor(LAWS["8gauss"](N_TRAIN, 0), dtype=torch.float32)
        origin = torch.as_tensor(LAWS[start](N_TRAIN, 50), dtype=torch.float32)
        source: Marginal = Gaussian(torch.zeros(1, 2)) if name == "FM" else Population.of(origin)
        net = fit(toy, source, Population.of(data), 2, 0, ("velocity",))
        x = origin[:400]
        paths = solve(net.velocity, x, np.linspace(0, 1, 51).tolist(), n_steps=2).x.numpy()
        panel.plot(paths[:, :, 0], paths[:, :, 1], color="olive", linewidth=0.3, alpha=0.5)
        panel.scatter(*data[:1000].T, s=1, color="0.75", zorder=0, label="true end")
        panel.scatter(*paths[0].T, s=2, color="black", label="start")
        panel.scatter(*paths[-1].T, s=2, color="tab:blue", label="end")
        panel.set_title(name, fontsize="medium")
        panel.set_aspect("equal")
    for panel in panels[-1]:
        panel.set_xlabel("first coordinate (no unit)")
    for panel in panels[:, 0]:
        panel.set_ylabel("second coordinate (no unit)")
    names = panels[0, 0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    figure.savefig(images / "toys.png", dpi=120)


if __name__ == "__main__":
    if sys.argv[1] == "--figure":
        draw(Path(sys.argv[2]))
    else:
        main(*sys.argv[1:])
