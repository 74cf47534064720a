"""Couplings: joint distributions of source and target points, from which pairs are drawn."""

from cellflow._batch import Interval, Pairs
from cellflow.couplings.acceleration_transport import (
    AccelerationCost,
    AccelerationCoupling,
    acceleration_cost,
)
from cellflow.couplings.bridge import bridge_transitions
from cellflow.couplings.composition import composition_coupling, log_density_ratio
from cellflow.couplings.coupling import Coupling, IndependentCoupling, PairTable
from cellflow.couplings.dual_ascent import THRESHOLD, fit_potentials, warn_unless_converged
from cellflow.couplings.dual_potentials import Potentials
from cellflow.couplings.full_plan import (
    LowRankCoupling,
    PlanCoupling,
    blockwise_coupling,
    exact_full_coupling,
    low_rank_coupling,
)
from cellflow.couplings.ground_costs import COSTS, Cost, LineageCost, euclidean, squared_euclidean
from cellflow.couplings.minibatch import MinibatchCoupling
from cellflow.couplings.mixture import MixtureCoupling
from cellflow.couplings.semidiscrete import SemidiscreteCoupling, potentials_plan
from cellflow.couplings.wfr_coupling import default_delta, wfr_coupling

__all__ = [
    "COSTS",
    "THRESHOLD",
    "AccelerationCost",
    "AccelerationCoupling",
    "Cost",
    "Coupling",
    "IndependentCoupling",
    "Interval",
    "LineageCost",
    "LowRankCoupling",
    "MinibatchCoupling",
    "MixtureCoupling",
    "PairTable",
    "Pairs",
    "PlanCoupling",
    "Potentials",
    "SemidiscreteCoupling",
    "acceleration_cost",
    "blockwise_coupling",
    "bridge_transitions",
    "composition_coupling",
    "default_delta",
    "euclidean",
    "exact_full_coupling",
    "fit_potentials",
    "log_density_ratio",
    "low_rank_coupling",
    "potentials_plan",
    "squared_euclidean",
    "warn_unless_converged",
    "wfr_coupling",
]
