"""Fit a flow to populations in time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch

from cellflow._checks import format_list
from cellflow._errors import CellflowWarning, InputError
from cellflow._random import torch_generator
from cellflow._versions import versions
from cellflow.couplings import MixtureCoupling
from cellflow.flow import FitRecord, Flow, Inputs, describe_misfit
from cellflow.marginals import Gaussian, Marginals, TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.parts import COUPLINGS, OATSettings, WFRSettings
from cellflow.methods.recipes import Recipe
from cellflow.nets import Fields
from cellflow.training.builders import OBJECTIVE_BUILDERS, PATH_BUILDERS
from cellflow.training.callbacks import EarlyStopping, ProgressBar, Timer
from cellflow.training.checkpoints import Checkpoint
from cellflow.training.context import Fit
from cellflow.training.devices import cpu_threads
from cellflow.training.fine_tuning import check_tunable, tuning_recipe
from cellflow.training.parallel import ProcessGroup
from cellflow.training.relative_errors import relative_errors
from cellflow.training.splits import split_marginals
from cellflow.training.target_net import TargetNet
from cellflow.training.time_course import course_coupling, wfr_length_scale
from cellflow.training.trainer import Callback, Trainer


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
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    unit: str = "pairs",
) -> Flow:
    """Fit a velocity, and the other fields of the objective, to the populations of a time course.

    Parameters
    ----------
    marginals
        Populations at the flow times of `axis`.
    axis
        Clock of the flow.
    method
        Coupling, path and objective.
    recipe
        Net and optimisation.
    seed
        Seed of the generators of initial weights, and of pairs, times and noise.
    device
        Where to fit.
    prior
        A flow fitted before, for couplings that require one; objective `oat` starts from its
        weights.
    checkpoint
        File for the state of the training.
    callbacks
        Callbacks of the trainer, besides early stopping and the progress bar.
    progress
        Show a progress bar on stderr.
    unit
        Unit of the progress bar.
    """
    check_source(method, recipe, marginals)
    check_guidance(method, marginals)
    generator = torch_generator(seed, device)
    check_prior(prior, method, marginals, axis)
    if prior is not None:
        prior = replace(prior, nets=deepcopy(prior.nets).to(device))
    tuned = prior if method.objective.fine_tunes else None
    if tuned is not None:
        recipe = tuning_recipe(recipe, tuned)
    seen, unseen = split_marginals(marginals, recipe.train_fraction, device)
    nets = make_nets(marginals, method, recipe, seed) if tuned is None else deepcopy(tuned.nets)
    nets = nets.to(device)
    if recipe.channels_last:
        nets = nets.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if tuned is None and recipe.standardise:
        nets.standardise(*(population.points for population in seen.finite))
    centre, scale = nets.units
    fit = Fit(
        seen, method, recipe, centre, scale, generator, scale**2, prior=prior, progress=progress
    )
    fit = replace(fit, wfr_length_scale=wfr_length_scale(fit))
    identity = {
        "method": method.model_dump(),
        "recipe": recipe.model_dump(),
        "seed": seed,
        "device": device.type,
        "processes": ProcessGroup.current().size,
        "prior": None if prior is None else prior.fingerprint,
    }
    timer = Timer(device)
    with cpu_threads(recipe.threads):
        all_callbacks: list[Callback] = [timer, *callbacks]
        if tuned is not None and isinstance(method.objective, OATSettings):
            target = TargetNet.of(nets, method.objective, fit)
            all_callbacks.append(target)
            fit = replace(fit, prior=replace(tuned, nets=target.net))
        coupling = course_coupling(fit)
        couple = partial(_couple, fit)
        path = PATH_BUILDERS[method.path.name](fit, method.path, couple)
        if recipe.patience is not None:
            all_callbacks.append(EarlyStopping(couple(unseen), device, recipe.patience))
        if progress:
            all_callbacks.append(ProgressBar(unit=unit))
        trainer = Trainer(
            nets,
            coupling,
            OBJECTIVE_BUILDERS[method.objective.name](fit, method.objective, path),
            recipe,
            generator,
            callbacks=all_callbacks,
            checkpoint=None if checkpoint is None else checkpoint.with_identity(identity),
        )
        nets = trainer.run()
        # Guided velocities are not those of the path.
        guided = method.objective.is_guided
        errors = {} if guided else relative_errors(nets, coupling, path, recipe, device)
    record = FitRecord(
        seed,
        str(device),
        versions(),
        diffusion=fit.sigma,
        wfr_length_scale=(
            fit.wfr_length_scale if isinstance(method.coupling, WFRSettings) else None
        ),
        cost=timer.cost,
        relative_errors=errors,
        n_points=sum(map(len, marginals.finite)),
    )
    misfit = describe_misfit(record, recipe)
    if misfit is not None and trainer.group.is_main:
        warnings.warn(misfit, CellflowWarning, stacklevel=3)
    inputs = Inputs(
        prior=None if prior is None else prior.fingerprint,
        from_noise=starts_from_noise(marginals),
    )
    return Flow(nets, axis, method, recipe, inputs, record, trainer.history)


def _couple(fit: Fit, marginals: Marginals) -> MixtureCoupling:
    """Return the coupling of other populations at the times of the fit."""
    return course_coupling(replace(fit, marginals=marginals))


def make_nets(marginals: Marginals, method: Method, recipe: Recipe, seed: int) -> Fields:
    """Return untrained nets of all fields that the objective trains."""
    return Fields.make(
        method.objective.roles,
        marginals.shape or (marginals.dim,),
        kind=recipe.net.kind,
        condition_dim=marginals.condition_dim,
        condition_shape=marginals.condition_shape,
        **recipe.net.numbers,
        generator=torch_generator(seed),
    )


def starts_from_noise(marginals: Marginals) -> bool:
    """Return whether a flow starts at time 0 from standard normal noise and ends at time 1."""
    source = marginals.populations[0]
    return (
        isinstance(source, Gaussian)
        and source.scale == 1
        and not source.centre.any()
        and marginals.times == (0.0, 1.0)
    )


def check_source(method: Method, recipe: Recipe, marginals: Marginals) -> None:
    """Check that the source is standard normal noise if the objective or network denoises.

    Raises
    ------
    InputError
        If an objective or network denoises and the source consists of points, or of noise that is
        not standard normal, or if the path is not straight.
    """
    if method.objective.noise_from_source:
        what = f"objective {method.objective.name!r}"
    elif recipe.net.denoises:
        what = f"net {recipe.net.kind!r}"
    else:
        return
    if not starts_from_noise(marginals):
        raise InputError(
            f"{what} denoises: its source is standard normal noise, as that of images, and not "
            "cells or images of another time or set"
        )
    if not method.path.is_straight:
        raise InputError(f"{what} denoises on path 'straight', not on {method.path.name!r}")


def check_guidance(method: Method, marginals: Marginals) -> None:
    """Check that covariates are categories, each cell or image in one, if the method guides.

    Raises
    ------
    InputError
        If there are none, or others; zeros in their place would be a value like any other.
    """
    if not method.objective.is_guided:
        return
    for population in marginals.finite:
        known = population.stored.condition
        if known is None or not (((known == 0) | (known == 1)).all() and known.any(dim=1).all()):
            found = "there are none" if known is None else "some are numbers or pixels"
            raise InputError(
                "guidance_scale leads a flow towards categories of its covariates "
                f"(condition_keys, or conditional for images), and here {found}; leave it at 1"
            )


def check_prior_given(prior: Flow | None, method: Method) -> None:
    """Raise `InputError` unless a prior flow is given if and only if the method requires one."""
    needing = format_list(name for name, each in COUPLINGS.items() if each.needs_prior)
    if not method.coupling.needs_prior:
        if prior is not None:
            raise InputError(
                f"coupling {method.coupling.name!r} does not use a prior; {needing} does"
            )
        return
    if prior is None:
        raise InputError(
            f"coupling {method.coupling.name!r} requires a flow fitted before: give it as prior"
        )
    if not isinstance(prior, Flow):
        raise InputError(f"prior must be a Flow, got {type(prior).__name__}")


def check_prior(prior: Flow | None, method: Method, marginals: Marginals, axis: TimeAxis) -> None:
    """Check the prior flow: given if and only if required, and compatible with the populations.

    Raises
    ------
    InputError
        If it is not; the message gives the reason.
    """
    check_prior_given(prior, method)
    if prior is None:
        return
    has, needs = (
        (prior.dim, prior.condition_dim, prior.axis),
        (marginals.dim, marginals.condition_dim, axis),
    )
    for name, mine, theirs in zip(
        ("dimensions", "covariates", "time axis"), has, needs, strict=True
    ):
        if mine != theirs:
            raise InputError(f"the prior has {name} {mine}, this fit {theirs}; fit both alike")
    if method.objective.fine_tunes:
        check_tunable(prior, marginals)
