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

#: Error of each field that counts as none, in its unit in an interval of mean length: the spread of
#: the data, a growth by the factor e, the noise of the path. Nets of a few steps are so far from
#: zero, and where cells hardly move or grow, zeros have no error to compare with.
_TOLERATED = 0.1


@torch.no_grad()
def relative_errors(
    nets: Fields, coupling: Coupling, path: Path, recipe: Recipe, device: torch.device
) -> dict[str, float]:
    """Return the mean squared error of each field over that of a field of zeros, by role.

    All objectives but a `MetricEnergy` regress fields on what their path has at a random point of
    it. The part of the error that no field can avoid is in both errors, since pairs, times and
    noise are the same, and no field that learned anything has a larger one than zeros: above 1 a
    velocity is worse than cells that stand still. The square of a tenth of the unit of each field
    is added to the errors of zeros (`_TOLERATED`).

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
    return {role: own / zero for role, (own, zero) in totals.items()}


def _errors(
    nets: Fields, t: torch.Tensor, sample: PathSample, condition: Points | None
) -> dict[str, torch.Tensor]:
    """Return the mean squared errors of each field and of zeros, shape (2,)."""
    x, unit = sample.x, nets.units[1]
    fields = {"velocity": (nets.velocity(t, x, condition), sample.u, unit)}
    if "score" in nets.roles and sample.noise is not None and sample.ratio is not None:
        score = sample.ratio[:, None] * nets.score(t, x, condition)
        fields["score"] = (score, -sample.noise, 1.0)
    if "growth" in nets.roles and sample.growth is not None:
        fields["growth"] = (nets.growth(t, x, condition)[:, None], sample.growth[:, None], 1.0)
    return {
        role: torch.stack(
            [
                weighted_mean(squares.mean(dim=1), sample.weight)
                for squares in (
                    (value - target).square(),
                    target.square() + (_TOLERATED * unit) ** 2,
                )
            ]
        )
        for role, (value, target, unit) in fields.items()
    }
