"""Generate images from noise, and from noise between two draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow._typing import Points
from cellflow.flow import Flow
from cellflow.images.encoders import Encoder
from cellflow.images.guidance.autoguidance import guidance_of
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.discriminator_guidance import Guiding
from cellflow.images.samples import Samples, check_rising, from_noise, samples_from, way
from cellflow.marginals import Gaussian


def sample(
    flow: Flow,
    n: int,
    *,
    label: str | int | None = None,
    weak: Flow | None = None,
    guidance: float | None = None,
    n_trajectories: int = 1,
    solver: str | None = None,
    n_steps: int | None = None,
    tolerance: float = 1e-5,
    rho: float = 7.0,
    times: Sequence[float] = (0.0, 1.0),
    discriminator: Discriminator | None = None,
    discriminator_weight: float | Sequence[float] | None = None,
    boost: bool | None = None,
    encoder: Encoder | None = None,
    batch_size: int = 256,
    rng: RNG = 0,
    progress: bool = False,
) -> Samples:
    """Generate `n` images.

    Parameters
    ----------
    flow
        Of `train`, from noise.
    n
        Number of images.
    label
        Class of all of them, by name or index; None takes all classes in turn.
    weak
        A flow to lead away from, from noise to points of the same space: one without classes, one
        that was trained less, or is smaller.
    guidance
        Strength gamma of that: the velocity is gamma v + (1 - gamma) v_weak. None takes 2.
    n_trajectories
        With more than one, each image is drawn from so many trajectories by weights that correct
        the law towards rho^gamma rho_weak^(1 - gamma). They are exact for straight paths without
        noise, of independent pairs or of semidiscrete ones without entropy.
    solver, n_steps, tolerance, rho
        Of `cellflow.integrate.solve`: `euler`, `midpoint`, `rk4` with fixed steps (None for 100),
        `dopri5` and others with a tolerance, or `edm-heun`, the sampler of EDM (None for 18 steps,
        published with rho 7), with no `times` between. None takes `dopri5`, with a discriminator
        `edm-heun`, and for a mean flow its own way, `average`, in one step.
    times
        From 0, where the noise is, to 1; one frame is kept for each.
    discriminator
        Of `train_discriminator`: leads the samples to where they look real (discriminator guidance,
        Kim et al. 2023, arXiv 2211.17091), with solver `edm-heun`. None for no guidance.
    discriminator_weight
        How much, where a step begins, or a pair of numbers for its beginning and its end; None
        takes what is published, 2, and 1 where classes are known.
    boost
        Whether samples that do not look real are stirred and led more; None does so where classes
        are known, as published. Then samples hang on `batch_size`.
    encoder
        The user's own, where the flow lives in its latents.
    batch_size
        Images, or trajectories, that are computed at once.
    rng
        Seed of the noise, or numpy generator to draw one from.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The images and what they cost.

    Raises
    ------
    InputError
        If the flow does not start from noise, or has no such class, or times do not rise from 0, or
        the weak flow does not go with it.

    References
    ----------
    Mousavi-Hosseini et al. 2025, arXiv 2509.25519, proposition 4 (the weights).
    """
    space = from_noise(flow, encoder)
    check_positive(n, "n")
    check_rising(times)
    generator = torch_generator(resolve_seed(rng))
    if discriminator is not None and solver is None:
        solver = "edm-heun"
    guiding = Guiding.of(
        flow, discriminator, discriminator_weight, boost, solver=solver, generator=generator
    )
    if weak is not None and discriminator is not None:
        raise InputError("guidance is by a weak flow or by a discriminator, not by both")
    law = Gaussian(torch.zeros(1, flow.dim * max(1, n_trajectories)))
    noise, labels = law.sample(n, generator).x, space.labels(label, n)
    marks = torch.rand(n, generator=generator)
    corrector = guidance_of(flow, space, weak, guidance, n_trajectories, encoder, marks)
    return samples_from(
        flow,
        space,
        noise,
        labels,
        times=times,
        guidance=guiding or corrector,
        batch_size=batch_size,
        progress=progress,
        **way(flow, solver, n_steps),
        tolerance=tolerance,
        rho=rho,
    )


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
    """Make images of noise on the way from one draw to another, along great circles.

    Parameters
    ----------
    flow
        Of `train`, from noise.
    n
        Number of pairs of draws.
    n_frames
        Images from one end to the other, both included.
    label
        Class of all of them; None takes all classes in turn.
    encoder
        The user's own, where the flow lives in its latents.
    rng
        Seed of the noise, or numpy generator to draw one from.
    **options
        Of `sample`: solver, n_steps, tolerance, rho, batch_size, progress.

    Returns
    -------
    uint8, shape (n_frames, n, h, w, c).

    References
    ----------
    White 2016, arXiv 1609.04468: great circles keep the length that noise has.
    """
    space = from_noise(flow, encoder)
    check_positive(n, "n")
    if n_frames < 2:
        raise InputError(f"an interpolation needs two or more frames, got {n_frames}")
    law, generator = Gaussian(torch.zeros(1, flow.dim)), torch_generator(resolve_seed(rng))
    ends = law.sample(n, generator).x, law.sample(n, generator).x
    noise = torch.cat([_on_circle(*ends, k / (n_frames - 1)) for k in range(n_frames)])
    labels = space.labels(label, n).repeat(n_frames)
    chosen = way(flow, options.pop("solver", None), options.pop("n_steps", None))
    made = samples_from(flow, space, noise, labels, **chosen, **options).images.pixels
    return made.reshape(n_frames, n, *made.shape[1:])


def _on_circle(x: Points, y: Points, share: float) -> Points:
    """Points at a share of the angle between rows of x and y."""
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=1, eps=1e-12).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None]
    at_x, at_y = torch.sin((1 - share) * angle), torch.sin(share * angle)
    flat = angle.sin().abs() < 1e-6
    on_line = (1 - share) * x + share * y
    return torch.where(flat, on_line, (at_x * x + at_y * y) / angle.sin())
