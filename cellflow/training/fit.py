"""From populations in time to a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch

from cellflow._errors import InputError
from cellflow._random import torch_generator
from cellflow._versions import versions
from cellflow.couplings import Coupling
from cellflow.flow import Flow
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.nets import Fields
from cellflow.objectives import Objective
from cellflow.training import objectives, paths, time_course
from cellflow.training.build import Build
from cellflow.training.checkpoints import Checkpoint
from cellflow.training.companion import Companion
from cellflow.training.cost import Stopwatch
from cellflow.training.devices import cpu_threads, placed
from cellflow.training.fine_tuning import check_tunable, tuning_recipe
from cellflow.training.loop import Trained, minimise
from cellflow.training.parallel import Crew
from cellflow.training.progress import Look
from cellflow.training.target_net import TargetNet

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
    checkpoint: Checkpoint | None = None,
    looks: Sequence[Look] = (),
    progress: bool = False,
    unit: str = "pairs",
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
        A fitted flow for couplings that ask one; objective `oat` goes on from its weights.
    checkpoint
        Where the state of the training is kept, and whether to go on from there.
    looks
        What to do with the nets on the way.
    progress
        Show a progress bar on stderr.
    unit
        What the bar calls a pair.
    """
    ready = prepared(Job(marginals, axis, method, recipe, seed, prior), device, progress=progress)
    with cpu_threads(ready.recipe.threads):
        trained = minimise(
            ready.fields,
            ready.coupling,
            ready.objective,
            ready.recipe,
            ready.generator,
            check=ready.check,
            companion=ready.companion,
            checkpoint=None if checkpoint is None else checkpoint.of(ready.identity),
            looks=looks,
            progress=progress,
            unit=unit,
        )
    return ready.flow(trained)


@dataclass(frozen=True)
class Job:
    """What a flow is fitted to, and how; as in `fit_flow`."""

    marginals: Marginals
    axis: TimeAxis
    method: Method
    recipe: Recipe
    seed: int
    prior: Flow | None = None


@dataclass(frozen=True)
class Ready:
    """A fit before its first step.

    Attributes
    ----------
    job
        What was asked for.
    fields, coupling, objective, recipe, generator, check, companion
        What `minimise` is given.
    settings, identity
        What the flow will carry, and what tells a checkpoint of this training.
    watch
        Has run since the preparation began.
    """

    job: Job
    fields: Fields
    coupling: Coupling
    objective: Objective
    recipe: Recipe
    generator: torch.Generator
    check: Coupling | None
    companion: Companion | None
    settings: dict[str, Any]
    identity: dict[str, Any]
    watch: Stopwatch

    def flow(self, trained: Trained[Fields]) -> Flow:
        """The flow that comes of it."""
        cost = self.watch.read(trained.waited)
        return Flow(trained.net, self.job.axis, {**self.settings, "cost": cost}, trained.history)


def prepared(job: Job, device: torch.device, *, progress: bool = False) -> Ready:
    """Do all of a fit that comes before its first step: nets, coupling, path and objective."""
    marginals, method, recipe = job.marginals, job.method, job.recipe
    objectives.check_source(method, recipe, marginals)
    generator = torch_generator(job.seed, device)
    prior = _usable(job.prior, method, marginals, job.axis, device)
    tuned = prior if method.objective == "oat" else None
    if tuned is not None:
        recipe = tuning_recipe(recipe, tuned)
    seen, unseen = split(marginals, recipe.train_fraction, device)
    fields = _untrained(job, recipe) if tuned is None else deepcopy(tuned.nets)
    fields = fields.to(device)
    if recipe.channels_last:
        fields = fields.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if tuned is None and recipe.standardise:
        fields.standardise(*(population.points for population in seen.finite))
    centre, scale = fields.units
    delta = time_course.wfr_length_scale(method, seen, scale, generator)
    build = Build(method, recipe, centre, scale, generator, scale**2, delta, prior, progress)
    watch = Stopwatch(device)
    with cpu_threads(recipe.threads):
        companion = None
        if tuned is not None:
            companion = TargetNet.of(fields, build, seen)
            build = replace(build, prior=replace(tuned, nets=companion.net))
        coupling = time_course.course_coupling(build, seen)
        path = paths.BUILDERS[method.path](build, coupling, seen)
        watch.lap()
        check = None if recipe.patience is None else time_course.course_coupling(build, unseen)
        objective = objectives.BUILDERS[method.objective](build, path)
    settings = _settings(job, build, device)
    return Ready(
        job,
        fields,
        coupling,
        objective,
        recipe,
        generator,
        check,
        companion,
        settings,
        _identity(settings, device, prior),
        watch,
    )


def _settings(job: Job, build: Build, device: torch.device) -> dict[str, Any]:
    """What a flow tells of how it was fitted."""
    return {
        "method": build.method.model_dump(),
        "recipe": build.recipe.model_dump(),
        "diffusion": build.sigma,
        "delta": build.delta if build.method.coupling == "wfr" else None,
        "from_noise": objectives.from_noise(job.marginals),
        "seed": job.seed,
        "device": str(device),
        "versions": versions(),
    }


def _identity(
    settings: Mapping[str, Any], device: torch.device, prior: Flow | None
) -> dict[str, Any]:
    """What must be equal for a checkpoint to be of the same training."""
    return {
        **{name: settings[name] for name in ("method", "recipe", "seed")},
        "device": device.type,
        "processes": Crew.here().size,
        "prior": None if prior is None else prior.fingerprint,
    }


def _untrained(job: Job, recipe: Recipe) -> Fields:
    marginals = job.marginals
    return Fields.make(
        objectives.ROLES[job.method.objective],
        marginals.shape or (marginals.dim,),
        kind=recipe.net.kind,
        condition_dim=marginals.condition_dim,
        condition_shape=marginals.condition_shape,
        **recipe.net.numbers,
        generator=torch_generator(job.seed),
    )


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
    if method.objective == "oat":
        check_tunable(prior, marginals)
    return replace(prior, nets=deepcopy(prior.nets).to(device))


def split(
    marginals: Marginals, fraction: float, device: torch.device
) -> tuple[Marginals, Marginals]:
    """A random share of each population and the rest of it; for a share of 1, all of it twice.

    Raises
    ------
    InputError
        If a population of one point would have to be shared out.
    """
    if fraction == 1:
        here = placed(marginals, device)
        return here, here
    generator = torch_generator(SPLIT_SEED)
    parts: list[tuple[Population | Gaussian, Population | Gaussian]] = []
    for population in marginals.populations:
        if isinstance(population, Gaussian):
            parts.append((population, population))
            continue
        if len(population) == 1:
            raise InputError(
                f"train_fraction={fraction:g} needs two points or more at each time, and one has "
                "a single one; set it to 1"
            )
        order = torch.randperm(len(population), generator=generator)
        n = min(max(2, round(fraction * len(population))), len(population) - 1)
        parts.append((population[order[:n]], population[order[n:]]))
    seen, unseen = (
        placed(replace(marginals, populations=tuple(side)), device)
        for side in zip(*parts, strict=True)
    )
    return seen, unseen
