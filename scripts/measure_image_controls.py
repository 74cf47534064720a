"""Measure controls of OAT-FM and of AOT on digits: docs/benchmarks/comparison.md.

    python scripts/measure_image_controls.py results/image-controls oat
    python scripts/measure_image_controls.py results/image-controls aot

Small nets and few steps, three seeds; a seed after these measures it alone. `oat` continues a flow
of I-CFM by plain training, by OT-CFM, and by OAT-FM with several settings. `aot` trains EDM and AOT
with two laws of the noise level, and reads the error of the denoiser at each level. The numbers of
each training stay in the folder, and those that are there already are not measured again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure_toys import kept

import cellflow as cf
from cellflow._random import torch_generator
from cellflow.couplings import Coupling, IndependentCoupling, MinibatchCoupling, euclidean
from cellflow.images.data import ImageSet
from cellflow.images.scoring.features import space_of
from cellflow.images.scoring.frechet import frechet_distance
from cellflow.images.scoring.statistics import Statistics
from cellflow.images.settings import config_of
from cellflow.images.space import ImageSpace
from cellflow.images.training_images import TrainingImages
from cellflow.integrate import heun
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.metrics.straightness import normalized_path_energy
from cellflow.objectives import VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import Trainer, resolve_fine_tuning

SEEDS = (0, 1, 2)
CHANNELS, N_STEPS, N_IMAGES, NOISE = 16, 400, 256, 5
LEVELS, _TOP = (0.2, 1.0, 5.0, 20.0, 80.0), 20.0

#: Fine-tunings by OAT-FM: changes of the method, and multiples of the default learning rate and
#: number of steps, which are a tenth and a quarter of the prior's.
TUNINGS: dict[str, tuple[dict[str, Any], float, int]] = {
    "OAT-FM": ({}, 1, 1),
    "OAT-FM, rate x 10, steps x 4": ({}, 10, 4),
    "OAT-FM, rate / 3": ({}, 1 / 3, 1),
    "OAT-FM, no average": ({"oat_copy_every": 1}, 1, 1),
    "OAT-FM, alpha 2/3": ({"oat_alpha": 2 / 3}, 1, 1),
}

#: The first law is EDM's; the second is about that of uniform flow times.
LAWS = {"": {}, ", wide law": {"p_mean": 0.0, "p_std": 1.8}}


@cache
def digits() -> ImageSet:
    """Return the training images."""
    return cf.images.read("digits", split="train")


@cache
def real_statistics() -> Statistics:
    """Return the features of the training images."""
    return Statistics.of(space_of("random-conv")(digits().pixels, torch.device("cpu")))


def small(config: str, **changes: Any) -> Recipe:
    """Return the recipe of a config with a smaller net and fewer steps."""
    recipe = config_of(config, digits().shape).recipe
    net = {**recipe.net.model_dump(), "channels": CHANNELS}
    return recipe_of(recipe, **{"net": net, "n_steps": N_STEPS, **changes})


def score_points(flow: cf.Flow, points: torch.Tensor) -> dict[str, float]:
    """Return the Frechet distance of generated points, and their spread relative to the data."""
    space = ImageSpace.of(flow)
    pixels = space.encoder.decode(points.float())
    made = Statistics.of(space_of("random-conv")(pixels, torch.device("cpu"))).moments
    real = real_statistics().moments
    data = space.encoder.encode(digits().pixels)
    ratio = float((points.double().var(dim=0).sum() / data.double().var(dim=0).sum()).sqrt())
    return {"frechet": frechet_distance(made.mean, made.cov, real.mean, real.cov), "ratio": ratio}


def noise_of(flow: cf.Flow) -> torch.Tensor:
    """Return the noise that all images of all flows start from."""
    return torch.randn(N_IMAGES, flow.dim, generator=torch_generator(NOISE))


def score_by(flow: cf.Flow, by: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Return distance and spread for each solver."""
    found = {}
    for name, options in by.items():
        made = flow.trajectory(noise_of(flow), (0.0, 1.0), **options)
        scores = score_points(flow, made.x[-1])
        found |= {f"{key} {name}": value for key, value in scores.items()}
    return found


EULER = {f"euler {n}": {"solver": "euler", "n_steps": n} for n in (2, 4, 8, 16, 64)}
DOPRI5 = {"dopri5": {"solver": "dopri5", "tolerance": 1e-4}}


def score_tuned(flow: cf.Flow) -> dict[str, float]:
    """Return all scores of a flow of the first table."""
    times = torch.linspace(0, 1, 21)
    path = flow.trajectory(noise_of(flow), times.tolist(), solver="midpoint", n_steps=1).x
    return {**score_by(flow, {**EULER, **DOPRI5}), "npe": normalized_path_energy(path, times)}


def continue_plainly(
    prior: cf.Flow, coupling: Coupling, seed: int, faster: float = 1, longer: int = 1
) -> cf.Flow:
    """Train the net of a flow further by flow matching, with the recipe of a fine-tuning."""
    recipe = scaled(resolve_fine_tuning(prior, "oat-fm", None, {}, {})[1], faster, longer)
    loss = VelocityRegression(StraightPath(0.0))
    trainer = Trainer(deepcopy(prior.nets), coupling, loss, recipe, torch_generator(seed))
    return replace(prior, nets=trainer.run())


