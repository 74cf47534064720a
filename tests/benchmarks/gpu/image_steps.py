"""A training step on images of CIFAR-10's size, ours beside TorchCFM's, in turns in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch

import cellflow as cf
from cellflow.images.space import space_for
from cellflow.images.training_images import TrainingImages
from cellflow.marginals import TimeAxis
from cellflow.training import Callback, Trainer, fit_flow
from tests.benchmarks.gpu.carried import has
from tests.benchmarks.gpu.results import Results, Row
from tests.benchmarks.gpu.settings import Settings
from tests.benchmarks.gpu.torchcfm_images import TorchCFMStep
from tests.benchmarks.image_step import make_recipe

Step = Callable[[], object]


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a comparison.

    Attributes
    ----------
    n, side
        Images, each of which is stored mirrored as well, and their height and width.
    channels, multipliers, batch_size
        Of both nets, and images of a step.
    window, repeats
        Steps of a window, and windows of each side after one in which everything is compiled.
    """

    n: int = 25_000
    side: int = 32
    channels: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    batch_size: int = 128
    window: int = 20
    repeats: int = 6


FULL, TINY = _Sizes(), _Sizes(40, 8, 32, (1, 2), 8, 1, 2)

#: Steps before a window that are not timed: pairs drawn ahead during the other side's turn would
#: be a start for nothing.
UNTIMED = 6


@dataclass(frozen=True)
class _Comparison:
    """Two trainings.

    Attributes
    ----------
    method, changes, compile
        Ours, its settings, and whether its net is compiled.
    coupled
        Whether theirs takes its pairs from transport.
    """

    method: str
    changes: dict[str, Any]
    compile: bool
    coupled: bool

    @property
    def name(self) -> str:
        """Name of the job."""
        return f"{self.method}, {'compiled' if self.compile else 'not compiled'}"

    @property
    def theirs(self) -> str:
        """Name of the other side."""
        return "OT-CFM" if self.coupled else "I-CFM"


#: Those of transport, then what compilation gives, then those without transport.
_SD = ("sd-fm", {"semidiscrete_steps": 50})
COMPARISONS = (
    _Comparison(*_SD, compile=True, coupled=True),
    _Comparison(*_SD, compile=False, coupled=True),
    _Comparison("i-cfm", {}, compile=True, coupled=False),
)


def jobs(settings: Settings, results: Results) -> dict[str, Callable[[], Row]]:
    """Return a job for each comparison; without TorchCFM for ours alone."""
    compared = has("torchcfm")
    # Compilers for the CPU are not everywhere, and slow.
    asked = [replace(each, compile=each.compile and not settings.rehearse) for each in COMPARISONS]
    return {
        f"{each.name}, beside {each.theirs}" if compared else each.name: partial(
            _measure, settings, each, compared=compared
        )
        for each in asked
    }


def _measure(settings: Settings, asked: _Comparison, *, compared: bool) -> Row:
    """Time ours, and theirs if it is `compared`."""
    sizes = TINY if settings.rehearse else FULL
    # Times do not depend on what the images show.
    shape = (sizes.n, sizes.side, sizes.side, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    net = {"channels": sizes.channels, "multipliers": sizes.multipliers}
    options = {"batch_size": sizes.batch_size, "device": settings.device}
    theirs = TorchCFMStep(pixels, coupled=asked.coupled, **net, **options) if compared else None
    turns = _Turns(theirs, sizes.window, sizes.repeats, **options)
    recipe = make_recipe(
        net={"kind": "unet", "attention": (sizes.side // 2,), **net},
        compile=asked.compile,
        batch_size=sizes.batch_size,
        n_steps=turns.n_steps,
    )
    method = cf.method(asked.method, sigma=0.0, **asked.changes)
    data = cf.images.ImageSet(pixels)
    space = space_for(data, None, None, conditional=False, low_res=None)
    images = TrainingImages(space, data, None, flips=True, stored=method.coupling.looks_up_rows)
    fit_flow(
        images.marginals,
        TimeAxis("index", (0.0, 1.0)),
        method=method,
        recipe=recipe,
        seed=0,
        device=torch.device(settings.device),
        callbacks=[turns],
    )
    return turns.row()


class _Turns(Callback):
    """After each window of steps of the trainer, as many of the other side; seconds of both."""

    def __init__(
        self, theirs: Step | None, window: int, repeats: int, *, batch_size: int, device: str
    ) -> None:
        self.theirs, self.window, self.batch_size = theirs, window, batch_size
        self.device = torch.device(device)
        self.n_steps = (repeats + 1) * (UNTIMED + window)
        self.seconds: list[tuple[float, float | None]] = []

    def after_step(self, trainer: Trainer[Any]) -> None:
        done = trainer.steps % (UNTIMED + self.window)
        if done == UNTIMED:
            self.start = self._now()
        elif done == 0:
            ours = self._now() - self.start
            self.seconds.append((ours, self._other()))

    def _other(self) -> float | None:
        if self.theirs is None:
            return None
        start = self._now()
        for _ in range(self.window):
            self.theirs()
        return self._now() - start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()

    def row(self) -> Row:
        """Return images a second of each window but the first, and the ratio of each pair."""
        images = self.window * self.batch_size
        counted = self.seconds[1:]
        row = {"ours": [images / ours for ours, _ in counted], "torchcfm": None, "ratio": None}
        if self.theirs is not None:
            row["torchcfm"] = [images / theirs for _, theirs in counted]
            row["ratio"] = [theirs / ours for ours, theirs in counted]
        return row
