"""The fitted objects: a velocity field with its clock, a discriminator; on disk without pickles."""

from cellflow.flow.flow import Context, Flow
from cellflow.flow.storage import check_flow_target, fingerprint

__all__ = [
    "Context",
    "Flow",
    "check_flow_target",
    "fingerprint",
]
