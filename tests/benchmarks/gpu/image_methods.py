"""Methods on CIFAR-10 at one small budget: FID by the number of evaluations.

Nets and optimisation are those of `workflows/images/config`: `cifar10-minutes.yaml`, and for EDM
and AOT `edm-minutes.yaml`. All take the same number of steps of 128 images; OAT-FM takes as many
again, from the flow of I-CFM. All flows start from the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

import cellflow as cf
from cellflow.images.samples import solver_options
from cellflow.images.scoring.features import NetSpace, space_of
from cellflow.images.settings import config_of, method_for
from cellflow.methods.config import Config
from cellflow.methods.recipes import recipe_of
from tests.benchmarks.gpu.results import Results, Row
from tests.benchmarks.gpu.settings import Settings

CONFIGS = Path(__file__).parents[3] / "workflows" / "images" / "config"
UNET, EDM = "cifar10-minutes.yaml", "edm-minutes.yaml"

#: Images of each FID; test images are scored in the same number.
N = 5000

#: The flow that OAT-FM goes on from.
PRIOR = "i-cfm"


@dataclass(frozen=True)
class Run:
    """Config, method and changes of a training."""

    config: str
    method: str
    changes: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)


RUNS = {
    "i-cfm": Run(UNET, "i-cfm"),
    "ot-cfm": Run(UNET, "ot-cfm", recipe={"coupling_batch_size": 512}),
    "sd-fm": Run(UNET, "sd-fm", {"semidiscrete_steps": 1250}),
    "mean-flow": Run(UNET, "mean-flow", {"coupling": "independent"}),
    "edm": Run(EDM, "edm"),
    "aot": Run(EDM, "aot"),
}

FLOWS, DENOISERS = ("i-cfm", "ot-cfm", "sd-fm"), ("edm", "aot")

#: Few evaluations first, which is where methods differ. The solver of the denoisers takes 7 and 35
#: with 4 and 18 steps.
QUICK, SLOW = ("euler:8", "euler:2", "euler:4"), ("euler:35", "euler:100", "dopri5")
HEUN = ("edm-heun:4", "edm-heun:18")


def jobs(settings: Settings, results: Results) -> dict[str, Callable[[], Row]]:
    """Return the trainings and scores, in order of worth."""
    study = Study(settings)
    return {" ".join(words): partial(getattr(study, words[0]), *words[1:]) for words in _order()}


def _order() -> Iterator[tuple[str, ...]]:
    """Iterate over jobs: a method of `Study` and its arguments."""
    yield ("floor",)
    yield from (("train", name) for name in FLOWS)
    yield from (("score", name, by) for by in QUICK for name in FLOWS)
    yield ("tune", "oat-fm")
    yield from (("score", "oat-fm", by) for by in QUICK)
    yield ("train", "mean-flow")
    yield from (("score", "mean-flow", by) for by in ("average:1", "average:2"))
    yield from (("train", name) for name in DENOISERS)
    yield from (("score", name, by) for by in (*HEUN, *QUICK) for name in DENOISERS)
    yield from (("score", name, by) for by in SLOW for name in (*FLOWS, "oat-fm", *DENOISERS))


@dataclass(frozen=True)
class Study:
    """The images, the feature space and the flows of all methods."""

    settings: Settings

    @cached_property
    def real(self) -> cf.images.ImageSet:
        """Images to train on."""
        if self.settings.rehearse:
            return _random_images(0)
        return cf.images.read(self.settings.images, split="train")

    @cached_property
    def space(self) -> NetSpace:
        """Inception; in a rehearsal random convolutions."""
        if self.settings.rehearse:
            return space_of("random-conv")
        return space_of("inception", weights=self.settings.inception)

    def train(self, name: str) -> Row:
        """Train a flow by a method and store it."""
        run = RUNS[name]
        config = self._config(run)
        changes = dict(run.changes)
        if "semidiscrete_steps" in changes:
            # Whoever trains again need not solve again.
            changes["potentials"] = str(self.settings.work / "potentials")
        if self.settings.rehearse and "semidiscrete_steps" in changes:
            changes["semidiscrete_steps"] = 2
        method = method_for(config, run.method, **changes)
        flow = cf.images.train(
            self.real, config=config, method=method, device=self.settings.device, progress=False
        )
        return self._store(flow, name)

    def tune(self, name: str) -> Row:
        """Fine-tune the flow of I-CFM."""
        prior, device = self._load(PRIOR), self.settings.device
        flow = cf.images.finetune(prior, self.real, device=device, progress=False)
        return {**self._store(flow, name), **flow.record.fine_tuning}

    def score(self, name: str, by: str) -> Row:
        """Score the images of a flow by a solver."""
        flow, n = self._load(name), self._n
        start = perf_counter()
        made = cf.images.sample(flow, n, batch_size=min(n, 1000), rng=0, **solver_options(by))
        seconds = perf_counter() - start
        return {"flow": name, "by": by, "nfe": made.nfe, "sampling_seconds": seconds} | self._row(
            made.images
        )

    def floor(self) -> Row:
        """Score real images that are not trained on, the floor."""
        test = (
            _random_images(1)
            if self.settings.rehearse
            else cf.images.read(self.settings.images, split="test")
        )
        return {**self._row(test[: self._n]), "of": "test images"}

    @property
    def _n(self) -> int:
        return 16 if self.settings.rehearse else N

    def _row(self, images: cf.images.ImageSet) -> Row:
        scores = cf.images.score(
            images, self.real, space=self.space, cache=self.settings.work / "features",
            device=self.settings.device,
        )  # fmt: skip
        (row,) = scores.rows
        return row

    def _config(self, run: Run) -> Config:
        config = config_of(CONFIGS / run.config, self.real.shape)
        changes: dict[str, Any] = {"n_steps": self.settings.n_steps, **run.recipe}
        if self.settings.rehearse:
            net = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,)}
            changes |= {"net": net, "batch_size": 8, "coupling_batch_size": 8, "warmup": 0}
        return Config(config.method, recipe_of(config.recipe, **changes))

    def _store(self, flow: cf.Flow, name: str) -> Row:
        flow.save(self._folder(name), overwrite=True)
        steps, batch_size = flow.history["step"][-1], flow.recipe.batch_size
        cost = {f"training_{key}": value for key, value in flow.record.cost.items()}
        return {
            "flow": name,
            "images": steps * batch_size,
            "loss": flow.history["loss"][-1],
            **cost,
        }

    def _load(self, name: str) -> cf.Flow:
        return cf.Flow.load(self._folder(name), device=torch.device(self.settings.device))

    def _folder(self, name: str) -> Path:
        folder = self.settings.work / "flows"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name


def _random_images(seed: int) -> cf.images.ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 8, 8, 3), dtype=np.uint8)
    return cf.images.ImageSet(pixels)
