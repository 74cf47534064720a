"""Couplings: joint laws of endpoints, and the objects that sample them."""

from cellflow.couplings.independent import IndependentCoupling
from cellflow.couplings.minibatch import MinibatchOTCoupling
from cellflow.couplings.pairs import Coupling, Pairs
from cellflow.couplings.piecewise import PiecewiseCoupling

__all__ = [
    "Coupling",
    "IndependentCoupling",
    "MinibatchOTCoupling",
    "Pairs",
    "PiecewiseCoupling",
]
