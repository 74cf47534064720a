"""From the parts of a method to a coupling, a path and an objective.

The dictionaries name a function for each part of `cellflow.methods.parts`; it is given the fit and
the settings of the part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from cellflow._batch import Interval, Marginal
from cellflow._errors import InputError
from cellflow.couplings import (
    COSTS,
    AccelerationCost,
    AccelerationCoupling,
    Cost,
    Coupling,
    IndependentCoupling,
    LineageCost,
    MinibatchCoupling,
    PlanCoupling,
    SemidiscreteCoupling,
    blockwise_coupling,
    composition_coupling,
    exact_full_coupling,
    low_rank_coupling,
    potentials_plan,
    wfr_coupling,
)
from cellflow.couplings.minibatch import Solver, solve_assignment
from cellflow.marginals import Gaussian, Population
from cellflow.methods.parts import (
    AutoSettings,
    BlockwiseSettings,
    BridgeSettings,
    CloneCostSettings,
    CompositionSettings,
    CouplingSettings,
    EDMSettings,
    EntropicSettings,
    ExactFullSettings,
    GroundCostSettings,
    GrowthSettings,
    LowRankSettings,
    MeanFlowSettings,
    OATSettings,
    OTSettings,
    PartialSettings,
    SemidiscreteSettings,
    StraightSettings,
    TargetSettings,
    UnbalancedSettings,
    VelocityScoreSettings,
    VelocitySettings,
    VPSettings,
    WFRPathSettings,
    WFRSettings,
)
from cellflow.methods.sizes import DenoiserSizes
from cellflow.objectives import (
    EDM,
    AccelerationRegression,
    Guidance,
    LogitNormal,
    MeanFlow,
    Objective,
    TimeSampler,
    VelocityRegression,
    uniform_times,
)
from cellflow.paths import (
    BridgePath,
    HermitePath,
    Path,
    StraightPath,
    TargetPath,
    VariancePreservingPath,
    WFRPath,
)
from cellflow.training.context import Couple, Fit
from cellflow.training.geodesics import metric_path
from cellflow.training.potentials import load_or_fit_potentials
from cellflow.transport import Plan, entropic_plan, partial_plan, unbalanced_plan

#: Default strength of the entropy of unbalanced transport, as a share of the mean cost
#: (Eyring et al. 2024, arXiv 2311.15100).
_UNBALANCED_EPSILON = 0.01

#: Cells times cells up to which the exact plan of all of them takes about a second.
_SMALL = 4_000_000

#: An end of an interval: points, or noise.
Side = Population | Gaussian


def ground_cost(settings: CouplingSettings) -> Cost:
    """Return the cost between cells; where clones are known, lower between relatives."""
    known = settings if isinstance(settings, CloneCostSettings) else OTSettings()
    cost = settings.cost if isinstance(settings, GroundCostSettings) else "squared"
    return LineageCost(COSTS[cost], known.lineage_strength)


def _minibatch(
    fit: Fit, cost: Cost, source: Side, target: Population, span: Interval, solver: Solver
) -> MinibatchCoupling:
    # Larger batches than the populations would only repeat points.
    points = [len(each) for each in (source, target) if isinstance(each, Population)]
    size = min(fit.recipe.coupling_batch_size, *points)
    return MinibatchCoupling(source, target, span, size, fit.recipe.replace, solver, cost)


def _ot(
    fit: Fit, settings: GroundCostSettings, source: Side, target: Population, span: Interval
) -> Coupling:
    return _minibatch(fit, ground_cost(settings), source, target, span, solve_assignment)


def _independent(
    _fit: Fit, _settings: CouplingSettings, source: Marginal, target: Marginal, span: Interval
) -> Coupling:
    return IndependentCoupling(source, target, span)


def _entropic(
    fit: Fit, settings: EntropicSettings, source: Side, target: Population, span: Interval
) -> Coupling:
    # The endpoints of Brownian motion with diffusion sigma over a time T have a plan in
    # proportion to exp(-|x - y|^2 / (2 sigma^2 T)).
    epsilon = (
        2 * fit.sigma**2 * (span[1] - span[0])
        if settings.epsilon is None
        else settings.epsilon * fit.cost_scale
    )
    solver = partial(entropic_plan, epsilon=epsilon)
    return _minibatch(fit, ground_cost(settings), source, target, span, solver)


def _unbalanced(
    fit: Fit, settings: UnbalancedSettings, source: Side, target: Population, span: Interval
) -> Coupling:
    def solver(cost: np.ndarray) -> Plan:
        share = _UNBALANCED_EPSILON * float(cost.mean())
        epsilon = share if settings.epsilon is None else settings.epsilon * fit.cost_scale
        return unbalanced_plan(cost, epsilon, settings.tau_a, settings.tau_b)

    return _minibatch(fit, ground_cost(settings), source, target, span, solver)


def _partial(
    fit: Fit, settings: PartialSettings, source: Side, target: Population, span: Interval
) -> Coupling:
    solver = partial(partial_plan, share=settings.mass_share)
    return _minibatch(fit, ground_cost(settings), source, target, span, solver)


def _acceleration(
    fit: Fit, _settings: CouplingSettings, source: Side, target: Population, span: Interval
) -> Coupling:
    assert fit.prior is not None
    condition = target.stored.condition
    if isinstance(source, Gaussian) and condition is not None and (condition != condition[0]).any():
        raise InputError(
            "coupling 'acceleration' evaluates a flow at noise, which has the covariates of its "
            "class only; leave out covariates that differ within a class"
        )
    velocity = fit.prior.nets.velocity
    batches = _minibatch(
        fit, AccelerationCost(velocity, span), source, target, span, solve_assignment
    )
    return AccelerationCoupling(batches, velocity)


def _semidiscrete(
    fit: Fit, settings: SemidiscreteSettings, source: Side, target: Population, span: Interval
) -> Coupling:
    potentials = load_or_fit_potentials(fit, settings, source, target)
    if isinstance(source, Gaussian):
        return SemidiscreteCoupling(source, target, span, potentials)
    return PlanCoupling(source, target, span, potentials_plan(potentials, source))


def _exact_full(
    _fit: Fit, settings: ExactFullSettings, source: Population, target: Population, span: Interval
) -> Coupling:
    cost, memory = ground_cost(settings), settings.max_memory
    return exact_full_coupling(source, target, span, cost=cost, max_memory=memory)


def _blockwise(
    fit: Fit, settings: BlockwiseSettings, source: Population, target: Population, span: Interval
) -> Coupling:
    return blockwise_coupling(
        source,
        target,
        span,
        generator=fit.generator,
        cost=ground_cost(settings),
        block_size=settings.block_size,
    )


def _low_rank(
    fit: Fit, settings: LowRankSettings, source: Population, target: Population, span: Interval
) -> Coupling:
    return low_rank_coupling(
        source,
        target,
        span,
        generator=fit.generator,
        rank=settings.rank,
        epsilon=(settings.epsilon or 0.0) * fit.cost_scale,
    )


def _wfr(
    fit: Fit, settings: WFRSettings, source: Population, target: Population, span: Interval
) -> Coupling:
    return wfr_coupling(
        source,
        target,
        span,
        delta=fit.wfr_length_scale,
        generator=fit.generator,
        block_size=settings.block_size,
        max_blocks=settings.max_blocks,
        growth=settings.growth_bounds,
    )


def _composition(
    fit: Fit, settings: CompositionSettings, source: Population, target: Population, span: Interval
) -> Coupling:
    return composition_coupling(
        source,
        target,
        span,
        generator=fit.generator,
        cost=ground_cost(settings),
        share=settings.share,
        n_neighbors=settings.n_neighbors,
        block_size=settings.block_size,
        max_blocks=settings.max_blocks,
        growth=settings.growth_bounds,
    )


def _auto(
    fit: Fit, settings: AutoSettings, source: Population, target: Population, span: Interval
) -> Coupling:
    small = len(source) * len(target) <= _SMALL
    return (_exact_full if small else _ot)(fit, settings, source, target, span)


#: Makes each coupling for one interval: `builder(fit, settings, source, target, span)`.
COUPLING_BUILDERS: dict[str, Callable[..., Coupling]] = {
    "ot": _ot,
    "independent": _independent,
    "entropic": _entropic,
    "unbalanced": _unbalanced,
    "partial": _partial,
    "exact-full": _exact_full,
    "blockwise": _blockwise,
    "low-rank": _low_rank,
    "wfr": _wfr,
    "composition": _composition,
    "auto": _auto,
    "semidiscrete": _semidiscrete,
    "acceleration": _acceleration,
}


def _straight(fit: Fit, _settings: StraightSettings, _couple: Couple) -> Path:
    return StraightPath(fit.sigma)


def _target(fit: Fit, settings: TargetSettings, _couple: Couple) -> Path:
    source = fit.marginals.populations[0]
    centre = source.centre[0] if isinstance(source, Gaussian) else fit.centre
    return TargetPath(settings.sigma, centre)


def _vp(fit: Fit, _settings: VPSettings, _couple: Couple) -> Path:
    return VariancePreservingPath(fit.sigma, fit.centre)


def _bridge(fit: Fit, _settings: BridgeSettings, _couple: Couple) -> Path:
    return BridgePath(fit.sigma)


def _wfr_path(fit: Fit, _settings: WFRPathSettings, _couple: Couple) -> Path:
    return WFRPath(fit.wfr_length_scale, fit.sigma)


#: Makes each path: `builder(fit, settings, couple)`; `couple` couples populations as the fit does.
PATH_BUILDERS: dict[str, Callable[..., Path]] = {
    "straight": _straight,
    "target": _target,
    "vp": _vp,
    "bridge": _bridge,
    "metric": metric_path,
    "wfr": _wfr_path,
}


def _velocity(_fit: Fit, _settings: VelocitySettings, path: Path) -> Objective:
    return VelocityRegression(path)


def _velocity_score(_fit: Fit, settings: VelocityScoreSettings, path: Path) -> Objective:
    return VelocityRegression(path, score_weight=settings.score_weight)


def _growth(_fit: Fit, settings: GrowthSettings, path: Path) -> Objective:
    return VelocityRegression(path, growth_weight=settings.growth_weight)


def _mean_flow(fit: Fit, settings: MeanFlowSettings, path: Path) -> Objective:
    times = _times(settings.mean_times, settings.logit_mean, settings.logit_std)
    r_times = times
    if settings.r_times is not None:
        r_times = _times(settings.r_times, settings.r_logit_mean, settings.r_logit_std)
    guidance = None
    if settings.is_guided:
        guidance = Guidance(settings.guidance_scale, settings.guidance_mix, settings.drop_condition)
    return MeanFlow(
        path,
        settings.anchored,
        settings.mean_power,
        settings.mean_offset,
        fit.length_scale,
        times,
        r_times,
        own_tangent=settings.tangent == "net",
        guidance=guidance,
    )


def _times(law: str, mean: float, std: float) -> TimeSampler:
    return LogitNormal(mean, std) if law == "logit-normal" else uniform_times


def _oat(fit: Fit, settings: OATSettings, path: Path) -> Objective:
    if settings.oat_target == "hermite":
        return VelocityRegression(HermitePath(fit.sigma))
    return AccelerationRegression(path, settings.oat_alpha)


def _edm(fit: Fit, settings: EDMSettings, path: Path) -> Objective:
    net = fit.recipe.net
    # Nets without scalings of their own leave the weights in units of the points.
    sigma_data = net.sigma_data if isinstance(net, DenoiserSizes) else fit.length_scale
    return EDM(path, settings.p_mean, settings.p_std, sigma_data)


#: Makes each objective: `builder(fit, settings, path)`.
OBJECTIVE_BUILDERS: dict[str, Callable[..., Objective]] = {
    "velocity": _velocity,
    "velocity-score": _velocity_score,
    "growth": _growth,
    "mean-flow": _mean_flow,
    "oat": _oat,
    "edm": _edm,
}
