"""The fitted object: a velocity field with its clock, on disk without pickles."""

from cellflow.flow.corrector import Guided, guide
from cellflow.flow.flow import Context, Flow
from cellflow.flow.storage import check_flow_target

__all__ = ["Context", "Flow", "Guided", "check_flow_target", "guide"]
