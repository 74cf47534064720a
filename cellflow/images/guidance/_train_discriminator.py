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
    DISCRIMINATOR_RECIPE,
    PAIRINGS,
    fit_discriminator,
)
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.discriminator_guidance import check_guidable
from cellflow.images.samples import solver_options, space_of_noise_flow
from cellflow.images.space import ImageSpace, training_settings
from cellflow.marginals import Population
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.nets.hourglass import check_unet_sizes
from cellflow.training import resolve_device

#: Largest default number of generated images, as published, and the height of the coarsest grid.
_MOST, _COARSEST = 50_000, 8


def train_discriminator(
    flow: Flow,
    data: ImageSet,
    *,
    generated: ImageSet | int | None = None,
    by: str = "edm-heun:18",
    pairing: str = "aot",
    recipe: str | Recipe | None = None,
    classifier_steps: int = 2000,
    channels: int = 32,
    blocks: int = 2,
    rng: RNG = 0,
    device: str = "auto",
    progress: bool = True,
) -> Discriminator:
    """Train a discriminator for the guidance of a flow from noise.

    A net learns to distinguish real images from images of the flow, both with noise of all levels;
    its log-odds are the log-ratio of their densities, whose gradient corrects the flow. The net is
    a classifier of the labelled real images, which depends on the level of noise and is then
    frozen, and a small head on its features. If `data` has no labels, both are trained together.
    A tenth of the images is held out; the weights of the lowest loss on them are returned.

    Parameters
    ----------
    flow
        Flow of `train`, from noise, on pixels and straight paths. It is not changed.
    data
        Real images, like those that the flow was trained on.
    generated
        Images of the flow, with their classes if it depends on any, or their number; None generates
        as many as there are real ones, 50,000 at most.
    by
        Solver of images that are generated, as in `score_flow`: best the one to guide later.
    pairing
        Coupling of noise and images: `aot`, minibatch transport by distance, separately for real
        and generated images and for each class of the flow; or `independent`. Take that of the
        flow's method.
    recipe
        Optimisation of the head; its `batch_size` and `coupling_batch_size` are those of the
        classifier too. None uses `cellflow.images.DISCRIMINATOR_RECIPE`.
    classifier_steps
        Training steps of the classifier.
    channels, blocks
        Size of the nets: channels of the finest grid, twice as many on each grid of half the
        height, down to a height of 8, and residual blocks per grid. Published are 128 and 4.
    rng
        Seed, or a NumPy generator to draw one from.
    device
        `auto` (a GPU if there is one), `cpu`, `cuda`, ...; the flow stays on its own.
    progress
        Show progress bars on stderr.

    Returns
    -------
    The discriminator for `DiscriminatorGuidance`, with loss and accuracy on held-out images.

    Raises
    ------
    InputError
        For images that do not have the space of the flow, or numbers out of range.

    References
    ----------
    Kim et al. 2023, arXiv 2211.17091; with minibatch transport Kim et al. 2024, arXiv 2403.05069.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> flow = cf.images.train(digits, method="i-cfm", n_steps=2, progress=False)
    >>> short = cf.recipe(cf.images.DISCRIMINATOR_RECIPE, n_steps=2)
    >>> discriminator = cf.images.train_discriminator(
    ...     flow, digits, generated=20, recipe=short, classifier_steps=2, progress=False
    ... )
    >>> guidance = cf.images.DiscriminatorGuidance(discriminator)
    >>> cf.images.sample(flow, 3, guidance=guidance, n_steps=2).by
    'edm-heun:2+dg:2'
    """
    space = space_of_noise_flow(flow, None)
    check_guidable(flow)
    check_choice(pairing, PAIRINGS, "pairing")
    _check_like(space, data, "data")
    seeds = torch_generator(resolve_seed(rng))
    noise_seed, fit_seed = draw_seed(seeds), draw_seed(seeds)
    sizes: dict[str, Any] = {
        "shape": space.shape,
        "channels": channels,
        "blocks": blocks,
        "multipliers": _multipliers(data.shape),
    }
    check_unet_sizes(data.shape, channels, sizes["multipliers"], blocks, 0.0)
    place = resolve_device(device)
    if not isinstance(generated, ImageSet):
        n = min(len(data), _MOST) if generated is None else generated
        check_positive(n, "the number of generated images")
        options: dict[str, Any] = {**solver_options(by), "rng": noise_seed, "progress": progress}
        generated = sample(flow, n, **options).images
    _check_like(space, generated, "generated")
    discriminator = fit_discriminator(
        _population(space, flow, data),
        _population(space, flow, generated),
        _with_labels(space, flow, data),
        sizes=sizes,
        pairing=pairing,
        recipe=DISCRIMINATOR_RECIPE if recipe is None else recipe_of(recipe),
        classifier_steps=classifier_steps,
        seed=fit_seed,
        device=place,
        progress=progress,
    )
    provenance = {"flow": flow.fingerprint, "data": data.fingerprint, "target": data.name}
    return replace(discriminator, settings={**discriminator.settings, **provenance})


def _check_like(space: ImageSpace, images: ImageSet, what: str) -> None:
    """Raise `InputError` unless images have the shape and the classes of the flow."""
    if space.grid is None:
        raise InputError("this flow is in latents; discriminators require pixels")
    if images.shape != space.shape:
        raise InputError(
            f"{what}: this flow makes images of shape {space.shape} (channels, height, width); "
            f"{images.name} has {images.shape}"
        )
    if space.classes and images.classes != space.classes:
        raise InputError(
            f"{what}: this flow has the classes {format_list(space.classes)}; {images.name} has "
            f"{format_list(images.classes) or 'none'}"
        )


def _multipliers(shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the factors of the channels per level: halved once, then down to a height of 8."""
    sides, levels = shape[1:], 1
    while levels < 4 and all(side % 2 == 0 for side in sides):
        if levels > 1 and max(sides) <= _COARSEST:
            break
        sides, levels = (sides[0] // 2, sides[1] // 2), levels + 1
    return tuple(2**level for level in range(levels))


def _population(space: ImageSpace, flow: Flow, images: ImageSet) -> Population:
    return space.population(images, flips=training_settings(flow)["flips"])


def _with_labels(space: ImageSpace, flow: Flow, data: ImageSet) -> Population | None:
    """Return the images with their classes as covariates; None without labels."""
    if data.labels is None:
        return None
    population = _population(replace(space, classes=data.classes), flow, data)
    # The classifier's noise is independent, and not coupled within each class.
    return replace(population, stored=replace(population.stored, label=None))
