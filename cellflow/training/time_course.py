"""The coupling of a time course: a mixture over intervals, and over labels within them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard

import torch
from torch import Tensor

from cellflow._batch import Interval
from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._log import log_info, progress_bar
from cellflow.couplings import Coupling, IndependentCoupling, MixtureCoupling, default_delta
from cellflow.marginals import Gaussian, Population
from cellflow.methods.method import Method
from cellflow.methods.parts import (
    COUPLINGS,
    OBJECTIVES,
    PATHS,
    CouplingSettings,
    PopulationGrowthSettings,
    SemidiscreteSettings,
    WFRSettings,
)
from cellflow.methods.presets import PRESETS
from cellflow.training.builders import COUPLING_BUILDERS, Side
from cellflow.training.context import Fit


def course_coupling(fit: Fit) -> MixtureCoupling:
    """Return the coupling of a time course, which samples all intervals with equal probability.

    Progress is shown on stderr if couplings take more than two seconds to set up.
    """
    check_columns(fit)
    _report_blocks(fit)
    couplings: list[Coupling] = []
    intervals = fit.marginals.intervals
    with progress_bar(len(intervals), "couple", "interval", shown=fit.progress) as bar:
        for ends, span in intervals:
            couplings.append(_interval(fit, *ends, span))
            bar.update()
    return MixtureCoupling(couplings)


def _report_blocks(fit: Fit) -> None:
    """Log that a random share of the cells is coupled, if they are more than the blocks take."""
    settings = fit.method.coupling
    if not isinstance(settings, PopulationGrowthSettings):
        return
    most = max(map(len, fit.marginals.finite))
    if most > settings.max_blocks * settings.block_size:
        log_info(
            f"{most:,} cells at one time: {settings.max_blocks} random blocks of "
            f"{settings.block_size:,} are coupled between two times; method setting max_blocks "
            "takes more"
        )


def check_columns(fit: Fit) -> None:
    """Check that the coupling uses all given inputs: noise, clones and cost features.

    Raises
    ------
    InputError
        If it does not use one of them; the message lists couplings that do.
    """
    marginals, coupling, path = fit.marginals, fit.method.coupling, fit.method.path
    cells = marginals.finite[0].stored
    if len(marginals.finite) < len(marginals.populations) and not (
        coupling.takes_noise and path.takes_noise
    ):
        couplings, paths = (
            format_list(name for name, each in parts.items() if each.takes_noise)
            for parts in (COUPLINGS, PATHS)
        )
        raise InputError(
            f"coupling {coupling.name!r} with path {path.name!r} needs points at both ends, "
            f"and the source is noise; for noise take a coupling of {couplings} "
            f"and a path of {paths}"
        )
    check_side_columns(
        fit.method,
        clones=cells.clones is not None,
        features=cells.features is not None,
        transitions=cells.penalties is not None,
    )
    if cells.features is not None and coupling.epsilon_from_sigma:
        raise InputError(
            f"coupling {coupling.name!r} takes epsilon from sigma, a length of the coordinates "
            "that paths live in; with costs on others (cost_rep) give epsilon"
        )
    _check_conditions(fit)


def check_side_columns(method: Method, *, clones: bool, features: bool, transitions: bool) -> None:
    """Check that a method uses clones, cost features and known transitions, if there are any.

    Parameters
    ----------
    method
        The method.
    clones, features, transitions
        Whether they are given.

    Raises
    ------
    InputError
        If its coupling does not use them; the message names methods and couplings that do.
    """
    name = method.coupling.name
    if clones and not method.coupling.sees_clones:
        others = _name_others(lambda each: each.sees_clones)
        raise InputError(
            f"coupling {name!r} does not use clones: leave lineage_key (--lineage-key) out, or "
            f"take {others}"
        )
    if transitions and not method.coupling.sees_transitions:
        others = _name_others(lambda each: each.sees_transitions)
        raise InputError(
            f"coupling {name!r} does not use known transitions: leave allowed_transitions "
            f"(--allowed-transitions) out, or take {others}"
        )
    if features and not method.coupling.sees_features:
        others = _name_others(lambda each: each.sees_features and not each.epsilon_from_sigma)
        raise InputError(
            f"coupling {name!r} does not use costs on other coordinates: leave cost_rep "
            f"(--cost-rep) out, or take {others}"
        )


def _name_others(suits: Callable[[CouplingSettings], bool]) -> str:
    """Name the methods that are for cells and the couplings that suit, with their options."""
    couplings = [name for name, each in COUPLINGS.items() if suits(each(name=name))]
    # One that changes mass needs an objective that learns growth, as the methods here have.
    alone = [name for name in couplings if not COUPLINGS[name](name=name).changes_mass]
    methods = [
        name
        for name, preset in PRESETS.items()
        if preset.names[0] in couplings and not OBJECTIVES[preset.names[2]].noise_from_source
    ]
    return (
        f"method {format_list(methods)} (--method), or coupling {format_list(alone)} (--coupling)"
    )


def _check_conditions(fit: Fit) -> None:
    """Check that pairs keep numeric conditions that are not coupled within their values."""
    coupling = fit.method.coupling
    # On a path that draws its source, the noise takes the conditions of its target.
    if fit.marginals.finite[0].stored.condition_features is None or fit.method.path.draws_source:
        return
    ways = (
        "group its values (pandas.cut) so that each has 20 or more cells at every time, which are "
        "then coupled on their own"
    )
    if not coupling.sees_conditions:
        others = format_list(name for name, each in COUPLINGS.items() if each.sees_conditions)
        raise InputError(
            f"coupling {coupling.name!r} pairs cells whatever their numeric condition, so the flow "
            f"would learn one course for all of its values: {ways}, or take a coupling of {others}"
        )
    if isinstance(coupling, SemidiscreteSettings) and coupling.cost_dim is not None:
        raise InputError(
            f"cost_dim={coupling.cost_dim} leaves a numeric condition out of costs: leave cost_dim "
            f"out, or {ways}"
        )


def _interval(fit: Fit, source: Side, target: Side, span: Interval) -> Coupling:
    """Return the coupling of an interval, within labels if points have any."""
    assert isinstance(target, Population)
    if isinstance(source, Population) and source.rate is not None:
        source = source.scale_masses(torch.exp(source.rate * (span[1] - span[0])))
    if target.label is None:
        return _pair(fit, source, target, span)
    if isinstance(source, Gaussian):
        return _noise_to_labels(fit, source, target, span)
    if source.label is None:
        return _pair(fit, source, target, span)
    labels = _common_labels(source, target, span)
    parts, shares = [], []
    for label in labels:
        before, after = (_select_label(ends, label) for ends in (source, target))
        parts.append(_pair(fit, before[0], after[0], span))
        # If mass changes along the flow, pairs are drawn by the mass of the source.
        growing = source.rate is not None or fit.method.coupling.changes_mass
        shares.append(before[1] if growing else (before[1] + after[1]) / 2)
    return MixtureCoupling(parts, shares)


def _noise_to_labels(fit: Fit, source: Gaussian, target: Population, span: Interval) -> Coupling:
    """Couple the noise with the points of each label, as noise does not depend on labels."""
    groups = split_by_label(target)
    parts = [_pair(fit, source, group, span) for _, group, _ in groups]
    return MixtureCoupling(parts, [share for *_, share in groups])


def split_by_label(population: Population) -> list[tuple[int, Population, float]]:
    """Split a population by label: a list of (label, points, share of the mass)."""
    assert population.label is not None
    labels = sorted(set(population.label.tolist()))
    return [(label, *_select_label(population, label)) for label in labels]


def _common_labels(source: Population, target: Population, span: Interval) -> list[int]:
    """Return the labels with cells at both ends; `check_label_intervals` warns of others."""
    before, after = (
        set(ends.label.tolist())  # type: ignore[union-attr]
        for ends in (source, target)
    )
    where = f"the interval from flow time {span[0]:g} to {span[1]:g}"
    if not before & after:
        raise InputError(
            f"no label has cells at both ends of {where}, so nothing can be coupled within labels"
        )
    return sorted(before & after)


def _select_label(population: Population, label: int) -> tuple[Population, float]:
    """Return the cells of one label and their share of the mass."""
    assert population.label is not None
    rows = torch.nonzero(population.label == label)[:, 0]
    return population[rows], float(population.masses[rows].sum())


def _pair(fit: Fit, source: Side, target: Side, span: Interval) -> Coupling:
    if fit.method.path.draws_source:
        noise = Gaussian(fit.centre[None], fit.length_scale)
        return IndependentCoupling(source if isinstance(source, Gaussian) else noise, target, span)
    settings = fit.method.coupling
    builder = COUPLING_BUILDERS[settings.name]
    return builder(_with_cost_scale(fit, source, target), settings, source, target, span)


def _with_cost_scale(fit: Fit, *sides: Side) -> Fit:
    """Set `cost_scale` to the mean variance of the cost features, if all cells have them."""
    features = [each.stored.features for each in sides if isinstance(each, Population)]
    if not _none_missing(features):
        return fit
    if not fit.recipe.standardise:
        return replace(fit, cost_scale=1.0)
    both = torch.cat(features)
    return replace(fit, cost_scale=float((both - both.mean(dim=0)).square().mean()) or 1.0)


def _none_missing(features: list[Tensor | None]) -> TypeGuard[list[Tensor]]:
    return all(each is not None for each in features)


def wfr_length_scale(fit: Fit) -> float:
    """Return the length scale of unbalanced transport: the one given, or an estimate from the data.

    It is 1 for other couplings than `wfr`.
    """
    settings = fit.method.coupling
    if not isinstance(settings, WFRSettings):
        return 1.0
    check_columns(fit)
    if settings.delta is not None:
        return settings.delta * fit.length_scale
    ends = [block for pair in pairwise(fit.marginals.finite) for block in split_ends(*pair)]
    return default_delta([pair for pair, _ in ends], fit.generator, [share for _, share in ends])


def split_ends(
    source: Population, target: Population
) -> list[tuple[tuple[Population, Population], float]]:
    """Return the ends of each label that both have, and its share of the mass of the source."""
    if source.label is None or target.label is None:
        return [((source, target), 1.0)]
    common = sorted(set(source.label.tolist()) & set(target.label.tolist()))
    blocks = []
    for label in common:
        (before, share), (after, _) = (_select_label(ends, label) for ends in (source, target))
        blocks.append(((before, after), share))
    return blocks or [((source, target), 1.0)]
