"""Errors of fitted fields on the conditional path, relative to those of fields that are zero."""

from __future__ import annotations

import math

import torch

from cellflow._errors import DivergenceError
from cellflow._random import torch_generator
from cellflow._typing import Points
from cellflow.couplings import Coupling
from cellflow.methods.recipes import Recipe
from cellflow.nets import Fields
from cellflow.objectives import condition_at, uniform_times
from cellflow.objectives.objective import weighted_mean
from cellflow.paths import Path, PathSample

#: Batches that errors are averaged over, and the seed of their pairs, times and noise.
_BATCHES, _SEED = 8, 0


@torch.no_grad()
def relative_errors(
    nets: Fields, coupling: Coupling, path: Path, recipe: Recipe, device: torch.device
) -> dict[str, float]:
    """Return the mean squared error of each field over that of a field of zeros, by role.

    All objectives but a `MetricEnergy` regress fields on what their path has at a random point of
    it. The part of the error that no field can avoid is in both errors, since pairs, times and
    noise are the same, and no fitted field has a larger one than zeros: above 1 a velocity is worse
    than cells that stand still. Roles whose targets are all zero are left out.

    Parameters
    ----------
    nets
        The fitted fields.
    coupling, path
        Draw pairs, and points on the path between them.
    recipe
        Size of the batches, of which eight are drawn, and their chunks.
    device
        Device of the fields.

    Raises
    ------
    DivergenceError
        If an error is not finite.
    """
    generator = torch_generator(_SEED, device)
    found: dict[str, list[torch.Tensor]] = {}
    for _ in range(_BATCHES):
        batch = coupling.sample(recipe.batch_size, generator)
        for k in range(min(recipe.accumulate, len(batch))):
            pairs = batch[k :: recipe.accumulate]
            t = uniform_times(pairs, generator)
            sample = path.sample(pairs, t, generator)
            for role, errors in _errors(nets, t, sample, condition_at(pairs, t)).items():
                found.setdefault(role, []).append(errors * len(pairs))
    totals = {role: torch.stack(each).double().sum(dim=0).tolist() for role, each in found.items()}
    for role, (own, _) in totals.items():
        if not math.isfinite(own):
            raise DivergenceError(
                f"the fitted {role} is not finite, learning rate {recipe.learning_rate:g}",
                "try a tenth of the learning_rate, or clip 1",
            )
    return {role: own / zero for role, (own, zero) in totals.items() if zero > 0}


def _errors(
    nets: Fields, t: torch.Tensor, sample: PathSample, condition: Points | None
) -> dict[str, torch.Tensor]:
    """Return the mean squared errors of each field and of zeros, shape (2,)."""
    x = sample.x
    pairs = {"velocity": (nets.velocity(t, x, condition), sample.u)}
    if "score" in nets.roles and sample.noise is not None and sample.ratio is not None:
        score = sample.ratio[:, None] * nets.score(t, x, condition)
        pairs["score"] = (score, -sample.noise)
    if "growth" in nets.roles and sample.growth is not None:
        pairs["growth"] = (nets.growth(t, x, condition)[:, None], sample.growth[:, None])
    return {
        role: torch.stack(
            [
                weighted_mean(error.square().mean(dim=1), sample.weight)
                for error in (value - target, target)
            ]
        )
        for role, (value, target) in pairs.items()
    }
