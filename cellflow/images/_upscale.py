"""Generate images for low resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.pixels import to_points
from cellflow.images.samples import Samples, check_increasing, integrate_samples, resolve_solver
from cellflow.images.space import ImageSpace
from cellflow.marginals import Gaussian


def upscale(
    flow: Flow,
    images: ImageSet,
    *,
    solver: str | None = None,
    n_steps: int | None = None,
    tolerance: float = 1e-5,
    rho: float = 7.0,
    times: Sequence[float] = (0.0, 1.0),
    batch_size: int = 256,
    rng: RNG = 0,
    progress: bool = False,
) -> Samples:
    """Generate an image for each low resolution (super-resolution).

    Parameters
    ----------
    flow
        Flow of `train` with `low_res`.
    images
        Low resolutions, or images of full size, whose pixels are averaged to low resolutions.
    solver, n_steps, tolerance, rho
        As in `sample`.
    times
        Increasing flow times from 0, the noise, to 1, at which frames are returned.
    batch_size
        As in `sample`.
    rng
        Seed of the noise, or a NumPy generator to draw one from: another seed gives another image
        for the same low resolution.
    progress
        As in `sample`.

    Returns
    -------
    The images, with the labels of those given, and the number of evaluations of the velocity.

    Raises
    ------
    InputError
        If the flow was trained without `low_res`, or images have another size.

    References
    ----------
    Mousavi-Hosseini et al. 2025, arXiv 2509.25519 (transport with continuous conditions).
    """
    space = ImageSpace.of(flow)
    if space.low_res is None:
        raise InputError(
            "this flow was trained without low resolutions; to upscale, train with low_res "
            "(--low-res)"
        )
    check_increasing(times)
    small = space.low_resolution(images)
    n = len(small)
    made = integrate_samples(
        flow,
        space,
        Gaussian(torch.zeros(1, flow.dim)).sample(n, torch_generator(resolve_seed(rng))).x,
        torch.zeros(n, dtype=torch.int64),
        low=to_points(small.pixels),
        times=times,
        batch_size=batch_size,
        progress=progress,
        **resolve_solver(flow, solver, n_steps),
        tolerance=tolerance,
        rho=rho,
    )
    labelled = replace(made.images, labels=images.labels, classes=images.classes)
    return replace(made, images=labelled)
