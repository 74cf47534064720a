"""The fitted object: a velocity field with its clock; on disk without pickles."""

from cellflow.flow.flow import Context, Flow, check_flow, check_score
from cellflow.flow.prediction import Prediction, predict_cells
from cellflow.flow.record import FitRecord, Inputs, describe_misfit
from cellflow.flow.storage import check_flow_target, fingerprint
from cellflow.flow.trajectory import Trajectory

__all__ = [
    "Context",
    "FitRecord",
    "Flow",
    "Inputs",
    "Prediction",
    "Trajectory",
    "check_flow",
    "check_flow_target",
    "check_score",
    "describe_misfit",
    "fingerprint",
    "predict_cells",
]
