"""From populations in time to a flow."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch

from cellflow._errors import InputError
from cellflow._random import torch_generator
from cellflow._versions import versions
from cellflow.flow import Flow
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.nets import Fields
from cellflow.training import couplings, objectives, paths
from cellflow.training.build import Build
from cellflow.training.devices import single_thread
from cellflow.training.loop import minimise

#: Which share of the cells is trained on does not depend on the seed of a fit, as in the reference
#: runner, so that seeds differ by training alone.
SPLIT_SEED = 42


def fit_flow(
    marginals: Marginals,
    axis: TimeAxis,
    *,
    method: Method,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    prior: Flow | None = None,
    progress: bool = False,
) -> Flow:
    """Fit a velocity field, and what goes with it, to the populations of a time course.

    Parameters
    ----------
    marginals
        Populations at the flow times of `axis`.
    axis
        The clock that the flow will carry.
    method
        Coupling, path and objective.
    recipe
        Net and optimisation.
    seed
        Of the generators that initial weights, and pairs, times and noise, are drawn from.
    device
        Where to fit.
    prior
        A fitted flow for couplings that ask one.
    progress
        Show a progress bar on stderr.
    """
    generator = torch_generator(seed, device)
    seen, unseen = _split(marginals, recipe.train_fraction, device)
    fields = Fields.of_mlps(
        objectives.ROLES[method.objective],
        marginals.dim,
        condition_dim=marginals.condition_dim,
        **recipe.sizes,
        generator=torch_generator(seed),
    ).to(device)
    if recipe.standardise:
        fields.standardise(torch.cat([population.points for population in seen.populations]))
    net = next(iter(fields.nets.values()))
    scale = float(net.scale)  # type: ignore[arg-type]
    build = Build(
        method,
        recipe,
        net.centre,  # type: ignore[arg-type]
        scale,
        generator,
        scale**2,
        couplings.reach(method, seen, scale, generator),
        _usable(prior, method, marginals, axis, device),
        progress,
    )
    with single_thread():
        coupling = couplings.course_coupling(build, seen)
        path = paths.BUILDERS[method.path](build, coupling, seen)
        trained = minimise(
            fields,
            coupling,
            objectives.BUILDERS[method.objective](build, path),
            recipe,
            generator,
            check=None if recipe.patience is None else couplings.course_coupling(build, unseen),
            progress=progress,
        )
    settings: dict[str, Any] = {
        "method": method.model_dump(),
        "recipe": recipe.model_dump(),
        "diffusion": build.sigma,
        "seed": seed,
        "device": str(device),
        "versions": versions(),
    }
    return Flow(trained.net, axis, settings, trained.history)


def _usable(
    prior: Flow | None, method: Method, marginals: Marginals, axis: TimeAxis, device: torch.device
) -> Flow | None:
    """The flow fitted before, on `device`; refused where it is missing, not asked or does not fit.

    Raises
    ------
    InputError
        With the reason.
    """
    wanted = method.coupling == "acceleration"
    if prior is None:
        if wanted:
            raise InputError("coupling 'acceleration' asks a flow fitted before: give it as prior")
        return None
    if not wanted:
        raise InputError(f"coupling {method.coupling!r} asks no prior; 'acceleration' does")
    if not isinstance(prior, Flow):
        raise InputError(f"prior must be a Flow, got {type(prior).__name__}")
    has, needs = (
        (prior.dim, prior.condition_dim, prior.axis),
        (marginals.dim, marginals.condition_dim, axis),
    )
    for name, mine, theirs in zip(
        ("dimensions", "covariates", "time axis"), has, needs, strict=True
    ):
        if mine != theirs:
            raise InputError(f"the prior has {name} {mine}, this fit {theirs}; fit both alike")
    return replace(prior, nets=deepcopy(prior.nets).to(device))


def _split(
    marginals: Marginals, fraction: float, device: torch.device
) -> tuple[Marginals, Marginals]:
    """A random share of each population and the rest of it; for a share of 1, all of it twice."""
    if fraction == 1:
        return marginals.to(device), marginals.to(device)
    generator = torch_generator(SPLIT_SEED)
    parts: list[tuple[Population, Population]] = []
    for population in marginals.populations:
        order = torch.randperm(len(population), generator=generator)
        n = min(max(2, round(fraction * len(population))), len(population) - 1)
        parts.append((population[order[:n]], population[order[n:]]))
    seen, unseen = (
        replace(marginals, populations=tuple(side)).to(device) for side in zip(*parts, strict=True)
    )
    return seen, unseen
