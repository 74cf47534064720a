"""Train a flow that generates images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cellflow._errors import InputError
from cellflow._random import RNG, drawn_seed, seed_of, torch_generator
from cellflow.flow import Flow
from cellflow.images._sample import carried
from cellflow.images.augment import N_LABELS, SHARE
from cellflow.images.config import config_of, method_for
from cellflow.images.couplings_report import warn_of_others
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.low_res import costs_of_conditions, default_weight
from cellflow.images.pictures import write_png
from cellflow.images.space import ImageSpace, space_for
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.methods.config import Config
from cellflow.methods.method import Method
from cellflow.methods.parts import COUPLINGS
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.methods.sizes import DenoiserSizes, Sizes
from cellflow.training import Checkpoint, Look, fit_flow, resolve_device

#: Images of a picture that is taken on the way, and the Euler steps that make them.
_SHOWN, _STEPS = 64, 20


def train(
    data: ImageSet,
    *,
    source: ImageSet | None = None,
    config: str | Path | Config | None = None,
    method: str | Method | None = None,
    coupling: str | None = None,
    path: str | None = None,
    objective: str | None = None,
    sigma: float | None = None,
    epsilon: float | None = None,
    cost_dim: int | None = None,
    semidiscrete_steps: int | None = None,
    potentials: str | Path | None = None,
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
    coupling_batch_size: int | None = None,
    conditional: bool = False,
    low_res: int | None = None,
    flips: bool | None = None,
    augment: float | None = None,
    encoder: Encoder | None = None,
    prior: Flow | None = None,
    rng: RNG = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1000,
    resume: bool = False,
    pictures: str | Path | None = None,
    pictures_every: int = 1000,
    progress: bool = True,
) -> Flow:
    """Train a flow from noise, or from another set of images, to a set of images.

    Parameters
    ----------
    data
        Images to generate.
    source
        Images to start from (unsupervised translation); None starts from standard normal noise.
    config
        Method and recipe: a name of `cellflow.images.CONFIGS`, a YAML file, or a `Config`. None
        chooses by the size of the images; in latents, the recipe for cells.
    method, coupling, path, objective, sigma
        Instead of the config's: as in `tl.fit`. A method by name takes sigma 0, as published for
        images, except on bridges, which need noise.
    epsilon
        Strength of the entropy of couplings that have one, as in `cf.method`.
    cost_dim, semidiscrete_steps, potentials
        Of coupling `semidiscrete`, as in `cf.method`; `couple` makes the folder `potentials`
        beforehand.
    recipe, n_steps, coupling_batch_size
        Instead of the config's, its training steps, and how many images are coupled at once.
    conditional
        Let the velocity depend on the class. Noise is coupled within each class, so that it
        tells nothing of it.
    low_res
        Let the velocity depend on the low resolution of the image, in which so many pixels a side
        are one: `upscale` then makes images of low resolutions. Costs see these too, with the
        weight `condition_weight` of the method. From noise, in pixels, without classes and flips.
    flips
        Mirror images left to right at random when they are drawn, or, with couplings that look
        partners up among stored images, such as `semidiscrete`, store the mirror of each beside
        it. None does with RGB images, and not with grey ones, which are often letters or digits,
        nor where images are augmented.
    augment
        Share of the images that are turned, that are zoomed, and so on, when they are drawn, as in
        EDM. None takes 0.12, as published, with nets that are told of it (`edm` with `augment_dim`
        9), and 0 with others, which need 0; so do couplings that look partners up.
    encoder
        Latents to work in instead of pixels: an object with `encode` and `decode`.
    prior
        A fitted flow for couplings that ask one; `finetune` goes on from its weights.
    rng
        Seed, or numpy generator to draw one from.
    device
        `auto` (a GPU where there is one), `cpu`, `cuda`, ...
    checkpoint, checkpoint_every, resume
        File that the state of the training is kept in, steps between two writings, and whether to
        go on from it where it is there. A training that was resumed ends with the weights of one
        that was not.
    pictures, pictures_every
        Folder that grids of images go to on the way, and steps between two of them.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The flow, from time 0 (source) to 1 (images); `sample` and `translate` use it.

    Raises
    ------
    InputError
        For settings that do not go together or with the images.

    References
    ----------
    Tong et al. 2024, arXiv 2302.00482.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> flow = cf.images.train(digits, n_steps=2, progress=False)
    >>> cf.images.sample(flow, 3, solver="euler", n_steps=2).images.pixels.shape
    (3, 8, 8, 1)
    """
    space = space_for(data, source, encoder, conditional=conditional, low_res=low_res)
    moves, numbers = settled(
        space,
        data,
        config,
        method,
        recipe,
        {"n_steps": n_steps, "coupling_batch_size": coupling_batch_size},
        coupling=coupling,
        path=path,
        objective=objective,
        sigma=sigma,
        epsilon=epsilon,
        cost_dim=cost_dim,
        semidiscrete_steps=semidiscrete_steps,
        potentials=None if potentials is None else str(potentials),
    )
    augment = _share(augment, numbers.net)
    by_row = COUPLINGS[moves.coupling].by_row
    if augment and by_row:
        raise InputError(
            f"coupling {moves.coupling!r} finds partners among the images as they are stored, and "
            f"augment={augment:g} changes them each time that they are drawn: set augment 0 and, "
            "where it is told of it, the net's augment_dim 0"
        )
    if low_res is not None and (flips or augment):
        raise InputError("with low_res images are taken as they are; leave flips and augment out")
    flips = flips_for(space, data, flips, augment)
    weight = None if low_res is None else default_weight(moves, space, data)
    if low_res is None and moves.condition_weight is not None:
        raise InputError("condition_weight is the weight of low resolutions: give low_res with it")
    return Course(space, data, source, flips, augment, by_row, weight).fitted(
        moves,
        numbers,
        prior,
        rng=rng,
        device=device,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        pictures=pictures,
        pictures_every=pictures_every,
        progress=progress,
    )


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
        return Marginals((0.0, 1.0), (start, target), shape, condition_shape=low_shape)

    def coupled_by(self, method: Method) -> dict[str, Any]:
        """What decides the potentials of a semidiscrete coupling."""
        names = ("epsilon", "cost_dim", "semidiscrete_steps")
        return {
            "data": self.data.fingerprint,
            "source": self.source and self.source.fingerprint,
            "conditional": bool(self.space.classes),
            "encoder": self.space.kind,
            "dim": self.marginals.dim,
            "flips": self.flips,
            **{name: getattr(method, name) for name in names},
        }

    def fitted(
        self,
        method: Method,
        recipe: Recipe,
        prior: Flow | None,
        *,
        rng: RNG,
        device: str,
        checkpoint: str | Path | None,
        checkpoint_every: int,
        resume: bool,
        pictures: str | Path | None,
        pictures_every: int,
        progress: bool,
    ) -> Flow:
        """A flow from one to the other, by these settings; the options are those of `train`."""
        space, seed, marginals = self.space, seed_of(rng), self.marginals
        given = {
            "data": self.data.fingerprint,
            "source": self.source and self.source.fingerprint,
            "prior": prior and prior.fingerprint,
            "conditional": bool(space.classes),
            "encoder": space.kind,
            "dim": marginals.dim,
            "flips": self.flips,
            "augment": self.augment,
        }
        if method.potentials is not None:
            warn_of_others(Path(method.potentials), self.coupled_by(method))
        if space.low_res is not None:
            given |= {"low_res": space.low_res, "condition_weight": self.condition_weight}
        looks = []
        if pictures is not None:
            looks = [_pictures(space, marginals, seed, pictures, pictures_every)]
        flow = fit_flow(
            marginals,
            TimeAxis("index", (0.0, 1.0)),
            method=method,
            recipe=recipe,
            seed=seed,
            device=resolve_device(device),
            prior=prior,
            checkpoint=None
            if checkpoint is None
            else Checkpoint(Path(checkpoint), checkpoint_every, resume, given),
            looks=looks,
            progress=progress,
            unit="images",
        )
        return replace(flow, context=space.context, settings={**flow.settings, **given})


def settled(
    space: ImageSpace,
    data: ImageSet,
    config: str | Path | Config | None,
    method: str | Method | None,
    recipe: str | Recipe | None = None,
    numbers: Mapping[str, int | None] | None = None,
    **parts: Any,
) -> tuple[Method, Recipe]:
    """Method and recipe of a training, every number; those that are None are the recipe's."""
    if config is None and space.grid is None:
        config = Config(Method(), recipe_of("default"))
    chosen = config_of(config, data.shape)
    moves = method_for(chosen, method, **parts)
    changes = {name: value for name, value in (numbers or {}).items() if value is not None}
    return moves, _suited(recipe_of(recipe or chosen.recipe, **changes), moves, space)


