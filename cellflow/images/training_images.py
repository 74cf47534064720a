"""Source and target images of a flow, and the fit of a flow between them."""

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
from cellflow.images.low_res import with_condition_costs
from cellflow.images.pictures import write_png
from cellflow.images.potentials_report import warn_of_other_settings
from cellflow.images.space import ImageSpace
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.parts import SemidiscreteSettings
from cellflow.methods.recipes import Recipe
from cellflow.training import Checkpoint, Every, fit_flow, make_checkpoint, resolve_device

#: Flow times of the noise, or of the source, and of the images.
_ENDS = (0.0, 1.0)

#: Images of a picture, and the Euler steps that generate them.
_SHOWN, _STEPS = 64, 20


@dataclass(frozen=True)
class Pictures:
    """Grids of images generated during a training, each from the same noise or source images.

    Attributes
    ----------
    folder
        Folder of the PNG files, one for each picture; made if missing.
    every
        Steps between two pictures; the last step gives one as well.
    """

    folder: str | Path
    every: int = 1000


@dataclass(frozen=True)
class TrainingImages:
    """Target images, and source images or noise, as a flow is trained on them.

    Attributes
    ----------
    space
        Coordinates, classes and low resolution of the images.
    data, source
        The images to generate, and those to start from; None for noise.
    flips
        Mirror images at random.
    augment
        Share of the images that each change is applied to.
    stored
        Whether mirrored images are points of their own, instead of mirrored when drawn.
    condition_weight
        Weight of low resolutions in costs; None if costs do not depend on them.
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
            start, target = with_condition_costs(target, self.condition_weight)
        shape, low_shape = self.space.grid, self.space.low_shape
        return Marginals(_ENDS, (start, target), shape, condition_shape=low_shape)

    @property
    def provenance(self) -> dict[str, Any]:
        """Fingerprints of the images, and how they become points."""
        return {
            "data": self.data.fingerprint,
            "source": self.source and self.source.fingerprint,
            "conditional": bool(self.space.classes),
            "encoder": self.space.kind,
            "dim": self.marginals.dim,
            "flips": self.flips,
        }

    def potentials_settings(self, method: Method) -> dict[str, Any]:
        """Return all settings that the potentials of a semidiscrete coupling depend on."""
        settings = method.coupling.model_dump(include={"epsilon", "cost_dim", "semidiscrete_steps"})
        return {**self.provenance, **settings}

    def fit(
        self,
        method: Method,
        recipe: Recipe,
        prior: Flow | None,
        *,
        rng: RNG,
        device: str,
        checkpoint: Checkpoint | str | Path | None,
        pictures: Pictures | str | Path | None,
        progress: bool,
    ) -> Flow:
        """Fit a flow from the source, or noise, to the images; arguments as in `train`."""
        checkpoint = make_checkpoint(checkpoint)
        seed = resolve_seed(rng)
        settings = {**self.provenance, "augment": self.augment}
        coupling = method.coupling
        if isinstance(coupling, SemidiscreteSettings) and coupling.potentials is not None:
            warn_of_other_settings(Path(coupling.potentials), self.potentials_settings(method))
        if self.space.low_res is not None:
            settings["low_res"] = self.space.low_res
            settings["condition_weight"] = self.condition_weight
        callbacks = []
        if pictures is not None:
            callbacks = [self._draw_pictures(pictures, method, recipe, seed)]
        flow = fit_flow(
            self.marginals,
            TimeAxis("index", _ENDS),
            method=method,
            recipe=recipe,
            seed=seed,
            device=resolve_device(device),
            prior=prior,
            checkpoint=checkpoint and checkpoint.with_identity(settings),
            callbacks=callbacks,
            progress=progress,
            unit="images",
        )
        context = self.space.context
        known = {**context.settings["images"], "training": settings}
        return replace(
            flow,
            inputs=replace(flow.inputs, data=self.data.fingerprint),
            context=replace(context, settings={"images": known}),
        )

    def _draw_pictures(
        self, pictures: Pictures | str | Path, method: Method, recipe: Recipe, seed: int
    ) -> Every:
        """Write grids of images from the same starts by the net at each step."""
        pictures = pictures if isinstance(pictures, Pictures) else Pictures(pictures)
        folder = Path(pictures.folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"pictures {str(folder)!r} is a file; name a folder")
        generator = torch_generator(draw_seed(torch_generator(seed)))
        start, target = self.marginals.populations
        starts, space = start.sample(_SHOWN, generator).x, self.space
        condition = space.condition(space.labels(None, _SHOWN))
        if space.low_res is not None:
            condition = target.sample(_SHOWN, generator).condition

        def draw(step: int, nets: Any) -> None:
            flow = Flow(nets, TimeAxis("index", _ENDS), method, recipe)
            options: dict[str, Any] = {"solver": "euler", "n_steps": _STEPS}
            end = flow.trajectory(starts, _ENDS, condition=condition, **options).end
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"step-{step:07d}.png"
            write_png(space.encoder.decode(end.float().cpu()), path, overwrite=True)

        return Every(pictures.every, draw)
