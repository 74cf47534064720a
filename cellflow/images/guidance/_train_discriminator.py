"""Train a discriminator of real images and those of a flow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow._random import RNG, draw_seed, resolve_seed, torch_generator
from cellflow.flow import Flow
from cellflow.images._sample import sample
from cellflow.images.data import ImageSet
from cellflow.images.guidance.discrimination import (
    CLASSIFIER_RECIPE,
    PAIRINGS,
    RECIPE,
    Classified,
    fit_discriminator,
)
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.discriminator_guidance import check_guidable
from cellflow.images.samples import from_noise, solver_options
from cellflow.images.space import ImageSpace
from cellflow.marginals import Population
from cellflow.methods.recipes import recipe_of
from cellflow.nets.hourglass import check_unet_sizes
from cellflow.training import resolve_device

#: Images of the flow at most, as published, and the height under which grids are halved no more.
_MOST, _COARSEST = 50_000, 8


def train_discriminator(
    flow: Flow,
    data: ImageSet,
    *,
    generated: ImageSet | None = None,
    n_generated: int | None = None,
    by: str = "edm-heun:18",
    pairing: str = "aot",
    coupling_batch_size: int = 512,
    n_steps: int = 2000,
    classifier_steps: int = 2000,
    batch_size: int = 128,
    learning_rate: float = 3e-4,
    channels: int = 32,
    blocks: int = 2,
    rng: RNG = 0,
    device: str = "auto",
    progress: bool = True,
) -> Discriminator:
    """Train a discriminator that can guide the sampling of a flow from noise.

    Real images and images of the flow get noise of all levels, and a net learns to tell them apart;
    its log-odds are the log-ratio of their densities, whose gradient is what the flow lacks. The
    net is a classifier of the labelled real images, told how much noise there is, which is then
    frozen, and a small head on its features. Where `data` has no labels both are trained together.
    A tenth of the images is kept from training; the weights of the lowest loss on them are used.

    Parameters
    ----------
    flow
        Of `train`, from noise, on pixels and straight paths. It is left as it is.
    data
        Real images, like those that the flow was trained on.
    generated
        Images of the flow, with their classes where it knows any; None makes them.
    n_generated
        How many to make; None takes as many as there are real ones, 50,000 at most.
    by
        How they are made, as in `score_flow`: best as images will be made with guidance.
    pairing
        How noise meets images: `aot` assigns it at least total distance, to real and generated
        images apart, and in each class the flow knows; `independent` draws it. That of the flow.
    coupling_batch_size
        Images of one assignment.
    n_steps, classifier_steps
        Steps of the head and of the classifier.
    batch_size
        Images a step.
    learning_rate
        Of the head.
    channels, blocks
        Size of the nets: channels of the finest grid, twice as many on each grid of half the
        height, down to a height of 8, and residual blocks a grid. Published are 128 and 4.
    rng
        Seed, or numpy generator to draw one from.
    device
        `auto` (a GPU where there is one), `cpu`, `cuda`, ...; that of the flow stays.
    progress
        Show progress bars on stderr.

    Returns
    -------
    The discriminator for `sample`, with loss and accuracy on images kept from training.

    Raises
    ------
    InputError
        For flows and images that do not go together, or numbers out of range.

    References
    ----------
    Kim et al. 2023, arXiv 2211.17091; with assigned noise Kim et al. 2024, arXiv 2403.05069.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> flow = cf.images.train(digits, method="i-cfm", n_steps=2, progress=False)
    >>> told = cf.images.train_discriminator(
    ...     flow, digits, n_generated=20, by="edm-heun:2", n_steps=2, classifier_steps=2,
    ...     progress=False,
    ... )
    >>> cf.images.sample(
    ...     flow, 3, solver="edm-heun", n_steps=2, discriminator=told
    ... ).images.pixels.shape
    (3, 8, 8, 1)
    """
    space = from_noise(flow, None)
    check_guidable(flow)
    check_choice(pairing, PAIRINGS, "pairing")
    _check_like(space, data, "data")
    seeds = torch_generator(resolve_seed(rng))
    made_seed, fit_seed = draw_seed(seeds), draw_seed(seeds)
    numbers = {"batch_size": batch_size, "coupling_batch_size": coupling_batch_size}
    recipe = recipe_of(RECIPE, n_steps=n_steps, learning_rate=learning_rate, **numbers)
    first = recipe_of(CLASSIFIER_RECIPE, n_steps=classifier_steps, **numbers)
    sizes: dict[str, Any] = {
        "channels": channels,
        "blocks": blocks,
        "multipliers": _multipliers(data.shape),
    }
    check_unet_sizes(data.shape, channels, sizes["multipliers"], blocks, 0.0)
    place = resolve_device(device)
    if generated is None:
        n = min(len(data), _MOST) if n_generated is None else n_generated
        check_positive(n, "n_generated")
        options: dict[str, Any] = {**solver_options(by), "rng": made_seed, "progress": progress}
        generated = sample(flow, n, **options).images
    elif n_generated is not None:
        raise InputError("give either generated images or how many to make")
    _check_like(space, generated, "generated")
    told = fit_discriminator(
        Classified(
            _population(space, flow, data),
            _population(space, flow, generated),
            _classes(space, flow, data),
            space.shape,
        ),
        pairing=pairing,
        sizes=sizes,
        recipe=recipe,
        classifier_recipe=first,
        seed=fit_seed,
        device=place,
        progress=progress,
    )
    given = {"flow": flow.fingerprint, "data": data.fingerprint, "target": data.name}
    return replace(told, settings={**told.settings, **given})


def _check_like(space: ImageSpace, images: ImageSet, what: str) -> None:
    """Refuse images that the flow does not make."""
    if space.grid is None:
        raise InputError("this flow lives in latents; discriminators are for pixels")
    if images.shape != space.shape:
        raise InputError(
            f"{what}: this flow makes images of shape {space.shape} (channels, height, width); "
            f"{images.name} has {images.shape}"
        )
    if space.classes and images.classes != space.classes:
        raise InputError(
            f"{what}: this flow knows the classes {format_list(space.classes)}; {images.name} has "
            f"{format_list(images.classes) or 'none'}"
        )


def _multipliers(shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Factors of the channels, one a level: halved once, and then down to a height of 8."""
    sides, levels = shape[1:], 1
    while levels < 4 and all(side % 2 == 0 for side in sides):
        if levels > 1 and max(sides) <= _COARSEST:
            break
        sides, levels = (sides[0] // 2, sides[1] // 2), levels + 1
    return tuple(2**level for level in range(levels))


def _population(space: ImageSpace, flow: Flow, images: ImageSet) -> Population:
    return space.population(images, flips=bool(flow.settings.get("flips", False)))


def _classes(space: ImageSpace, flow: Flow, data: ImageSet) -> Population | None:
    """The images with what the classifier is to tell."""
    if data.labels is None:
        return None
    known = replace(space, classes=data.classes)
    population = _population(known, flow, data)
    # Its noise is drawn, and not for each class apart.
    return replace(population, stored=replace(population.stored, label=None))
