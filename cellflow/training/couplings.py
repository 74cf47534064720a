"""How each coupling is made for the interval between two populations, and for a time course."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from cellflow._batch import Interval, Marginal
from cellflow._errors import InputError
from cellflow.couplings import (
    AccelerationCost,
    AccelerationCoupling,
    Cost,
    Coupling,
    IndependentCoupling,
    MinibatchCoupling,
    MixtureCoupling,
)
from cellflow.couplings.minibatch import Solver, exact
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.training.build import Build, grown
from cellflow.transport import Plan, entropic_plan, partial_plan, unbalanced_plan

#: Default strength of the entropy of unbalanced transport, as a share of the mean cost
#: (Eyring et al. 2024, arXiv 2311.15100).
_UNBALANCED_EPSILON = 0.01


def _independent(_build: Build, source: Marginal, target: Population, span: Interval) -> Coupling:
    return IndependentCoupling(source, target, span)


def _minibatch(
    build: Build,
    source: Population,
    target: Population,
    span: Interval,
    solver: Solver,
    cost: Cost | None = None,
) -> MinibatchCoupling:
    # A batch of more points than there are cells would only repeat cells.
    size = min(build.recipe.coupling_batch_size, len(source), len(target))
    return MinibatchCoupling(
        source, target, span, size, build.recipe.replace, solver, cost or build.cost
    )


def _ot(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    return _minibatch(build, source, target, span, exact)


def _entropic(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    epsilon = build.method.epsilon
    # The endpoints of Brownian motion with diffusion sigma over a time T have a plan in
    # proportion to exp(-|x - y|^2 / (2 sigma^2 T)).
    strength = 2 * build.sigma**2 * (span[1] - span[0]) if epsilon is None else epsilon * build.area
    return _minibatch(build, source, target, span, partial(entropic_plan, epsilon=strength))


def _unbalanced(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    method = build.method

    def solver(cost: np.ndarray) -> Plan:
        epsilon = (
            _UNBALANCED_EPSILON * float(cost.mean())
            if method.epsilon is None
            else method.epsilon * build.area
        )
        return unbalanced_plan(cost, epsilon, method.tau_a, method.tau_b)

    return _minibatch(build, source, target, span, solver)


def _partial(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    solver = partial(partial_plan, share=build.method.mass_share)
    return _minibatch(build, source, target, span, solver)


def _acceleration(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    if build.prior is None:
        raise InputError("coupling 'acceleration' asks a flow fitted before: give it as prior")
    velocity = build.prior.nets.velocity
    cost = AccelerationCost(velocity, span)
    return AccelerationCoupling(_minibatch(build, source, target, span, exact, cost), velocity)


#: How each coupling of `cellflow.methods.parts.COUPLINGS` is made for one interval.
BUILDERS: dict[str, Callable[..., Coupling]] = {
    "ot": _ot,
    "independent": _independent,
    "entropic": _entropic,
    "unbalanced": _unbalanced,
    "partial": _partial,
    "acceleration": _acceleration,
}


def course_coupling(build: Build, marginals: Marginals) -> Coupling:
    """One coupling for a time course, each interval equally often."""
    spans = zip(pairwise(marginals.populations), pairwise(marginals.times), strict=True)
    return MixtureCoupling([_within_labels(build, *ends, span) for ends, span in spans])


def _within_labels(
    build: Build, source: Population, target: Population, span: Interval
) -> Coupling:
    """The coupling of an interval; where cells have labels, among those of one label."""
    if source.cells.label is None or target.cells.label is None:
        return _interval(build, source, target, span)
    labels = sorted(set(source.cells.label.tolist()) & set(target.cells.label.tolist()))
    if not labels:
        raise InputError(
            f"no label has cells at both ends of the interval from flow time {span[0]:g} to "
            f"{span[1]:g}, so nothing can be coupled within labels"
        )
    parts, shares = [], []
    for label in labels:
        before, after = (_of_label(ends, label) for ends in (source, target))
        parts.append(_interval(build, before[0], after[0], span))
        shares.append((before[1] + after[1]) / 2)
    return MixtureCoupling(parts, shares)


def _of_label(population: Population, label: int) -> tuple[Population, float]:
    """The cells of one label and their share of the mass."""
    assert population.cells.label is not None
    rows = torch.nonzero(population.cells.label == label)[:, 0]
    return population[rows], float(population.masses[rows].sum())


def _interval(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    start: Marginal = source
    if build.method.path == "target":
        start = Gaussian(build.centre[None], build.scale)
    elif source.cells.rate is not None:
        start = source.reweighted(grown(source.cells.rate, span[1] - span[0]))
    return BUILDERS[build.method.coupling](build, start, target, span)
