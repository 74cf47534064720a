"""Generate images from noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._random import RNG, seed_of, torch_generator
from cellflow._typing import Condition, Points
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.guidance.autoguidance import Guidance, Guided, guidance_of
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.discriminator_guidance import Guiding
from cellflow.images.samples import Samples
from cellflow.images.solvers import named_solver, way
from cellflow.images.space import ImageSpace
from cellflow.integrate import Solution
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
    generator = torch_generator(seed_of(rng))
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


def samples_from(
    flow: Flow,
    space: ImageSpace,
    starts: Points,
    labels: Tensor,
    *,
    times: Sequence[float] = (0.0, 1.0),
    batch_size: int = 256,
    keep_paths: bool = False,
    guidance: Guiding | Guidance | None = None,
    low: Condition | None = None,
    progress: bool = False,
    **options: Any,
) -> Samples:
    """Carry starts through `times`, a batch at a time, and decode them.

    Each row of `starts` has the noise of all trajectories of an image. `low` are the low
    resolutions, for a flow that depends on them.

    Raises
    ------
    InputError
        If there is no time to carry them to, or no batch, or the solver does not go there.
    """
    check_positive(batch_size, "batch_size")
    if len(times) < 2:
        raise InputError(f"times need the start and one time or more after it, got {list(times)}")
    flow.check_solver(options.get("solver"), times)
    frames, paths, calls, effective = [], [], 0.0, 0.0
    carried = _carried if guidance is None else guidance.carried
    at_once = max(1, batch_size * flow.dim // starts.shape[1])
    parts = torch.split(torch.arange(len(starts)), at_once)
    for rows in tqdm(parts, disable=not progress, desc="sample", unit="batch"):
        condition = space.condition(labels[rows]) if low is None else low[rows]
        solution = carried(flow, condition, starts[rows], rows, labels[rows], times, **options)
        path = solution.x.float().cpu()
        frames.append([space.encoder.decode(x) for x in path])
        if keep_paths:
            paths.append(path)
        calls += solution.nfe * len(rows) / len(starts)
        if isinstance(solution, Guided):
            effective += solution.effective * len(rows) / len(starts)
    films = np.concatenate([np.stack(film) for film in frames], axis=1)
    return Samples(
        ImageSet(
            films[-1],
            labels.numpy() if space.classes else None,
            space.classes,
            name=f"generated {space.target}",
        ),
        named_solver(len(times) - 1, **options) + (guidance.named if guidance else ""),
        calls,
        films,
        torch.cat(paths, dim=1) if keep_paths else None,
        effective or None,
    )


def _carried(
    flow: Flow,
    condition: Condition | None,
    starts: Points,
    _rows: Tensor,
    _labels: Tensor,
    times: Sequence[float],
    **options: Any,
) -> Solution:
    return flow.trajectory(starts, times, condition=condition, **options)


def check_rising(times: Sequence[float]) -> None:
    """Refuse times of samples that do not rise from that of the noise."""
    if list(times) != sorted({0.0, *times}):
        raise InputError(f"times must rise from 0, where the noise is, got {list(times)}")


def from_noise(flow: Flow, encoder: Encoder | None) -> ImageSpace:
    """The space of a flow, which has to start from noise."""
    space = ImageSpace.of(flow, encoder)
    if space.source != "noise":
        raise InputError(
            f"this flow starts from images of {space.source}, not from noise: translate those"
        )
    if space.low_res is not None:
        raise InputError("this flow makes images of low resolutions: give it these by upscale")
    return space
