"""The fitted object: a velocity field with its clock, on disk without pickles."""

from cellflow.flow.flow import Context, Flow

__all__ = ["Context", "Flow"]
