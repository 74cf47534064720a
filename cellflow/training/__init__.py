"""The loop that minimises objectives, and the way from populations in time to a flow."""

from cellflow.training.builders import (
    COUPLING_BUILDERS,
    OBJECTIVE_BUILDERS,
    PATH_BUILDERS,
    ground_cost,
)
from cellflow.training.checkpoints import Checkpoint
from cellflow.training.comparison import compared
from cellflow.training.context import Fit
from cellflow.training.devices import resolve_device
from cellflow.training.fine_tuning import settings_after, sigma_after
from cellflow.training.fit import fit_flow
from cellflow.training.loop import minimise
from cellflow.training.parallel import Crew, joined, launch
from cellflow.training.progress import Look

__all__ = [
    "COUPLING_BUILDERS",
    "OBJECTIVE_BUILDERS",
    "PATH_BUILDERS",
    "Checkpoint",
    "Crew",
    "Fit",
    "Look",
    "compared",
    "fit_flow",
    "ground_cost",
    "joined",
    "launch",
    "minimise",
    "resolve_device",
    "settings_after",
    "sigma_after",
]
