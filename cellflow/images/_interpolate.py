"""Images of noise on the way from one draw to another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._random import RNG, seed_of, torch_generator
from cellflow._typing import Points
from cellflow.flow import Flow
from cellflow.images._sample import from_noise, samples_from
from cellflow.images.encoders import Encoder
from cellflow.images.solvers import way
from cellflow.marginals import Gaussian


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
    law, generator = Gaussian(torch.zeros(1, flow.dim)), torch_generator(seed_of(rng))
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
