"""Objectives and the loop that minimises them."""

from cellflow.training.devices import resolve_device
from cellflow.training.fit import fit_flow
from cellflow.training.loop import minimise
from cellflow.training.objectives import Objective, VelocityRegression

__all__ = ["Objective", "VelocityRegression", "fit_flow", "minimise", "resolve_device"]
