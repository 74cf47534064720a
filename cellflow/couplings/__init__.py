"""Couplings: joint laws of endpoints, and the objects that sample them."""

from cellflow._batch import Interval, Pairs
from cellflow.couplings.acceleration import (
    AccelerationCost,
    AccelerationCoupling,
    acceleration_cost,
)
from cellflow.couplings.costs import COSTS, Cost, LineageCost, euclidean, squared_euclidean
from cellflow.couplings.coupling import Coupling, waiting
from cellflow.couplings.independent import IndependentCoupling
from cellflow.couplings.minibatch import MinibatchCoupling
from cellflow.couplings.mixture import MixtureCoupling
from cellflow.couplings.plan import (
    LowRankCoupling,
    PlanCoupling,
    blockwise_coupling,
    exact_full_coupling,
    low_rank_coupling,
)
from cellflow.couplings.potentials import Potentials
from cellflow.couplings.semidiscrete import (
    THRESHOLD,
    SemidiscreteCoupling,
    finite_plan,
    fit_potentials,
    warn_unless_converged,
)
from cellflow.couplings.wfr import default_delta, wfr_coupling

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
    "Pairs",
    "PlanCoupling",
    "Potentials",
    "SemidiscreteCoupling",
    "acceleration_cost",
    "blockwise_coupling",
    "default_delta",
    "euclidean",
    "exact_full_coupling",
    "finite_plan",
    "fit_potentials",
    "low_rank_coupling",
    "squared_euclidean",
    "waiting",
    "warn_unless_converged",
    "wfr_coupling",
]
