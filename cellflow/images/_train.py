"""Train a flow that generates images."""

from __future__ import annotations

from pathlib import Path

from cellflow._errors import InputError
from cellflow._random import RNG
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.low_res import default_weight
from cellflow.images.settings import flips_for, settled, share_of
from cellflow.images.space import space_for
from cellflow.images.training_images import Course
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
    checkpoint: Checkpoint | str | Path | None = None,
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
    checkpoint
        File for the state of the training, from which a training that was stopped continues: a
        path, or a `cellflow.Checkpoint` with the steps between two writings and whether to resume.
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
    augment = share_of(augment, numbers.net)
    by_row = moves.coupling.looks_up_rows
    if augment and by_row:
        raise InputError(
            f"coupling {moves.coupling.name!r} finds partners among the images as they are stored, "
            f"and augment={augment:g} changes them each time that they are drawn: set augment 0 "
            "and, where the net takes augmentation labels, its augment_dim 0"
        )
    if augment and moves.coupling.needs_prior:
        raise InputError(
            f"coupling 'acceleration' asks where noise goes, and noise has no changes of an image "
            f"that the net is told of: set augment 0, not {augment:g}"
        )
    if low_res is not None and (flips or augment):
        raise InputError("with low_res images are taken as they are; leave flips and augment out")
    flips = flips_for(space, data, flips, augment)
    weight = None if low_res is None else default_weight(moves, space.population(data, flips=False))
    if low_res is None and "condition_weight" in moves.coupling.given:
        raise InputError("condition_weight is the weight of low resolutions: give low_res with it")
    return Course(space, data, source, flips, augment, by_row, weight).fitted(
        moves,
        numbers,
        prior,
        rng=rng,
        device=device,
        checkpoint=checkpoint,
        pictures=pictures,
        pictures_every=pictures_every,
        progress=progress,
    )
