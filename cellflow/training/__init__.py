"""The loop that minimises objectives, and the way from populations in time to a flow."""

from cellflow.training.checkpoints import Checkpoint
from cellflow.training.comparison import compared
from cellflow.training.devices import resolve_device
from cellflow.training.fine_tuning import settings_after, sigma_after
from cellflow.training.fit import Job, fit_flow
from cellflow.training.loop import minimise
from cellflow.training.parallel import Crew, joined, launch
from cellflow.training.precompute import Found, precompute
from cellflow.training.progress import Look

__all__ = [
    "Checkpoint",
    "Crew",
    "Found",
    "Job",
    "Look",
    "compared",
    "fit_flow",
    "joined",
    "launch",
    "minimise",
    "precompute",
    "resolve_device",
    "settings_after",
    "sigma_after",
]
