"""How each coupling is made for the interval between two populations, and for a time course."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from cellflow._batch import Interval, Marginal
from cellflow._checks import listed
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import tell
from cellflow.couplings import (
    AccelerationCost,
    AccelerationCoupling,
    ChainCoupling,
    Cost,
    Coupling,
    IndependentCoupling,
    MinibatchCoupling,
    MixtureCoupling,
    PlanCoupling,
    SemidiscreteCoupling,
    blockwise_coupling,
    default_delta,
    exact_full_coupling,
    finite_plan,
    low_rank_coupling,
    wfr_coupling,
)
from cellflow.couplings.minibatch import Solver, exact
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.methods.method import Method
from cellflow.methods.parts import COUPLINGS, PATHS, WFR_GROWTH
from cellflow.training.build import Build
from cellflow.training.potentials import potentials_for
from cellflow.transport import Plan, entropic_plan, partial_plan, unbalanced_plan

#: Default strength of the entropy of unbalanced transport, as a share of the mean cost
#: (Eyring et al. 2024, arXiv 2311.15100).
_UNBALANCED_EPSILON = 0.01

#: Cells times cells up to which the exact plan of all of them takes about a second.
_SMALL = 4_000_000

#: What stands at an end of an interval: points, or noise.
Side = Population | Gaussian

Builder = Callable[[Build, Any, Any, Interval], Coupling]


def _exact(_build: Build, _span: Interval) -> Solver:
    return exact


def _any(_build: Build, _span: Interval) -> Solver:
    # Rows and columns of a batch come in random order.
    return lambda cost: Plan.of_permutation(np.arange(len(cost)))


def _entropic(build: Build, span: Interval) -> Solver:
    epsilon = build.method.epsilon
    # The endpoints of Brownian motion with diffusion sigma over a time T have a plan in
    # proportion to exp(-|x - y|^2 / (2 sigma^2 T)).
    strength = 2 * build.sigma**2 * (span[1] - span[0]) if epsilon is None else epsilon * build.area
    return partial(entropic_plan, epsilon=strength)


def _unbalanced(build: Build, _span: Interval) -> Solver:
    method = build.method

    def solver(cost: np.ndarray) -> Plan:
        share = _UNBALANCED_EPSILON * float(cost.mean())
        epsilon = share if method.epsilon is None else method.epsilon * build.area
        return unbalanced_plan(cost, epsilon, method.tau_a, method.tau_b)

    return solver


def _partial(build: Build, _span: Interval) -> Solver:
    return partial(partial_plan, share=build.method.mass_share)


#: Solvers of the couplings that act on minibatches.
SOLVERS: dict[str, Callable[[Build, Interval], Solver]] = {
    "ot": _exact,
    "independent": _any,
    "entropic": _entropic,
    "unbalanced": _unbalanced,
    "partial": _partial,
}


def _minibatch(
    build: Build,
    source: Side,
    target: Population,
    span: Interval,
    *,
    name: str | None = None,
    cost: Cost | None = None,
) -> MinibatchCoupling:
    return MinibatchCoupling(
        source,
        target,
        span,
        _batch_size(build, source, target),
        build.recipe.replace,
        SOLVERS[name or build.method.coupling](build, span),
        cost or build.cost,
    )


def _batch_size(build: Build, *sides: Side) -> int:
    """Points a side of a transport problem: more than there are would only repeat them."""
    points = [len(each) for each in sides if isinstance(each, Population)]
    return min(build.recipe.coupling_batch_size, *points)


def _independent(_build: Build, source: Marginal, target: Marginal, span: Interval) -> Coupling:
    return IndependentCoupling(source, target, span)


def _acceleration(build: Build, source: Side, target: Population, span: Interval) -> Coupling:
    assert build.prior is not None
    condition = target.stored.condition
    if isinstance(source, Gaussian) and condition is not None and (condition != condition[0]).any():
        raise InputError(
            "coupling 'acceleration' asks a flow where noise goes, and covariates that differ "
            "inside a class do not tell; leave out those that are no classes"
        )
    velocity = build.prior.nets.velocity
    cost = AccelerationCost(velocity, span)
    batches = _minibatch(build, source, target, span, name="ot", cost=cost)
    return AccelerationCoupling(batches, velocity)


def _semidiscrete(build: Build, source: Side, target: Population, span: Interval) -> Coupling:
    potentials = potentials_for(build, source, target)
    if isinstance(source, Gaussian):
        return SemidiscreteCoupling(source, target, span, potentials)
    return PlanCoupling(source, target, span, finite_plan(potentials, source))


def _exact_full(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    memory = build.method.max_memory
    return exact_full_coupling(source, target, span, cost=build.cost, max_memory=memory)


def _blockwise(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    return blockwise_coupling(
        source,
        target,
        span,
        generator=build.generator,
        cost=build.cost,
        block_size=build.method.block_size,
    )


def _low_rank(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    return low_rank_coupling(
        source,
        target,
        span,
        generator=build.generator,
        rank=build.method.rank,
        epsilon=(build.method.epsilon or 0.0) * build.area,
    )


def _wfr(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    return wfr_coupling(
        source,
        target,
        span,
        delta=build.delta,
        generator=build.generator,
        block_size=build.method.block_size,
        max_blocks=build.method.max_blocks,
        growth=WFR_GROWTH[build.method.growth],
    )


def _auto(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    if len(source) * len(target) <= _SMALL:
        return _exact_full(build, source, target, span)
    return _minibatch(build, source, target, span, name="ot")


#: How each coupling of `cellflow.methods.parts.COUPLINGS` is made for one interval.
BUILDERS: dict[str, Builder] = {
    "ot": _minibatch,
    "independent": _independent,
    "entropic": _minibatch,
    "unbalanced": _minibatch,
    "partial": _minibatch,
    "exact-full": _exact_full,
    "blockwise": _blockwise,
    "low-rank": _low_rank,
    "wfr": _wfr,
    "auto": _auto,
    "semidiscrete": _semidiscrete,
    "acceleration": _acceleration,
}


def course_coupling(build: Build, marginals: Marginals) -> Coupling:
    """One coupling for a time course, each interval equally often."""
    _check_columns(build.method, marginals)
    if build.method.path == "spline":
        return _chains(build, marginals)
    return MixtureCoupling([_interval(build, *ends, span) for ends, span in marginals.intervals])


def _check_columns(method: Method, marginals: Marginals) -> None:
    """Refuse what is known of the cells where the coupling would not see it."""
    cells = marginals.finite[0].stored
    part = COUPLINGS[method.coupling]
    if len(marginals.finite) < len(marginals.populations) and not (
        part.takes_noise and PATHS[method.path].takes_noise
    ):
        couplings, paths = (
            listed(name for name, each in parts.items() if each.takes_noise)
            for parts in (COUPLINGS, PATHS)
        )
        raise InputError(
            f"coupling {method.coupling!r} with path {method.path!r} needs points at both ends, "
            f"and the source is noise; for noise take a coupling of {couplings} "
            f"and a path of {paths}"
        )
    for column, seen, what in (
        (cells.features, part.sees_costs, "costs on other coordinates (cost_rep)"),
        (cells.clones, part.sees_clones, "clones (lineage_key)"),
    ):
        if column is not None and not seen:
            raise InputError(f"coupling {method.coupling!r} does not see {what}; leave them out")
    if cells.label is not None and method.path == "spline":
        raise InputError(
            "path 'spline' follows chains through all times and cannot keep to labels; "
            "take path 'straight', or leave label and categorical condition keys out"
        )
    if cells.features is not None and method.coupling == "entropic" and method.epsilon is None:
        raise InputError(
            "coupling 'entropic' takes epsilon from sigma, a length of the coordinates that paths "
            "live in; with costs on others (cost_rep) give epsilon"
        )


def _chains(build: Build, marginals: Marginals) -> Coupling:
    return ChainCoupling(
        marginals.populations,
        marginals.times,
        _batch_size(build, *marginals.populations),
        [
            SOLVERS[build.method.coupling](_on_costs(build, *ends), span)
            for ends, span in marginals.intervals
        ],
        build.cost,
    )


def _interval(build: Build, source: Side, target: Side, span: Interval) -> Coupling:
    """The coupling of an interval; where points have labels, among those of one label."""
    assert isinstance(target, Population)
    if isinstance(source, Population) and source.rate is not None:
        source = source.reweighted(torch.exp(source.rate * (span[1] - span[0])))
    if target.label is None:
        return _pair(build, source, target, span)
    if isinstance(source, Gaussian):
        return _noise_to_labels(build, source, target, span)
    if source.label is None:
        return _pair(build, source, target, span)
    labels = _common_labels(source, target, span)
    parts, shares = [], []
    for label in labels:
        before, after = (_of_label(ends, label) for ends in (source, target))
        parts.append(_pair(build, before[0], after[0], span))
        # Where mass changes on the way, pairs are drawn by the mass of the source.
        growing = source.rate is not None or build.method.coupling == "wfr"
        shares.append(before[1] if growing else (before[1] + after[1]) / 2)
    return MixtureCoupling(parts, shares)


def _noise_to_labels(
    build: Build, source: Gaussian, target: Population, span: Interval
) -> Coupling:
    """All of the noise to the points of each label, so that noise says nothing of the label."""
    groups = labelled_parts(target)
    parts = [_pair(build, source, group, span) for _, group, _ in groups]
    return MixtureCoupling(parts, [share for *_, share in groups])


def labelled_parts(population: Population) -> list[tuple[int, Population, float]]:
    """Each label with its points and their share of the mass."""
    assert population.label is not None
    labels = sorted(set(population.label.tolist()))
    return [(label, *_of_label(population, label)) for label in labels]


def _common_labels(source: Population, target: Population, span: Interval) -> list[int]:
    """Labels with cells at both ends."""
    before, after = (
        set(ends.label.tolist())  # type: ignore[union-attr]
        for ends in (source, target)
    )
    where = f"the interval from flow time {span[0]:g} to {span[1]:g}"
    if not before & after:
        raise InputError(
            f"no label has cells at both ends of {where}, so nothing can be coupled within labels"
        )
    if before ^ after:
        warnings.warn(
            f"{len(before ^ after)} of {len(before | after)} labels have cells at one end of "
            f"{where} only; these cells are not coupled there",
            CellflowWarning,
            stacklevel=2,
        )
    return sorted(before & after)


def _of_label(population: Population, label: int) -> tuple[Population, float]:
    """The cells of one label and their share of the mass."""
    assert population.label is not None
    rows = torch.nonzero(population.label == label)[:, 0]
    return population[rows], float(population.masses[rows].sum())


def _pair(build: Build, source: Side, target: Population, span: Interval) -> Coupling:
    if build.method.path == "target":
        noise = Gaussian(build.centre[None], build.scale)
        return IndependentCoupling(source if isinstance(source, Gaussian) else noise, target, span)
    build = _on_costs(build, source, target)
    return BUILDERS[build.method.coupling](build, source, target, span)


def _on_costs(build: Build, *sides: Side) -> Build:
    """The build with the unit of costs on other coordinates: their spread in both populations."""
    features = [each.stored.features for each in sides if isinstance(each, Population)]
    if not _all_there(features):
        return build
    if not build.recipe.standardise:
        return replace(build, area=1.0)
    both = torch.cat(features)
    return replace(build, area=float((both - both.mean(dim=0)).square().mean()) or 1.0)


def _all_there(features: list[Tensor | None]) -> TypeGuard[list[Tensor]]:
    return all(each is not None for each in features)


def _tell_of_share(method: Method, marginals: Marginals) -> None:
    """Say where there are more cells than are coupled."""
    most, blocks = max(map(len, marginals.finite)), method.max_blocks
    if most > blocks * method.block_size:
        tell(
            f"{most:,} cells at one time: {blocks} random blocks of {method.block_size:,} are "
            "coupled between two times; method setting max_blocks takes more"
        )


def reach(method: Method, marginals: Marginals, scale: float, generator: torch.Generator) -> float:
    """Length scale of unbalanced transport: the one given, or what all intervals need."""
    _check_columns(method, marginals)
    if method.coupling == "wfr":
        _tell_of_share(method, marginals)
    if method.delta is not None or method.coupling != "wfr":
        return (method.delta or 1.0) * scale
    return default_delta(pairwise(marginals.finite), generator)
