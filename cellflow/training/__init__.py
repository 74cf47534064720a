"""The loop that minimises objectives, and the way from populations in time to a flow."""

from cellflow.training.checkpoints import Checkpoint
from cellflow.training.comparison import compared
from cellflow.training.devices import resolve_device
from cellflow.training.fine_tuning import settings_after, sigma_after
from cellflow.training.fit import Job, fit_flow
from cellflow.training.loop import minimise
from cellflow.training.parallel import Crew, joined, launch
from cellflow.training.progress import Look

__all__ = [
    "Checkpoint",
    "Crew",
    "Job",
    "Look",
    "compared",
    "fit_flow",
    "joined",
    "launch",
    "minimise",
    "resolve_device",
    "settings_after",
    "sigma_after",
]
