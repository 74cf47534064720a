"""Fitting a flow to populations in time, and the trainer that minimises an objective."""

from cellflow.training.builders import (
    COUPLING_BUILDERS,
    OBJECTIVE_BUILDERS,
    PATH_BUILDERS,
    ground_cost,
)
from cellflow.training.callbacks import EarlyStopping, Every, ProgressBar, Timer
from cellflow.training.checkpoints import Checkpoint, make_checkpoint
from cellflow.training.comparison import report_straightness
from cellflow.training.context import Fit
from cellflow.training.devices import resolve_device
from cellflow.training.fine_tuning import choose_sigma, resolve_fine_tuning
from cellflow.training.fit import check_prior_given, fit_flow
from cellflow.training.parallel import ProcessGroup, launch, process_group
from cellflow.training.time_course import check_side_columns
from cellflow.training.trainer import Callback, Trainer
from cellflow.training.transition_report import TransitionConflict, transition_conflicts

__all__ = [
    "COUPLING_BUILDERS",
    "OBJECTIVE_BUILDERS",
    "PATH_BUILDERS",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Every",
    "Fit",
    "ProcessGroup",
    "ProgressBar",
    "Timer",
    "Trainer",
    "TransitionConflict",
    "check_prior_given",
    "check_side_columns",
    "choose_sigma",
    "fit_flow",
    "ground_cost",
    "launch",
    "make_checkpoint",
    "process_group",
    "report_straightness",
    "resolve_device",
    "resolve_fine_tuning",
    "transition_conflicts",
]
