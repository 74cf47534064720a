"""Measure controls of methods for images: docs/benchmarks/comparison.md.

    python scripts/measure_image_controls.py results/image-controls oat
    python scripts/measure_image_controls.py results/image-controls aot
    python scripts/measure_image_controls.py results/image-controls methods \
        --data /usr/share/datasets/fashion-mnist --size 8 --images 4000 --quick

Small nets and few steps. `oat` continues a flow of I-CFM by plain training, by OT-CFM, and by
OAT-FM with several settings. `aot` trains EDM and AOT with two laws of the noise level, with a
linear skip connection and longer, and reads at which noise levels their images go wrong. `methods`
trains other methods from scratch. The data are digits, or the idx files of a folder (Debian:
`dataset-fashion-mnist`). The numbers of each training stay in the first folder, with a picture of
its images, and those that are there already are not measured again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure_toys import kept

import cellflow as cf
from cellflow._batch import Pairs
from cellflow._random import torch_generator
from cellflow.couplings import Coupling, IndependentCoupling, MinibatchCoupling, euclidean
from cellflow.images.data import ImageSet
from cellflow.images.pictures import write_png
from cellflow.images.scoring.features import space_of
from cellflow.images.scoring.frechet import frechet_distance
from cellflow.images.scoring.statistics import Statistics
from cellflow.images.settings import config_of
from cellflow.images.training_images import TrainingImages
from cellflow.integrate import heun
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.metrics.straightness import normalized_path_energy
from cellflow.nets import Fields
from cellflow.nets.denoiser import SIGMA_MAX, SIGMA_MIN, Denoiser
from cellflow.objectives import EDM, VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import Trainer, resolve_fine_tuning

CHANNELS, N_STEPS, N_IMAGES, N_SHOWN, N_PAIRS, NOISE = 16, 400, 256, 64, 8192, 5
LEVELS, STARTS, LOWER_TOP = (0.2, 1.0, 5.0, 20.0, 80.0), (1.0, 5.0, 80.0), 20.0

EULER = {f"euler {n}": {"solver": "euler", "n_steps": n} for n in (2, 4, 8, 16)}
MANY = {"euler 64": {"solver": "euler", "n_steps": 64}}
DOPRI5 = {"dopri5": {"solver": "dopri5", "tolerance": 1e-4}}
HEUN = {f"heun {2 * n - 1}": {"solver": "edm-heun", "n_steps": n} for n in (8, 18)}
EVEN = {f"euler {n}": {"solver": "euler", "n_steps": n} for n in (15, 35)}
AVERAGE = {f"average {n}": {"solver": "average", "n_steps": n} for n in (1, 2, 4)}

#: A short training: multiples of the learning rate and of the number of steps of the prior.
SHORT = (1 / 10, 1 / 4)

#: Fine-tunings by OAT-FM: changes of the method, and such multiples.
TUNINGS: dict[str, tuple[dict[str, Any], float, float]] = {
    "OAT-FM": ({}, 1, 1),
    "OAT-FM, short": ({}, *SHORT),
    "OAT-FM, short, rate / 30": ({}, 1 / 30, 1 / 4),
    "OAT-FM, short, no average": ({"oat_copy_every": 1}, *SHORT),
    "OAT-FM, short, alpha 2/3": ({"oat_alpha": 2 / 3}, *SHORT),
}

#: Methods from scratch, by name: method and changes.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "OT-CFM": ("ot-cfm", {}),
    "SD-FM": ("sd-fm", {}),
    "mean flow, independent": ("mean-flow", {"coupling": "independent"}),
    "mean flow, OT": ("mean-flow", {}),
}


@dataclass(frozen=True)
class Denoising:
    """A row of the table of EDM and AOT.

    Attributes
    ----------
    method
        `edm` or `aot`.
    law
        Changes of the mean and deviation of ln sigma, -1.2 and 1.2.
    n_steps
        Training steps.
    linear
        Whether the net is a `LinearDenoiser`.
    """

    method: str
    law: Mapping[str, float] = field(default_factory=dict)
    n_steps: int = N_STEPS
    linear: bool = False


#: The wide law is about that of uniform flow times.
WIDE = {"p_mean": 0.0, "p_std": 1.8}
DENOISERS = {
    "edm": Denoising("edm"),
    "aot": Denoising("aot"),
    "edm, wide law": Denoising("edm", WIDE),
    "aot, wide law": Denoising("aot", WIDE),
    "edm, linear skip": Denoising("edm", linear=True),
    "aot, linear skip": Denoising("aot", linear=True),
    "edm, steps x 3": Denoising("edm", n_steps=3 * N_STEPS),
    "aot, steps x 3": Denoising("aot", n_steps=3 * N_STEPS),
}


class LinearDenoiser(Denoiser):
    """Denoiser whose skip connection is the best linear denoiser of its pairs.

    EDM's scalings hold for noise independent of the data, whose covariance is a multiple of the
    identity. Here those of input, skip connection and output are computed from the second moments
    of pairs, along the principal components of the data.

    Parameters
    ----------
    net
        Denoiser whose network is taken.
    pairs
        Pairs of noise and data.
    """

    centre: torch.Tensor
    axes: torch.Tensor
    variance: torch.Tensor
    covariance: torch.Tensor

    def __init__(self, net: Denoiser, pairs: Pairs) -> None:
        super(Denoiser, self).__init__()
        self.net, self.shape, self.condition_dim = net.net, net.shape, net.condition_dim
        noise, data = pairs.x0.double(), pairs.x1.double()
        centre = data.mean(dim=0)
        variance, axes = torch.linalg.eigh((data - centre).T @ (data - centre) / len(data))
        covariance = (((data - centre) @ axes) * (noise @ axes)).mean(dim=0)
        self.register_buffer("centre", centre.float())
        self.register_buffer("axes", axes.float())
        self.register_buffer("variance", variance.clamp(min=0).float())
        self.register_buffer("covariance", covariance.float())

    def total(self, sigma: torch.Tensor) -> torch.Tensor:
        """Return the variance of y + sigma n along each component, for levels of shape (n, 1)."""
        return self.variance + 2 * sigma * self.covariance + sigma.square()

    def residual(self, sigma: torch.Tensor) -> torch.Tensor:
        """Return the error of the linear denoiser over sigma^2, for levels of shape (n, 1)."""
        left = (self.variance - self.covariance.square()).clamp(min=0)
        return (left / self.total(sigma)).mean(dim=1, keepdim=True)

    def error(self, level: float) -> float:
        """Return the error of the linear denoiser, a mean over dimensions."""
        return float(level**2 * self.residual(torch.tensor([[level]])))

    def forward(
        self, t: torch.Tensor, x: torch.Tensor, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the velocity at flow times and points, as `Denoiser` does."""
        first, last = 1 / (1 + SIGMA_MAX), 1 / (1 + SIGMA_MIN)
        clamped = t.clamp(first, last)
        scale = (1 - first) / (1 - t.clamp(max=first)) / t.clamp(min=first)
        sigma = ((1 - clamped) / clamped)[:, None]
        total, x = self.total(sigma), scale[:, None] * x - self.centre
        c_in = total.mean(dim=1, keepdim=True).rsqrt()
        output = self.residual(sigma).sqrt() * self.net(sigma[:, 0].log() / 4, c_in * x, condition)
        # D and (x - D) / sigma of the linear denoiser, computed apart to avoid cancellation.
        components = x @ self.axes / total
        denoised = ((self.variance + sigma * self.covariance) * components) @ self.axes.T
        noise = ((sigma + self.covariance) * components) @ self.axes.T
        return self.centre + denoised - noise + (1 + sigma) * output


