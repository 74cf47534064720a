"""Fine-tune a flow of images towards straighter paths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._random import RNG
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.space import ImageSpace
from cellflow.images.training_images import Course
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.training import Checkpoint, report_straightness, settings_after


def finetune(
    flow: Flow,
    data: ImageSet,
    *,
    source: ImageSet | None = None,
    method: str | Method = "oat-fm",
    alpha: float | None = None,
    target: str | None = None,
    sigma: float | None = None,
    copy_every: int | None = None,
    tolerance: float | None = None,
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
    learning_rate: float | None = None,
    encoder: Encoder | None = None,
    rng: RNG = 0,
    device: str = "auto",
    checkpoint: Checkpoint | str | Path | None = None,
    pictures: str | Path | None = None,
    pictures_every: int = 1000,
    progress: bool = True,
) -> Flow:
    """Fine-tune a trained flow towards straighter paths: optimal acceleration transport (OAT-FM).

    Real images and fresh noise are paired, within classes where the flow knows any, so that the
    flow has to bend least, and its net is trained on by the cost of what it still has to bend.
    Path energy, its excess over optimal transport, and W2 to the images are told before and after.

    Parameters
    ----------
    flow
        Of `train`, by a method that learns a velocity alone. It decides size, latents, classes and
        whether images are mirrored; they are not augmented. It is left as it is.
    data
        Images to generate, like those that the flow was trained on; never images that it made.
    source
        Images to start from, where the flow does not start from noise.
    method
        `oat-fm`, or a `Method` with objective `oat` and every number.
    alpha, target
        As in `tl.finetune`.
    sigma
        Noise of the path; None takes that of the flow where its path is straight, else 0.
    copy_every, tolerance
        As in `tl.finetune`.
    recipe
        As in `tl.fit`; the net is that of the flow. None takes the recipe of the flow with a tenth
        of the learning rate and a quarter of the steps.
    n_steps, learning_rate
        Instead of the recipe's.
    encoder
        The user's own, where the flow lives in its latents.
    rng
        Seed, or numpy generator to draw one from.
    device
        `auto` (a GPU where there is one), `cpu`, `cuda`, ...
    checkpoint
        As in `train`.
    pictures, pictures_every
        As in `train`.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The flow, whose settings have the numbers before and after under `fine_tuning`, and whose
    history has the `ratio` of spreads.

    Raises
    ------
    InputError
        For images of another size or with other classes, a flow of other nets than a velocity, or
        another net in the recipe.

    References
    ----------
    Yue et al. 2025, arXiv 2509.24936. No code of theirs is public; docs/oat.md says which choices
    are ours.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> sizes = {"kind": "unet", "channels": 4, "multipliers": (1,), "blocks": 1, "attention": ()}
    >>> small = cf.recipe("default", net=sizes, standardise=False)
    >>> flow = cf.images.train(digits, method="i-cfm", recipe=small, n_steps=2, progress=False)
    >>> tuned = cf.images.finetune(flow, digits, n_steps=2, progress=False)
    >>> sorted(tuned.settings["fine_tuning"])
    ['after', 'before']
    """
    space = ImageSpace.of(flow, encoder)
    _check_images(space, data, source)
    space = replace(space, target=data.name, source="noise" if source is None else source.name)
    chosen, numbers = settings_after(
        flow,
        method,
        recipe,
        {
            "oat_alpha": alpha,
            "oat_target": target,
            "sigma": sigma,
            "oat_copy_every": copy_every,
            "oat_tolerance": tolerance,
        },
        {"n_steps": n_steps, "learning_rate": learning_rate},
    )
    # Latents are never mirrored when drawn. Nothing is augmented: the coupling asks where noise
    # goes, and there are no changes of an image that it could be told of.
    course = Course(space, data, source, flow.settings["flips"], stored=space.grid is None)
    tuned = course.fitted(
        chosen,
        numbers,
        flow,
        rng=rng,
        device=device,
        checkpoint=checkpoint,
        pictures=pictures,
        pictures_every=pictures_every,
        progress=progress,
    )
    return report_straightness(flow, tuned, course.marginals)


def _check_images(space: ImageSpace, data: ImageSet, source: ImageSet | None) -> None:
    for images in (data, source):
        if images is not None and images.shape != space.shape:
            raise InputError(
                f"this flow moves images of shape {space.shape} (channels, height, width); "
                f"{images.name} has {images.shape}"
            )
    if space.classes and data.classes != space.classes:
        raise InputError(
            f"this flow knows the classes {format_list(space.classes)}; {data.name} has "
            f"{format_list(data.classes) or 'none'}"
        )
    if space.low_res is not None:
        raise InputError("fine-tuning does not know flows that make images of low resolutions")
    if (source is None) != (space.source == "noise"):
        raise InputError(
            "this flow starts from noise; leave the source out"
            if space.source == "noise"
            else f"this flow starts from images of {space.source}; give them as source"
        )
