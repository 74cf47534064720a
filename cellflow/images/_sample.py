"""Generate images from noise, and along interpolations between noise vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow._typing import Points
from cellflow.flow import Flow
from cellflow.images.encoders import Encoder
from cellflow.images.guidance import Guidance
from cellflow.images.guidance.discriminator_guidance import DiscriminatorGuidance
from cellflow.images.samples import (
    Samples,
    check_increasing,
    integrate_samples,
    resolve_solver,
    space_of_noise_flow,
)
from cellflow.marginals import Gaussian


def sample(
    flow: Flow,
    n: int,
    *,
    label: str | int | None = None,
    guidance: Guidance | None = None,
    solver: str | None = None,
    n_steps: int | None = None,
    tolerance: float = 1e-5,
    rho: float = 7.0,
    times: Sequence[float] = (0.0, 1.0),
    encoder: Encoder | None = None,
    batch_size: int = 256,
    rng: RNG = 0,
    progress: bool = False,
) -> Samples:
    """Generate `n` images from noise.

    Parameters
    ----------
    flow
        Flow from noise, returned by `train`.
    n
        Number of images.
    label
        Class of all images, by name or index; None uses all classes in turn.
    guidance
        `Autoguidance` by a weaker flow, or `DiscriminatorGuidance`; None for no guidance.
    solver, n_steps, tolerance, rho
        Arguments of `cellflow.integrate.solve`. Solvers are `euler`, `midpoint` and `rk4` with
        fixed steps (default 100), `dopri5` and others with a tolerance, or `edm-heun`, the sampler
        of EDM (default 18 steps, rho 7), which requires `times` 0 and 1. The default is `dopri5`;
        with discriminator guidance `edm-heun`; for a mean flow `average`, one step of its average
        velocity.
    times
        Increasing flow times from 0, the noise, to 1, at which frames are returned.
    encoder
        Your own encoder, for a flow in its latents.
    batch_size
        Images, or trajectories, integrated at once.
    rng
        Seed of the noise, or a NumPy generator to draw one from.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The images, and the number of evaluations of the velocity.

    Raises
    ------
    InputError
        If the flow does not start from noise or does not have the class, the times do not rise from
        0, or the guidance is not compatible with the flow.

    Examples
    --------
    >>> import cellflow as cf
    >>> digits = cf.images.read("digits", split="train")
    >>> flow = cf.images.train(digits, method="i-cfm", n_steps=2, progress=False)
    >>> away = cf.images.Autoguidance(flow, gamma=2)
    >>> cf.images.sample(flow, 3, guidance=away, solver="euler", n_steps=2).by
    'euler:2+ag:2'
    """
    space = space_of_noise_flow(flow, encoder)
    check_positive(n, "n")
    check_increasing(times)
    generator = torch_generator(resolve_seed(rng))
    if solver is None and isinstance(guidance, DiscriminatorGuidance):
        solver = "edm-heun"
    solving = resolve_solver(flow, solver, n_steps)
    n_trajectories = 1 if guidance is None else guidance.n_trajectories
    law = Gaussian(torch.zeros(1, flow.dim * n_trajectories))
    noise, labels = law.sample(n, generator).x, space.labels(label, n)
    integrate = None
    if guidance is not None:
        integrate = guidance.bind(
            flow, space, encoder=encoder, solver=solving["solver"], n=n, generator=generator
        )
    made = integrate_samples(
        flow,
        space,
        noise,
        labels,
        times=times,
        integrate=integrate,
        batch_size=batch_size,
        progress=progress,
        **solving,
        tolerance=tolerance,
        rho=rho,
    )
    return made if guidance is None else replace(made, by=made.by + guidance.name)


def interpolate(
    flow: Flow,
    n: int,
    *,
    n_frames: int = 10,
    label: str | int | None = None,
    encoder: Encoder | None = None,
    rng: RNG = 0,
    **options: Any,
) -> np.ndarray:
    """Generate images along spherical interpolations between two noise vectors.

    Parameters
    ----------
    flow
        Flow from noise, returned by `train`.
    n
        Number of pairs of noise vectors.
    n_frames
        Number of images from one end to the other, both included.
    label
        Class of all images; None uses all classes in turn.
    encoder
        Your own encoder, for a flow in its latents.
    rng
        Seed of the noise, or a NumPy generator to draw one from.
    **options
        Arguments of `sample`: solver, n_steps, tolerance, rho, batch_size, progress.

    Returns
    -------
    uint8, shape (n_frames, n, h, w, c).

    References
    ----------
    White 2016, arXiv 1609.04468: great circles preserve the norm of noise.
    """
    space = space_of_noise_flow(flow, encoder)
    check_positive(n, "n")
    if n_frames < 2:
        raise InputError(f"an interpolation needs two or more frames, got {n_frames}")
    law, generator = Gaussian(torch.zeros(1, flow.dim)), torch_generator(resolve_seed(rng))
    ends = law.sample(n, generator).x, law.sample(n, generator).x
    noise = torch.cat([_slerp(*ends, k / (n_frames - 1)) for k in range(n_frames)])
    labels = space.labels(label, n).repeat(n_frames)
    chosen = resolve_solver(flow, options.pop("solver", None), options.pop("n_steps", None))
    made = integrate_samples(flow, space, noise, labels, **chosen, **options).images.pixels
    return made.reshape(n_frames, n, *made.shape[1:])


def _slerp(x: Points, y: Points, share: float) -> Points:
    """Interpolate rows of x and y spherically; `share` 0 is x and 1 is y."""
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=1, eps=1e-12).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None]
    at_x, at_y = torch.sin((1 - share) * angle), torch.sin(share * angle)
    flat = angle.sin().abs() < 1e-6
    on_line = (1 - share) * x + share * y
    return torch.where(flat, on_line, (at_x * x + at_y * y) / angle.sin())
