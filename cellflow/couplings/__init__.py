"""Couplings: joint laws of endpoints, and the objects that sample them."""

from cellflow.couplings.acceleration import (
    AccelerationCost,
    AccelerationCoupling,
    acceleration_cost,
)
from cellflow.couplings.costs import Cost, LineageCost, squared_euclidean
from cellflow.couplings.independent import IndependentCoupling
from cellflow.couplings.minibatch import MinibatchCoupling
from cellflow.couplings.mixture import MixtureCoupling
from cellflow._batch import Interval, Pairs
from cellflow.couplings.coupling import Coupling

__all__ = [
    "AccelerationCost",
    "AccelerationCoupling",
    "Cost",
    "Coupling",
    "IndependentCoupling",
    "Interval",
    "LineageCost",
    "MinibatchCoupling",
    "MixtureCoupling",
    "Pairs",
    "acceleration_cost",
    "squared_euclidean",
]
