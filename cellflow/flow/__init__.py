"""The fitted objects: a velocity field with its clock, a discriminator; on disk without pickles."""

from cellflow.flow.corrector import Guided, guide
from cellflow.flow.discriminator import DISCRIMINATOR, Discriminator
from cellflow.flow.discriminator_guidance import DiscriminatorGuidance, LogRatio
from cellflow.flow.flow import Context, Flow, Trajectory
from cellflow.flow.storage import check_flow_target, fingerprint

__all__ = [
    "DISCRIMINATOR",
    "Context",
    "Discriminator",
    "DiscriminatorGuidance",
    "Flow",
    "Guided",
    "LogRatio",
    "Trajectory",
    "check_flow_target",
    "fingerprint",
    "guide",
]