def linear_denoiser(flow: cf.Flow, coupling: Coupling) -> LinearDenoiser:
    """Return the net of a flow with a linear skip connection for the pairs of a coupling."""
    pairs = coupling.sample(N_PAIRS, torch_generator(NOISE))
    return LinearDenoiser(flow.nets.nets["velocity"], pairs)


@dataclass(frozen=True)
class LinearEDM(EDM):
    """The loss of EDM with weight 1 over the error of the linear denoiser."""

    def loss(self, net: Fields, pairs: Pairs, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of one batch."""
        sigma = self.levels(pairs.t0, generator)
        t = 1 / (1 + sigma)
        x = (1 - t[:, None]) * pairs.x0 + t[:, None] * pairs.x1
        error = (net.velocity(t, x) - pairs.x1 + pairs.x0).square().mean(dim=1)
        residual = net.nets["velocity"].residual(sigma[:, None])[:, 0]
        return (error / (1 + sigma).square() / residual).mean()


@dataclass(frozen=True)
class Bench:
    """Training images, and how flows of them are fitted and scored.

    Attributes
    ----------
    data
        The images.
    quick
        Leave out the scores that take most of the time.
    """

    data: ImageSet
    quick: bool = False

    @cached_property
    def images(self) -> TrainingImages:
        """The images as points, without changes."""
        space = cf.images.space.space_for(self.data, None, None, conditional=False, low_res=None)
        return TrainingImages(space, self.data, None, flips=False)

    @cached_property
    def real(self) -> Statistics:
        """Features of the images."""
        return Statistics.of(space_of("random-conv")(self.data.pixels, torch.device("cpu")))

    @cached_property
    def noise(self) -> torch.Tensor:
        """The noise that all images of all flows start from."""
        dim = self.images.marginals.dim
        return torch.randn(N_IMAGES, dim, generator=torch_generator(NOISE))

    def recipe(self, config: str, **changes: Any) -> Recipe:
        """Return the recipe of a config with a smaller net and fewer steps."""
        recipe = config_of(config, self.data.shape).recipe
        net = {**recipe.net.model_dump(), "channels": CHANNELS}
        return recipe_of(recipe, **{"net": net, "n_steps": N_STEPS, **changes})

    def fit(
        self, method: cf.Method, recipe: Recipe, seed: int, prior: cf.Flow | None = None
    ) -> cf.Flow:
        """Fit a flow to the images."""
        quiet: dict[str, Any] = {"checkpoint": None, "pictures": None, "progress": False}
        return self.images.fit(method, recipe, prior, rng=seed, device="cpu", **quiet)

    def score_points(self, points: torch.Tensor) -> dict[str, float]:
        """Return the Frechet distance of generated points, and their spread over the data's."""
        encoder = self.images.space.encoder
        pixels = encoder.decode(points.float())
        made = Statistics.of(space_of("random-conv")(pixels, torch.device("cpu"))).moments
        real, data = self.real.moments, encoder.encode(self.data.pixels)
        ratio = (points.double().var(dim=0).sum() / data.double().var(dim=0).sum()).sqrt()
        distance = frechet_distance(made.mean, made.cov, real.mean, real.cov)
        return {"frechet": distance, "ratio": float(ratio)}

    def score_by(
        self, flow: cf.Flow, solvers: Mapping[str, dict[str, Any]], picture: Path
    ) -> dict[str, float]:
        """Return distance and spread for each solver; draw images of the last."""
        found = {}
        for name, options in solvers.items():
            points = flow.trajectory(self.noise, (0.0, 1.0), **options).end
            scores = self.score_points(points)
            found |= {f"{key} {name}": value for key, value in scores.items()}
        shown = self.images.space.encoder.decode(points[:N_SHOWN].float())
        write_png(shown, picture, overwrite=True)
        return found

    def score_flow(self, flow: cf.Flow, picture: Path) -> dict[str, float]:
        """Return all scores of a flow of velocities, or of average velocities."""
        if flow.is_mean_flow:
            return self.score_by(flow, dict(reversed(AVERAGE.items())), picture)
        times = torch.linspace(0, 1, 21)
        path = flow.trajectory(self.noise, times.tolist(), solver="midpoint", n_steps=1).x
        solvers = EULER if self.quick else {**EULER, **MANY, **DOPRI5}
        scores = self.score_by(flow, solvers, picture)
        scores["frechet midpoint 40"] = self.score_points(path[-1])["frechet"]
        return {**scores, "npe": normalized_path_energy(path, times)}

    def score_denoiser(self, flow: cf.Flow, coupling: Coupling, picture: Path) -> dict[str, float]:
        """Return scores by solver, those from noisy images of each level, and the error there.

        Images of a lower level have the law that the net was trained on, so that what a net does
        wrong above that level has no part in their distance.
        """
        solvers = {**HEUN, **DOPRI5} if self.quick else {**HEUN, **EVEN, **DOPRI5}
        found = self.score_by(flow, solvers, picture)
        pairs = coupling.sample(1024, torch_generator(NOISE))
        linear = linear_denoiser(flow, coupling)
        for level in LEVELS:
            t = torch.full((len(pairs),), 1 / (1 + level))
            x = (1 - t[:, None]) * pairs.x0 + t[:, None] * pairs.x1
            with torch.no_grad():
                denoised = x + (1 - t[:, None]) * flow.velocity(t, x)
            found[f"error {level:g}"] = float((denoised - pairs.x1).square().mean())
            found[f"linear {level:g}"] = linear.error(level)
        if self.quick:
            return found
        made = heun(flow.velocity, self.noise, n_steps=18, sigma_max=LOWER_TOP).end
        scores = self.score_points(made)
        found |= {f"{key} heun 35 from {LOWER_TOP:g}": value for key, value in scores.items()}
        pairs = pairs[:N_IMAGES]
        for level in STARTS:
            made = heun(flow.velocity, pairs.x1 / level + pairs.x0, sigma_max=level).end
            found[f"from {level:g}"] = self.score_points(made)["frechet"]
        return found


#: Measures the flow of a row, and draws a picture of its images.
Row = Callable[[Path], dict[str, float]]


def continue_plainly(
    prior: cf.Flow, coupling: Coupling, seed: int, faster: float = 1, longer: float = 1
) -> cf.Flow:
    """Train the net of a flow further by flow matching."""
    recipe = scaled(prior.recipe, faster, longer)
    loss = VelocityRegression(StraightPath(0.0))
    trainer = Trainer(deepcopy(prior.nets), coupling, loss, recipe, torch_generator(seed))
    return replace(prior, nets=trainer.run())


def tune(bench: Bench, prior: cf.Flow, seed: int, name: str) -> cf.Flow:
    """Fine-tune a flow by OAT-FM; nothing stops it."""
    changes, faster, longer = TUNINGS[name]
    changes = {"oat_tolerance": 100.0, **changes}
    method, recipe = resolve_fine_tuning(prior, "oat-fm", None, changes, {})
    return bench.fit(method, scaled(recipe, faster, longer), seed, prior)


def scaled(recipe: Recipe, faster: float, longer: float) -> Recipe:
    """Return the recipe with multiples of its learning rate and number of steps."""
    numbers = {"n_steps": round(recipe.n_steps * longer), "warmup": round(recipe.warmup * longer)}
    return recipe_of(recipe, learning_rate=recipe.learning_rate * faster, **numbers)


def rows_of_oat(bench: Bench, seed: int) -> dict[str, Row]:
    """Return the rows of I-CFM and of what continues it."""
    ends = bench.images.marginals.populations

    @cache
    def prior() -> cf.Flow:
        return bench.fit(cf.method("i-cfm", sigma=0.0), bench.recipe("digits"), seed)

    def continued(coupling: type[Coupling], *scales: float) -> cf.Flow:
        return continue_plainly(prior(), coupling(*ends), seed, *scales)

    flows: dict[str, Callable[[], cf.Flow]] = {
        "I-CFM": prior,
        "I-CFM, continued": partial(continued, IndependentCoupling),
        "I-CFM, continued, short": partial(continued, IndependentCoupling, *SHORT),
        "OT-CFM, continued, short": partial(continued, MinibatchCoupling, *SHORT),
        **{name: partial(lambda n: tune(bench, prior(), seed, n), name) for name in TUNINGS},
    }
    return {name: partial(_make_and_score, bench, make) for name, make in flows.items()}


def _make_and_score(bench: Bench, make: Callable[[], cf.Flow], picture: Path) -> dict[str, float]:
    return bench.score_flow(make(), picture)


def rows_of_methods(bench: Bench, seed: int) -> dict[str, Row]:
    """Return the rows of methods from scratch."""

    def make(method: str, changes: dict[str, Any]) -> cf.Flow:
        return bench.fit(cf.method(method, sigma=0.0, **changes), bench.recipe("digits"), seed)

    return {
        name: partial(_make_and_score, bench, partial(make, *which))
        for name, which in METHODS.items()
    }


def rows_of_aot(bench: Bench, seed: int) -> dict[str, Row]:
    """Return the rows of EDM and AOT."""
    ends = bench.images.marginals.populations

    def measure(row: Denoising, picture: Path) -> dict[str, float]:
        recipe = bench.recipe("aot-digits", n_steps=row.n_steps)
        coupling = (
            IndependentCoupling(*ends)
            if row.method == "edm"
            else MinibatchCoupling(*ends, batch_size=recipe.coupling_batch_size, cost=euclidean)
        )
        method = cf.method(row.method, **row.law)
        flow = bench.fit(method, recipe_of(recipe, n_steps=1) if row.linear else recipe, seed)
        if row.linear:
            flow = replace(flow, nets=train_linear(flow, coupling, recipe, seed))
        return bench.score_denoiser(flow, coupling, picture)

    return {name: partial(measure, row) for name, row in DENOISERS.items()}


def train_linear(flow: cf.Flow, coupling: Coupling, recipe: Recipe, seed: int) -> Fields:
    """Train a `LinearDenoiser` from the weights of a flow that is hardly trained."""
    nets = Fields({"velocity": linear_denoiser(flow, coupling)})
    loss = LinearEDM(StraightPath(0.0))
    return Trainer(nets, coupling, loss, recipe, torch_generator(seed)).run()


TABLES = {"oat": rows_of_oat, "methods": rows_of_methods, "aot": rows_of_aot}


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--size", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--quick", action="store_true", help="leave out the slowest solvers")
    parser.add_argument("--rows", nargs="+", help="names of rows; all by default")
    asked = parser.parse_args()
    data = cf.images.read(asked.data, split="train", size=asked.size)[: asked.images]
    bench, label = Bench(data, asked.quick), Path(asked.data).name
    asked.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in asked.seeds:
        for name, row in TABLES[asked.table](bench, seed).items():
            if asked.rows and name not in asked.rows:
                continue
            key = f"{label}-{asked.table}-{seed}-{name.replace(' ', '_').replace('/', '_')}"
            measure = partial(row, asked.folder / f"{key}.png")
            found.setdefault(name, []).append(kept(asked.folder, key, measure))
            print(key, flush=True, file=sys.stderr)
    columns = dict.fromkeys(key for runs in found.values() for key in runs[0])
    for kind in dict.fromkeys(column.split()[0] for column in columns):
        print_table(kind, [each for each in columns if each.split()[0] == kind], found)


def print_table(kind: str, columns: list[str], found: dict[str, list[dict[str, float]]]) -> None:
    """Print the columns of one kind: the mean over seeds, and their range."""
    print(f"| {kind} | " + " | ".join(each.removeprefix(f"{kind} ") for each in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, runs in found.items():
        values = [np.array([run[each] for run in runs if each in run]) for each in columns]
        text = [
            f"{v.mean():.3f} ({v.min():.3f} to {v.max():.3f})" if len(v) else "" for v in values
        ]
        print(f"| {name} | " + " | ".join(text) + " |")
    print()


if __name__ == "__main__":
    main()
