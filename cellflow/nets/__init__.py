"""Networks for velocity fields."""

from cellflow.nets.mlp import VelocityMLP

__all__ = ["VelocityMLP"]
