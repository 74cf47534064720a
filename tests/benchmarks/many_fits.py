"""Goal 4: fifteen fits side by side (five folds, three seeds) over one alone; the goal is below 4.

Plans are solved before the clock starts: each fit solves its own, side by side or not.

python -m tests.benchmarks.many_fits
"""

import torch

import cellflow as cf
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.training import Job, minimise, together
from cellflow.training.devices import cpu_threads
from tests.benchmarks.paired import header, ratios, row

CPU = torch.device("cpu")
REPEATS = 3
STEPS = 20

#: Recipes and what they change: the default, TorchCFM's runner, and a small net.
RECIPES = {
    "default (128 x 3, batch 256)": ("default", {}),
    "torchcfm (64 x 3, batch 128)": ("torchcfm", {"train_fraction": 1.0}),
    "small (32 x 2, batch 64)": ("default", {"net": {"width": 32, "depth": 2}, "batch_size": 64}),
}


def main() -> None:
    header("15 fits over one fit, 5 dimensions, 4 populations of 300 points")
    for method in ("default", "i-cfm"):
        for name, (base, changes) in RECIPES.items():
            recipe = cf.recipe(base, **{"n_steps": STEPS, **changes})
            jobs = [
                _job(fold, seed, cf.method(method), recipe)
                for fold in range(5)
                for seed in range(3)
            ]
            row(f"{method}, recipe {name}", "under 4", _ratios(jobs))


def _job(fold, seed, method, recipe):
    generator = torch.Generator().manual_seed(fold)
    cells = [Population.of(torch.randn((300, 5), generator=generator) + k) for k in range(4)]
    times = (0.0, 1.0, 2.0, 3.0)
    return Job(Marginals(times, tuple(cells)), TimeAxis("index", times), method, recipe, seed)


def _ratios(jobs):
    ready = [together.prepared(job, CPU) for job in jobs]
    objective = together._joint_objective(ready)
    return ratios(
        lambda: together._trained_together(ready, objective, progress=False),
        lambda: _alone(ready[0]),
        REPEATS,
    )


def _alone(ready):
    with cpu_threads(ready.recipe.threads):
        return minimise(
            ready.fields, ready.coupling, ready.objective, ready.recipe, ready.generator
        )


if __name__ == "__main__":
    main()
