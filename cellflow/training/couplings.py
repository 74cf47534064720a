"""How each coupling is made for the interval between two populations, and for a time course."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from cellflow._batch import Interval, Marginal
from cellflow._errors import InputError
from cellflow.couplings import (
    AccelerationCost,
    AccelerationCoupling,
    ChainCoupling,
    Cost,
    Coupling,
    IndependentCoupling,
    MinibatchCoupling,
    MixtureCoupling,
    Potentials,
    SemidiscreteCoupling,
    blockwise_coupling,
    default_delta,
    exact_full_coupling,
    fit_potentials,
    low_rank_coupling,
    wfr_coupling,
)
from cellflow.couplings.minibatch import Solver, exact
from cellflow.couplings.potentials import fingerprint
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.methods.method import Method
from cellflow.training.build import Build, grown
from cellflow.transport import Plan, entropic_plan, partial_plan, unbalanced_plan

#: Default strength of the entropy of unbalanced transport, as a share of the mean cost
#: (Eyring et al. 2024, arXiv 2311.15100).
_UNBALANCED_EPSILON = 0.01

#: Cells times cells up to which the exact plan of all of them takes about a second.
_SMALL = 4_000_000

Builder = Callable[[Build, Population, Population, Interval], Coupling]


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
    source: Population,
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


def _batch_size(build: Build, *populations: Population) -> int:
    """Points a side of a transport problem: more than there are cells would only repeat them."""
    return min(build.recipe.coupling_batch_size, *map(len, populations))


def _independent(_build: Build, source: Marginal, target: Marginal, span: Interval) -> Coupling:
    return IndependentCoupling(source, target, span)


def _acceleration(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    if build.prior is None:
        raise InputError("coupling 'acceleration' asks a flow fitted before: give it as prior")
    velocity = build.prior.nets.velocity
    cost = AccelerationCost(velocity, span)
    batches = _minibatch(build, source, target, span, name="ot", cost=cost)
    return AccelerationCoupling(batches, velocity)


def _semidiscrete(build: Build, source: Population, target: Population, span: Interval) -> Coupling:
    # The potentials' unit is <x, y>, half a squared distance.
    epsilon = build.method.epsilon
    epsilon = None if epsilon is None else epsilon * build.area / 2
    kept = _kept_potentials(build, source, target, epsilon)
    if kept is not None and kept.exists():
        potentials = Potentials.load(kept, build.generator.device)
        return SemidiscreteCoupling(source, target, span, potentials)
    potentials = fit_potentials(
        source,
        target.cells.seen,
        target.masses,
        generator=build.generator,
        epsilon=epsilon,
        max_steps=build.method.semidiscrete_steps,
        progress=build.progress,
    )
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        potentials.save(kept, overwrite=True)
    return SemidiscreteCoupling(source, target, span, potentials)


def _kept_potentials(
    build: Build, source: Population, target: Population, epsilon: float | None
) -> Path | None:
    """File of the potentials between two populations; its name tells all that they depend on."""
    if build.method.potentials is None:
        return None
    sides = (
        fingerprint(torch.cat([side.cells.seen, side.masses[:, None]], dim=1))
        for side in (source, target)
    )
    strength = "auto" if epsilon is None else f"{epsilon:.9g}"
    return Path(build.method.potentials) / f"{'-'.join(sides)}-{strength}.safetensors"


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
    if build.method.path == "spline":
        return _chains(build, marginals)
    spans = zip(pairwise(marginals.populations), pairwise(marginals.times), strict=True)
    return MixtureCoupling([_within_labels(build, *ends, span) for ends, span in spans])


def _chains(build: Build, marginals: Marginals) -> Coupling:
    if any(population.cells.label is not None for population in marginals.populations):
        raise InputError(
            "path 'spline' follows chains through all times and cannot keep to labels; "
            "take path 'straight', or leave label and categorical condition keys out"
        )
    return ChainCoupling(
        marginals.populations,
        marginals.times,
        _batch_size(build, *marginals.populations),
        [SOLVERS[build.method.coupling](build, span) for span in pairwise(marginals.times)],
        build.cost,
    )


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
    if build.method.path == "target":
        return IndependentCoupling(Gaussian(build.centre[None], build.scale), target, span)
    if source.cells.rate is not None:
        source = source.reweighted(grown(source.cells.rate, span[1] - span[0]))
    return BUILDERS[build.method.coupling](build, source, target, span)


def reach(method: Method, marginals: Marginals, scale: float, generator: torch.Generator) -> float:
    """Length scale of unbalanced transport: the one given, or what all intervals need."""
    if method.delta is not None or method.coupling != "wfr":
        return (method.delta or 1.0) * scale
    return max(default_delta(*ends, generator) for ends in pairwise(marginals.populations))
