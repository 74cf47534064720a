"""Score the images of a flow from noise, by solver and number of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cellflow._errors import InputError
from cellflow._files import temporary_folder
from cellflow._random import RNG, draw_seed, resolve_seed, torch_generator
from cellflow.flow import Flow
from cellflow.images._sample import sample
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.guidance import Guidance
from cellflow.images.guidance.discriminator_guidance import DiscriminatorGuidance
from cellflow.images.samples import integrate_samples, solver_options, space_of_noise_flow
from cellflow.images.scoring._score import score
from cellflow.images.scoring.features import FeatureSpace, resolve_space
from cellflow.images.scoring.scores import TEST
from cellflow.marginals import Gaussian
from cellflow.metrics.straightness import normalized_path_energy, path_energy, straightness

if TYPE_CHECKING:
    import pandas as pd

#: Solvers that a flow is scored with by default.
BY = ("euler:2", "euler:4", "euler:8", "euler:16", "euler:100", "dopri5")
#: Of a mean flow.
BY_AVERAGE = ("average:1", "average:2", "average:4", "average:8")
#: With discriminator guidance.
BY_HEUN = ("edm-heun:18",)

#: Number of paths whose energy is measured, and frames of each.
_PATHS, _FRAMES = 512, 21


def score_flow(
    flow: Flow,
    real: ImageSet,
    n: int,
    *,
    by: Sequence[str] | None = None,
    test: ImageSet | None = None,
    space: str | FeatureSpace = "random-conv",
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    guidance: Guidance | None = None,
    encoder: Encoder | None = None,
    batch_size: int = 256,
    rng: RNG = 0,
    device: str = "auto",
    progress: bool = False,
) -> pd.DataFrame:
    """Score `n` images of a flow for each of several solvers, from the same noise.

    Parameters
    ----------
    flow
        Flow from noise, returned by `train`.
    real
        As in `score`.
    n
        Images per solver.
    by
        Solvers with their steps, `euler:8`, that of EDM with its steps and rho, `edm-heun:14:90`,
        or adaptive ones, `dopri5`; for mean flows also `average:2`. None uses `euler` with 2, 4,
        8, 16 and 100 steps and `dopri5`, for mean flows `average` with 1, 2, 4 and 8, and for
        discriminator guidance `edm-heun:18`.
    test, space, weights, cache
        As in `score`.
    guidance
        As in `sample`; discriminator guidance requires `edm-heun` in all of `by`.
    encoder
        Your own encoder, for a flow in its latents.
    batch_size
        Images integrated at once.
    rng
        Seed of noise and subsets, or a NumPy generator to draw one from.
    device
        As in `score`; the flow stays on its own.
    progress
        Show progress bars on stderr.

    Returns
    -------
    A row for each solver, one more at the number of test images if these are fewer, and one for the
    test images: `by`, `nfe` (evaluations of the velocity for each image), and the columns of
    `Scores.rows`. The rows of the flow also have its straightness over 512 paths, without guidance:
    `path_energy`, `npe` (its relative excess over the squared W2 of noise and generated images) and
    `straightness`; and the cost of its training: `train_seconds`, `setup_seconds` of these before
    the first step, `pairing_seconds` for the coupling, and `peak_memory_mb`.

    Raises
    ------
    InputError
        See `score` and `sample`.
    """
    needs_heun = isinstance(guidance, DiscriminatorGuidance)
    if by is None:
        by = BY_HEUN if needs_heun else BY_AVERAGE if flow.is_mean_flow else BY
    settings = [solver_options(each) for each in by]
    if not settings:
        raise InputError("by is empty; give solvers such as euler:8 or dopri5")
    for options in settings:
        flow.check_solver(options["solver"], (0.0, 1.0))
        if needs_heun and options["solver"] != "edm-heun":
            raise InputError(
                f"discriminator guidance requires solver 'edm-heun', got {options['solver']!r}"
            )
    chosen = resolve_space(space, weights)
    seeds = torch_generator(resolve_seed(rng))
    noise_seed, score_seed = draw_seed(seeds), draw_seed(seeds)
    straight = _straightness(flow, encoder, noise_seed, batch_size)
    cost = _cost(flow)
    rows: list[dict[str, Any]] = []
    with nullcontext(cache) if cache else temporary_folder() as folder:
        for options in settings:
            made = sample(
                flow,
                n,
                guidance=guidance,
                encoder=encoder,
                batch_size=batch_size,
                rng=noise_seed,
                progress=progress,
                **options,
            )
            scores = score(
                made.images,
                real,
                test=test,
                space=chosen,
                cache=folder,
                rng=score_seed,
                device=device,
            )
            known = {"by": made.by, "nfe": made.nfe, **straight, **cost}
            rows += [{**row, **({} if row["of"] == TEST else known)} for row in scores.rows]
    return _table(rows)


def _straightness(
    flow: Flow, encoder: Encoder | None, seed: int, batch_size: int
) -> dict[str, float]:
    space = space_of_noise_flow(flow, encoder)
    noise = Gaussian(torch.zeros(1, flow.dim)).sample(_PATHS, torch_generator(seed)).x
    times = torch.linspace(0, 1, _FRAMES)
    made = integrate_samples(
        flow,
        space,
        noise,
        space.labels(None, _PATHS),
        times=times.tolist(),
        batch_size=batch_size,
        solver="midpoint",
        n_steps=1,
        keep_paths=True,
    )
    assert made.paths is not None
    return {
        "path_energy": path_energy(made.paths, times),
        "npe": normalized_path_energy(made.paths, times),
        "straightness": straightness(made.paths, times),
    }


def _cost(flow: Flow) -> dict[str, float]:
    """Return the cost of the training, as far as it is recorded in the flow."""
    cost = dict(flow.record.cost)
    if "seconds" in cost:
        cost["train_seconds"] = cost.pop("seconds") + cost["setup_seconds"]
    return {name: value for name, value in cost.items() if value is not None}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    generated = [row for row in rows if row["of"] != TEST]
    # The same test images are scored for each solver; one row is enough.
    others = [row for row in rows if row["of"] == TEST][:1]
    table = pd.DataFrame(generated + others)
    first = ["of", "by", "nfe"]
    return table[[*first, *(column for column in table if column not in first)]]
