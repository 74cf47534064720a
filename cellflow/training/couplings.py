"""How each coupling is made for the interval between two populations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from cellflow._batch import Interval, Marginal
from cellflow._errors import InputError
from cellflow.couplings import (
    AccelerationCost,
    AccelerationCoupling,
    Cost,
    Coupling,
    IndependentCoupling,
    MinibatchCoupling,
    PlanCoupling,
    SemidiscreteCoupling,
    blockwise_coupling,
    exact_full_coupling,
    finite_plan,
    low_rank_coupling,
    wfr_coupling,
)
from cellflow.couplings.minibatch import Solver, exact
from cellflow.marginals import Gaussian, Population
from cellflow.methods.parts import WFR_GROWTH
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
    return lambda cost: Plan.from_permutation(np.arange(len(cost)))


def _entropic(build: Build, span: Interval) -> Solver:
    epsilon = build.method.epsilon
    # The endpoints of Brownian motion with diffusion sigma over a time T have a plan in
    # proportion to exp(-|x - y|^2 / (2 sigma^2 T)).
    strength = (
        2 * build.sigma**2 * (span[1] - span[0]) if epsilon is None else epsilon * build.cost_scale
    )
    return partial(entropic_plan, epsilon=strength)


def _unbalanced(build: Build, _span: Interval) -> Solver:
    method = build.method

    def solver(cost: np.ndarray) -> Plan:
        share = _UNBALANCED_EPSILON * float(cost.mean())
        epsilon = share if method.epsilon is None else method.epsilon * build.cost_scale
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
        epsilon=(build.method.epsilon or 0.0) * build.cost_scale,
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
