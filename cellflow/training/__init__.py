"""The loop that minimises objectives, and the way from populations in time to a flow."""

from cellflow.training.devices import resolve_device
from cellflow.training.fit import fit_flow
from cellflow.training.loop import minimise

__all__ = ["fit_flow", "minimise", "resolve_device"]
