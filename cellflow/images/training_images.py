"""What a flow of images goes between, and how one is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cellflow._errors import InputError
from cellflow._random import RNG, draw_seed, resolve_seed, torch_generator
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.low_res import costs_of_conditions
from cellflow.images.pictures import write_png
from cellflow.images.potentials_report import warn_of_others
from cellflow.images.space import ImageSpace
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.parts import SemidiscreteSettings
from cellflow.methods.recipes import Recipe
from cellflow.training import Callback, Checkpoint, Every, fit_flow, make_checkpoint, resolve_device

#: Flow times of noise, or the source, and of the images.
_ENDS = (0.0, 1.0)

#: Images of a picture that is taken on the way, and the Euler steps that make them.
_SHOWN, _STEPS = 64, 20


@dataclass(frozen=True)
class Course:
    """What a flow of images goes between.

    Attributes
    ----------
    space
        How images are points.
    data, source
        The images to generate, and those to start from; None for noise.
    flips
        Mirror images at random.
    augment
        Share of the images that each change befalls.
    stored
        Whether mirrored images are points of their own, instead of mirrored when drawn.
    condition_weight
        What low resolutions count in costs; None where costs do not see any.
    """

    space: ImageSpace
    data: ImageSet
    source: ImageSet | None
    flips: bool
    augment: float = 0.0
    stored: bool = False
    condition_weight: float | None = None

    @cached_property
    def marginals(self) -> Marginals:
        """Noise, or the source, at time 0, the images at time 1."""
        target = self.space.population(
            self.data, flips=self.flips, augment=self.augment, stored=self.stored
        )
        start: Population | Gaussian = (
            Gaussian(torch.zeros(1, target.dim))
            if self.source is None
            else self.space.population(self.source, flips=self.flips, stored=self.stored)
        )
        if self.condition_weight is not None:
            start, target = costs_of_conditions(target, self.condition_weight)
        shape, low_shape = self.space.grid, self.space.low_shape
        return Marginals(_ENDS, (start, target), shape, condition_shape=low_shape)

    @property
    def known(self) -> dict[str, Any]:
        """What tells the images, and how they are points."""
        return {
            "data": self.data.fingerprint,
            "source": self.source and self.source.fingerprint,
            "conditional": bool(self.space.classes),
            "encoder": self.space.kind,
            "dim": self.marginals.dim,
            "flips": self.flips,
        }

    def coupled_by(self, method: Method) -> dict[str, Any]:
        """What decides the potentials of a semidiscrete coupling."""
        settings = method.coupling.model_dump(include={"epsilon", "cost_dim", "semidiscrete_steps"})
        return {**self.known, **settings}

    def fitted(
        self,
        method: Method,
        recipe: Recipe,
        prior: Flow | None,
        *,
        rng: RNG,
        device: str,
        checkpoint: Checkpoint | str | Path | None,
        pictures: str | Path | None,
        pictures_every: int,
        progress: bool,
    ) -> Flow:
        """A flow from one to the other, by these settings; the options are those of `train`."""
        space, seed, marginals = self.space, resolve_seed(rng), self.marginals
        given = {
            **self.known,
            "prior": prior and prior.fingerprint,
            "augment": self.augment,
        }
        coupling = method.coupling
        if isinstance(coupling, SemidiscreteSettings) and coupling.potentials is not None:
            warn_of_others(Path(coupling.potentials), self.coupled_by(method))
        if space.low_res is not None:
            given |= {"low_res": space.low_res, "condition_weight": self.condition_weight}
        callbacks: list[Callback] = []
        if pictures is not None:
            callbacks = [_pictures(space, marginals, seed, pictures, pictures_every)]
        flow = fit_flow(
            marginals,
            TimeAxis("index", _ENDS),
            method=method,
            recipe=recipe,
            seed=seed,
            device=resolve_device(device),
            prior=prior,
            checkpoint=make_checkpoint(checkpoint, given),
            callbacks=callbacks,
            progress=progress,
            unit="images",
        )
        return replace(flow, context=space.context, settings={**flow.settings, **given})


def _pictures(
    space: ImageSpace, marginals: Marginals, seed: int, folder: str | Path, every: int
) -> Every:
    """Grids of the same noise, or of the same images, carried by the net as it is."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"pictures {str(folder)!r} is a file; name a folder")
    generator = torch_generator(draw_seed(torch_generator(seed)))
    start, target = marginals.populations
    points = start.sample(_SHOWN, generator).x
    condition = space.condition(space.labels(None, _SHOWN))
    if space.low_res is not None:
        condition = target.sample(_SHOWN, generator).condition

    def draw(step: int, nets: Any) -> None:
        flow = Flow(nets, TimeAxis("index", _ENDS), {}, {})
        way = flow.trajectory(points, _ENDS, condition=condition, solver="euler", n_steps=_STEPS)
        pixels = space.encoder.decode(way.end.float().cpu())
        folder.mkdir(parents=True, exist_ok=True)
        write_png(pixels, folder / f"step-{step:07d}.png", overwrite=True)

    return Every(every, draw)
