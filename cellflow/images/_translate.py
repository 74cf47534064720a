"""Translate images of one set to another."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.samples import Samples, integrate_samples, resolve_solver
from cellflow.images.space import ImageSpace


def translate(
    flow: Flow,
    images: ImageSet,
    *,
    backward: bool = False,
    solver: str | None = None,
    n_steps: int | None = None,
    tolerance: float = 1e-5,
    times: Sequence[float] = (0.0, 1.0),
    encoder: Encoder | None = None,
    batch_size: int = 256,
    progress: bool = False,
) -> Samples:
    """Translate images of the source that a flow was trained on to its target.

    Parameters
    ----------
    flow
        Flow of `train` with a source.
    images
        Images like those of the source; with `backward`, like those of the target.
    backward
        Translate from target to source.
    solver, n_steps, tolerance
        As in `sample`.
    times
        Flow times from 0, the images given, to 1, at which frames are returned; with `backward`
        they are passed from 1.
    encoder
        Your own encoder, for a flow in its latents.
    batch_size, progress
        As in `sample`.

    Returns
    -------
    The images, and the number of evaluations of the velocity.

    Raises
    ------
    InputError
        If the flow starts from noise, images have another size, or times do not begin with theirs.

    References
    ----------
    Tong et al. 2024, arXiv 2302.00482 (unsupervised translation).
    """
    space = ImageSpace.of(flow, encoder)
    if space.source == "noise":
        raise InputError(
            f"this flow makes images of {space.target} from noise; to translate, train with a "
            "source (--source)"
        )
    if images.shape != space.shape:
        raise InputError(
            f"this flow moves images of shape {space.shape} (channels, height, width); "
            f"{images.name} has {images.shape}"
        )
    path_times, origin = sorted(set(times), reverse=backward), float(backward)
    if not path_times or path_times[0] != origin:
        raise InputError(
            f"times must begin at {origin:g}, the time of the images, got {path_times}"
        )
    return integrate_samples(
        flow,
        space,
        space.encoder.encode(images.pixels),
        torch.zeros(len(images), dtype=torch.int64),
        times=path_times,
        batch_size=batch_size,
        progress=progress,
        **resolve_solver(flow, solver, n_steps),
        tolerance=tolerance,
    )