def flips_for(space: ImageSpace, data: ImageSet, flips: bool | None, augment: float = 0.0) -> bool:
    """Whether images are mirrored; by default RGB ones that are only generated, not augmented."""
    if flips is None:
        plain = space.grid is not None and space.low_res is None and not augment
        return plain and data.shape[0] == 3
    return flips


def _suited(recipe: Recipe, method: Method, space: ImageSpace) -> Recipe:
    """The recipe, as the method needs it; refused where the space does not take its net."""
    kind = recipe.net.kind
    if space.grid is None and kind != "mlp":
        raise InputError(
            f"net {kind!r} works on grids of pixels, and latents are none: take a config or recipe "
            "with net 'mlp', or give neither"
        )
    if method.objective == "mean-flow":
        # Group normalisation has no forward derivatives of grids with their channels last.
        return recipe_of(recipe, channels_last=False)
    return recipe


def _share(augment: float | None, net: Sizes) -> float:
    """Share of the images that each change befalls."""
    told = isinstance(net, DenoiserSizes) and net.augment_dim == N_LABELS
    if augment is None:
        return SHARE if told else 0.0
    if not 0 <= augment <= 1:
        raise InputError(f"augment must be a share from 0 to 1, got {augment}")
    if augment and not told:
        raise InputError(
            f"augment={augment:g} needs a net that is told how images were changed, or it makes "
            f"such images: net 'edm' with augment_dim {N_LABELS}"
        )
    return augment


def _pictures(
    space: ImageSpace, marginals: Marginals, seed: int, folder: str | Path, every: int
) -> Look:
    """Grids of the same noise, or of the same images, carried by the net as it is."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"pictures {str(folder)!r} is a file; name a folder")
    generator = torch_generator(drawn_seed(torch_generator(seed)))
    start, target = marginals.populations
    points = start.sample(_SHOWN, generator).x
    condition = space.condition(space.labels(None, _SHOWN))
    if space.low_res is not None:
        condition = target.sample(_SHOWN, generator).condition

    def draw(step: int, nets: Any) -> None:
        flow = Flow(nets, TimeAxis("index", (0.0, 1.0)), {}, {})
        end = carried(flow, points, condition, solver="euler", n_steps=_STEPS).end
        pixels = space.encoder.decode(end.float().cpu())
        folder.mkdir(parents=True, exist_ok=True)
        write_png(pixels, folder / f"step-{step:07d}.png", overwrite=True)

    return Look(every, draw)
