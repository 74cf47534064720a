"""Networks for velocity fields and what goes with them."""

from cellflow.nets.fields import ROLES, Fields
from cellflow.nets.geopath import GeopathNet
from cellflow.nets.mlp import MLP

__all__ = ["MLP", "ROLES", "Fields", "GeopathNet"]
