"""The fitted object: a velocity field with its clock; on disk without pickles."""

from cellflow.flow.carry import Carried, carry
from cellflow.flow.flow import Context, Flow, Trajectory
from cellflow.flow.record import FitRecord, Inputs
from cellflow.flow.storage import check_flow_target, fingerprint

__all__ = [
    "Carried",
    "Context",
    "FitRecord",
    "Flow",
    "Inputs",
    "Trajectory",
    "carry",
    "check_flow_target",
    "fingerprint",
]
