"""Compare the tangents of mean flows in the plane: docs/benchmarks/toys.md.

    python scripts/measure_mean_flows.py results/mean-flows

From noise to two planar laws, with independent pairs and with minibatch transport: the distance of
points moved in one and in two evaluations from test points, beside that of other test points. Each
fit's numbers stay in the folder, and fits that are there already are not made again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from time import process_time

import numpy as np
import torch
from measure_toys import LAWS, N_TEST, N_TRAIN, RECIPE, SEEDS, kept, spread

from cellflow import method
from cellflow._batch import Marginal
from cellflow._random import torch_generator
from cellflow.couplings import Coupling, IndependentCoupling, MinibatchCoupling
from cellflow.integrate import solve_mean_flow
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.metrics import Cloud, energy_distance, wasserstein
from cellflow.nets import Fields
from cellflow.paths import StraightPath
from cellflow.training import Trainer
from cellflow.training.builders import OBJECTIVE_BUILDERS
from cellflow.training.context import Fit
from cellflow.training.devices import cpu_threads

PAIRINGS: dict[str, Callable[[Marginal, Marginal], Coupling]] = {
    "independent": IndependentCoupling,
    "transport of 256": MinibatchCoupling,
}
TANGENTS = ("pair", "net")
EVALUATIONS = (1, 2)


def distances(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """W1 and energy distance of two samples."""
    return wasserstein(Cloud.of(x), Cloud.of(y)), energy_distance(Cloud.of(x), Cloud.of(y))


def measure(law: str, pairing: str, tangent: str, seed: int) -> dict[str, float]:
    """Distances of one fit's points from test points, and its CPU seconds."""
    data = torch.as_tensor(LAWS[law](N_TRAIN, seed), dtype=torch.float32)
    source, target = Gaussian(torch.zeros(1, 2)), Population.of(data)
    fields = Fields.make(
        ("average",), (2,), width=64, depth=3, activation="selu", generator=torch_generator(seed)
    )
    generator, chosen = torch_generator(seed), method("mean-flow", tangent=tangent, sigma=0.0)
    unit = float((data - data.mean(dim=0)).square().mean().sqrt())
    fit = Fit(
        Marginals((0.0, 1.0), (source, target)), chosen, RECIPE, data.mean(dim=0), unit, generator
    )
    objective = OBJECTIVE_BUILDERS["mean-flow"](fit, chosen.objective, StraightPath(0.0))
    began = process_time()
    with cpu_threads(1):
        net = Trainer(fields, PAIRINGS[pairing](source, target), objective, RECIPE, generator).run()
    found = {"seconds": process_time() - began}
    x = torch.as_tensor(LAWS["N"](N_TEST, 1000 + seed), dtype=torch.float32)
    truth = LAWS[law](N_TEST, 2000 + seed)
    for n in EVALUATIONS:
        moved = solve_mean_flow(net.average, x, (0.0, 1.0), n_steps=n).end.numpy()
        found[f"w1-{n}"], found[f"energy-{n}"] = distances(moved, truth)
    found["w1-floor"], found["energy-floor"] = distances(LAWS[law](N_TEST, 3000 + seed), truth)
    return found


def main(folder: str) -> None:
    """Measure everything and print the table."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    columns = [f"{name}-{n}" for n in EVALUATIONS for name in ("w1", "energy")]
    print(f"| law | pairs | tangent | {' | '.join(columns)} | CPU seconds |")
    print("|---" * (len(columns) + 4) + "|")
    for law in ("8gauss", "moons"):
        for pairing, tangent in product(PAIRINGS, TANGENTS):
            runs = [
                kept(
                    target,
                    f"{law}-{pairing.split()[0]}-{tangent}-{seed}",
                    partial(measure, law, pairing, tangent, seed),
                )
                for seed in SEEDS
            ]
            cells = [spread([run[name] for run in runs]) for name in columns]
            seconds = np.mean([run["seconds"] for run in runs])
            print(f"| {law} | {pairing} | {tangent} | {' | '.join(cells)} | {seconds:.0f} |")
        floor = [spread([run[f"{name}-floor"] for run in runs]) for name in ("w1", "energy")]
        print(f"| {law} | *other test points* | | {' | '.join(floor * 2)} | |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
