"""Fitting a flow to populations in time, and the trainer that minimises an objective."""

from cellflow.training.callbacks import EarlyStopping, Every, ProgressBar, Timer
from cellflow.training.checkpoints import Checkpoint, make_checkpoint
from cellflow.training.comparison import report_straightness
from cellflow.training.devices import resolve_device
from cellflow.training.fine_tuning import settings_after, sigma_after
from cellflow.training.fit import Job, fit_flow
from cellflow.training.parallel import ProcessGroup, launch, process_group
from cellflow.training.trainer import Callback, Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Every",
    "Job",
    "ProcessGroup",
    "ProgressBar",
    "Timer",
    "Trainer",
    "fit_flow",
    "launch",
    "make_checkpoint",
    "process_group",
    "report_straightness",
    "resolve_device",
    "settings_after",
    "sigma_after",
]