def tune(prior: cf.Flow, images: TrainingImages, seed: int, name: str) -> cf.Flow:
    """Fine-tune a flow by OAT-FM; nothing stops it."""
    changes, faster, longer = TUNINGS[name]
    changes = {"oat_tolerance": 100.0, **changes}
    method, recipe = resolve_fine_tuning(prior, "oat-fm", None, changes, {})
    return fit(images, method, scaled(recipe, faster, longer), prior, seed)


def scaled(recipe: Recipe, faster: float, longer: int) -> Recipe:
    """Return the recipe with multiples of its learning rate and number of steps."""
    numbers = {"n_steps": recipe.n_steps * longer}
    return recipe_of(recipe, learning_rate=recipe.learning_rate * faster, **numbers)


def fit(
    images: TrainingImages, method: cf.Method, recipe: Recipe, prior: cf.Flow | None, seed: int
) -> cf.Flow:
    """Fit a flow to the images."""
    quiet: dict[str, Any] = {"checkpoint": None, "pictures": None, "progress": False}
    return images.fit(method, recipe, prior, rng=seed, device="cpu", **quiet)


def training_images() -> TrainingImages:
    """Return the digits as points, without changes."""
    space = cf.images.space.space_for(digits(), None, None, conditional=False, low_res=None)
    return TrainingImages(space, digits(), None, flips=False)


def measure_oat(seed: int) -> dict[str, Callable[[], dict[str, float]]]:
    """Return what to measure of the first table, by name."""
    images = training_images()
    ends = images.marginals.populations
    plain = partial(cf.method, sigma=0.0)

    @cache
    def prior() -> cf.Flow:
        return fit(images, plain("i-cfm"), small("digits"), None, seed)

    flows: dict[str, Callable[[], cf.Flow]] = {
        "I-CFM": prior,
        "I-CFM, continued": lambda: continue_plainly(prior(), IndependentCoupling(*ends), seed),
        "I-CFM, continued, rate x 10, steps x 4": lambda: continue_plainly(
            prior(), IndependentCoupling(*ends), seed, 10, 4
        ),
        "OT-CFM, continued": lambda: continue_plainly(prior(), MinibatchCoupling(*ends), seed),
        **{name: partial(lambda n: tune(prior(), images, seed, n), name) for name in TUNINGS},
    }
    return {name: partial(lambda make: score_tuned(make()), make) for name, make in flows.items()}


def score_denoised(flow: cf.Flow, coupling: Coupling) -> dict[str, float]:
    """Return scores by solver, from lower noise levels, and the error at each noise level."""
    steps = {f"heun {2 * n - 1}": {"solver": "edm-heun", "n_steps": n} for n in (8, 18)}
    euler = {f"euler {n}": {"solver": "euler", "n_steps": n} for n in (15, 35)}
    found = score_by(flow, {**steps, **euler, **DOPRI5})
    made = heun(flow.velocity, noise_of(flow), n_steps=18, sigma_max=_TOP).end
    found |= {f"{key} heun 35 from 20": value for key, value in score_points(flow, made).items()}
    pairs = coupling.sample(1024, torch_generator(NOISE))
    for level in LEVELS:
        t = torch.full((len(pairs),), 1 / (1 + level))
        x = (1 - t[:, None]) * pairs.x0 + t[:, None] * pairs.x1
        with torch.no_grad():
            denoised = x + (1 - t[:, None]) * flow.velocity(t, x)
        found[f"error {level:g}"] = float((denoised - pairs.x1).square().mean())
    return found


def measure_aot(seed: int) -> dict[str, Callable[[], dict[str, float]]]:
    """Return what to measure of the second table, by name."""
    images = training_images()
    ends = images.marginals.populations
    couplings = {
        "aot": MinibatchCoupling(*ends, batch_size=512, cost=euclidean),
        "edm": IndependentCoupling(*ends),
    }

    def one(method: str, law: str) -> dict[str, float]:
        chosen = cf.method(method, **LAWS[law])
        flow = fit(images, chosen, small("aot-digits"), None, seed)
        return score_denoised(flow, couplings[method])

    return {f"{name}{law}": partial(one, name, law) for law in LAWS for name in couplings}


def main(folder: str, table: str, *seeds: str) -> None:
    """Measure everything and print the tables."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    measure = {"oat": measure_oat, "aot": measure_aot}[table]
    found: dict[str, list[dict[str, float]]] = {}
    for seed in [int(seed) for seed in seeds] or SEEDS:
        for name, scores in measure(seed).items():
            key = f"{table}-{seed}-{name.replace(' ', '_').replace('/', '_')}"
            found.setdefault(name, []).append(kept(target, key, scores))
            print(key, flush=True, file=sys.stderr)
    for kind in dict.fromkeys(key.split()[0] for key in next(iter(found.values()))[0]):
        print_table(kind, found)


def print_table(kind: str, found: dict[str, list[dict[str, float]]]) -> None:
    """Print the columns of one kind: the mean over seeds, and their range."""
    names = [name for name in next(iter(found.values()))[0] if name.split()[0] == kind]
    print(f"| {kind} | " + " | ".join(name.removeprefix(f"{kind} ") for name in names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, runs in found.items():
        cells = [np.array([run[each] for run in runs]) for each in names]
        text = [f"{c.mean():.3f} ({c.min():.3f} to {c.max():.3f})" for c in cells]
        print(f"| {name} | " + " | ".join(text) + " |")
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
