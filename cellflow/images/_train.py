"""Train a flow that generates images."""

from __future__ import annotations

from pathlib import Path

from cellflow._errors import InputError
from cellflow._random import RNG
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.low_res import default_weight
from cellflow.images.settings import augmented_share, default_flips, resolve_settings
from cellflow.images.space import space_for
from cellflow.images.training_images import Pictures, TrainingImages
from cellflow.methods.config import Config
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.training import Checkpoint


def train(
    data: ImageSet,
    *,
    source: ImageSet | None = None,
    config: str | Path | Config | None = None,
    method: str | Method | None = None,
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
    conditional: bool = False,
    low_res: int | None = None,
    flips: bool | None = None,
    augment: float | None = None,
    encoder: Encoder | None = None,
    prior: Flow | None = None,
    rng: RNG = 0,
    device: str = "auto",
    checkpoint: Checkpoint | str | Path | None = None,
    pictures: Pictures | str | Path | None = None,
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
    method
        Replaces the method of the config: a name, or a method of `cellflow.method`.
        By name it has sigma 0, as published for images, except on bridges, which need noise.
    recipe
        Replaces the recipe of the config: a name, or a recipe of `cellflow.recipe`.
    n_steps
        Training steps, in place of the recipe's.
    conditional
        Make the velocity depend on the class. Noise is coupled within each class, so that it does
        not depend on it.
    low_res
        Downsampling factor for super-resolution: the velocity depends on the low resolution of
        the image, and `upscale` generates images for low resolutions. Costs include distances of
        low resolutions, with the weight `condition_weight` of the method. Requires noise as the
        source, pixels as points, no classes and no flips.
    flips
        Mirror images left to right at random when they are drawn, or, with couplings between stored
        images, such as `semidiscrete`, store each image also mirrored. None mirrors RGB images,
        unless they are augmented, and not grey ones, which are often letters or digits.
    augment
        Share of the images that are rotated, that are zoomed, and so on, when they are drawn, as in
        EDM. None uses 0.12, as published, for nets that see these changes (`edm` with
        `augment_dim` 9), and 0 for others, which require 0; so do couplings between stored images.
    encoder
        Latents to work in instead of pixels: an object with `encode` and `decode`.
    prior
        A fitted flow for couplings that require one; `finetune` continues from its weights.
    rng
        Seed, or a NumPy generator to draw one from.
    device
        `auto` (a GPU if there is one), `cpu`, `cuda`, ...
    checkpoint
        File for the state of the training, from which a training that was stopped continues: a
        path, or a `cellflow.Checkpoint` with the steps between two writings and whether to resume.
    pictures
        Folder for grids of generated images during the training: a path, or a `Pictures` with the
        steps between two of them.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The flow, from time 0 (source) to 1 (images), for `sample` and `translate`.

    Raises
    ------
    InputError
        For settings that are not compatible with each other or with the images.

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
    method, recipe = resolve_settings(space, data, config, method, recipe, n_steps)
    augment = augmented_share(augment, recipe.net)
    by_row = method.coupling.looks_up_rows
    if augment and by_row:
        raise InputError(
            f"coupling {method.coupling.name!r} couples images as they are stored, and "
            f"augment={augment:g} changes them each time that they are drawn: set augment 0 and, "
            "if the net takes augmentation labels, its augment_dim 0"
        )
    if augment and method.coupling.needs_prior:
        raise InputError(
            "coupling 'acceleration' evaluates the prior at noise, for which the net has no labels "
            f"of changes: set augment 0, not {augment:g}"
        )
    if low_res is not None and (flips or augment):
        raise InputError("low_res cannot be combined with flips or augment; leave these out")
    flips = default_flips(space, data, flips, augment)
    weight = None
    if low_res is not None:
        weight = default_weight(method, space.population(data, flips=False))
    elif method.coupling.given.get("condition_weight") is not None:
        raise InputError("condition_weight is the weight of low resolutions: give low_res with it")
    images = TrainingImages(space, data, source, flips, augment, by_row, weight)
    return images.fit(
        method,
        recipe,
        prior,
        rng=rng,
        device=device,
        checkpoint=checkpoint,
        pictures=pictures,
        progress=progress,
    )
