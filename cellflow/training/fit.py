"""From populations in time to a flow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from cellflow._random import torch_generator
from cellflow._versions import versions
from cellflow.couplings import (
    Coupling,
    IndependentCoupling,
    MinibatchOTCoupling,
    PiecewiseCoupling,
)
from cellflow.flow import Flow
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.methods.recipes import Recipe
from cellflow.nets import VelocityMLP
from cellflow.paths import StraightPath
from cellflow.training.devices import single_thread
from cellflow.training.loop import minimise
from cellflow.training.objectives import VelocityRegression

Interval = tuple[float, float]

#: Which share of the cells is trained on does not depend on the seed of a fit, as in the reference
#: runner, so that seeds differ by training alone.
SPLIT_SEED = 42


def _independent(
    source: Population, target: Population, interval: Interval, _recipe: Recipe
) -> Coupling:
    return IndependentCoupling(source, target, interval)


def _minibatch_ot(
    source: Population, target: Population, interval: Interval, recipe: Recipe
) -> Coupling:
    # A batch of more points than there are cells would only repeat cells.
    batch_size = min(recipe.coupling_batch_size, len(source), len(target))
    return MinibatchOTCoupling(source, target, interval, batch_size, recipe.replace)


#: How each coupling of `cellflow.methods.names.COUPLINGS` is made for one interval.
BUILDERS: dict[str, Callable[[Population, Population, Interval, Recipe], Coupling]] = {
    "independent": _independent,
    "ot": _minibatch_ot,
}


def fit_flow(
    marginals: Marginals,
    axis: TimeAxis,
    *,
    coupling: str,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    progress: bool = False,
) -> Flow:
    """Fit a velocity field to the populations of a time course.

    Parameters
    ----------
    marginals
        Populations at the flow times of `axis`.
    axis
        The clock that the flow will carry.
    coupling
        Name of the coupling between consecutive times.
    recipe
        Every number of the fit.
    seed
        Of the generators that initial weights, and pairs, times and noise, are drawn from.
    device
        Where to fit.
    progress
        Show a progress bar on stderr.
    """
    generator = torch_generator(seed, device)
    net = VelocityMLP(
        marginals.dim,
        width=recipe.width,
        depth=recipe.depth,
        activation=recipe.activation,
        time_features=recipe.time_features,
        generator=torch_generator(seed),
    ).to(device)
    split = torch_generator(SPLIT_SEED)
    populations = [
        _share(population, recipe.train_fraction, split).to(device)
        for population in marginals.populations
    ]
    if recipe.standardise:
        net.standardise(torch.cat([population.points for population in populations]))
    pieces = [
        BUILDERS[coupling](source, target, interval, recipe)
        for (source, target), interval in zip(
            pairwise(populations), pairwise(marginals.times), strict=True
        )
    ]
    path = StraightPath(sigma=recipe.sigma * float(net.scale))
    with single_thread():
        trained = minimise(
            net,
            PiecewiseCoupling(pieces),
            VelocityRegression(path),
            recipe,
            generator,
            progress=progress,
        )
    settings: dict[str, Any] = {
        "coupling": coupling,
        "path": "straight",
        "objective": "velocity",
        "recipe": recipe.model_dump(),
        "seed": seed,
        "device": str(device),
        "versions": versions(),
    }
    return Flow(trained.net, axis, settings, trained.history)


def _share(population: Population, fraction: float, generator: torch.Generator) -> Population:
    """A random share of a population, two points at least; order is kept where it is whole."""
    if fraction == 1:
        return population
    n = max(2, round(fraction * len(population)))
    return Population(population.sample(n, generator))
