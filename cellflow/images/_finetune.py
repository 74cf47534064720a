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
from cellflow.images.space import ImageSpace, training_settings
from cellflow.images.training_images import Pictures, TrainingImages
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.training import Checkpoint, report_straightness, resolve_fine_tuning


def finetune(
    flow: Flow,
    data: ImageSet,
    *,
    source: ImageSet | None = None,
    method: str | Method = "oat-fm",
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
    learning_rate: float | None = None,
    encoder: Encoder | None = None,
    rng: RNG = 0,
    device: str = "auto",
    checkpoint: Checkpoint | str | Path | None = None,
    pictures: Pictures | str | Path | None = None,
    progress: bool = True,
) -> Flow:
    """Fine-tune a trained flow towards straighter paths: optimal acceleration transport (OAT-FM).

    Images and fresh noise are coupled, within classes where the flow depends on them, so that the
    flow has to bend least, and its net is trained further by the cost of the bending that remains.
    Path energy, its excess over optimal transport, and W2 to the images are reported before and
    after.

    Parameters
    ----------
    flow
        Flow of `train`, by a method that learns a velocity alone. It decides size, latents, classes
        and whether images are mirrored; they are not augmented. It is not changed.
    data
        Images to generate, like those that the flow was trained on; never generated ones.
    source
        Images to start from, if the flow does not start from noise.
    method
        `oat-fm`, or a `Method` with objective `oat`. By name, the noise of the path is that of the
        flow if its path is straight, else 0.
    recipe
        A name, or a recipe of `cellflow.recipe`; the net is that of the flow. None uses that of
        the flow; a shorter one can end before the ends of the paths have recovered.
    n_steps, learning_rate
        Replaces the value of the recipe.
    encoder
        Your own encoder, for a flow in its latents.
    rng
        Seed, or a NumPy generator to draw one from.
    device
        `auto` (a GPU if there is one), `cpu`, `cuda`, ...
    checkpoint, pictures
        As in `train`.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The flow, with the numbers before and after in its `record.fine_tuning`, and the `ratio` of
    spreads in its history.

    Raises
    ------
    InputError
        For images of another size or with other classes, a flow of other nets than a velocity, or
        another net in the recipe.

    References
    ----------
    Yue et al. 2025, arXiv 2509.24936. No code of theirs is public; docs/methods/oat-fm.md says
    which choices are ours.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> sizes = {"kind": "unet", "channels": 4, "multipliers": (1,), "blocks": 1, "attention": ()}
    >>> small = cf.recipe("default", net=sizes, standardise=False)
    >>> flow = cf.images.train(digits, method="i-cfm", recipe=small, n_steps=2, progress=False)
    >>> tuned = cf.images.finetune(flow, digits, n_steps=2, progress=False)
    >>> sorted(tuned.record.fine_tuning)
    ['after', 'before']
    """
    space = ImageSpace.of(flow, encoder)
    _check_images(space, data, source)
    space = replace(space, target=data.name, source="noise" if source is None else source.name)
    numbers = {"n_steps": n_steps, "learning_rate": learning_rate}
    method, recipe = resolve_fine_tuning(flow, method, recipe, {}, numbers)
    # Latents are never mirrored when drawn. Images are not augmented: the coupling evaluates the
    # prior at noise, for which there are no labels of changes.
    flips = training_settings(flow)["flips"]
    images = TrainingImages(space, data, source, flips, stored=space.grid is None)
    tuned = images.fit(
        method,
        recipe,
        flow,
        rng=rng,
        device=device,
        checkpoint=checkpoint,
        pictures=pictures,
        progress=progress,
    )
    return report_straightness(flow, tuned, images.marginals)


def _check_images(space: ImageSpace, data: ImageSet, source: ImageSet | None) -> None:
    for images in (data, source):
        if images is not None and images.shape != space.shape:
            raise InputError(
                f"this flow moves images of shape {space.shape} (channels, height, width); "
                f"{images.name} has {images.shape}"
            )
    if space.classes and data.classes != space.classes:
        raise InputError(
            f"this flow has the classes {format_list(space.classes)}; {data.name} has "
            f"{format_list(data.classes) or 'none'}"
        )
    if space.low_res is not None:
        raise InputError("flows that make images of low resolutions cannot be fine-tuned")
    if (source is None) != (space.source == "noise"):
        raise InputError(
            "this flow starts from noise; leave the source out"
            if space.source == "noise"
            else f"this flow starts from images of {space.source}; give them as source"
        )
