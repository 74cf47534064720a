"""Tools: fit and fine-tune a flow, predict cells and follow them, score held-out times."""

from cellflow.tl._benchmark import benchmark
from cellflow.tl._fates import fates
from cellflow.tl._finetune import finetune
from cellflow.tl._fit import fit
from cellflow.tl._holdout import holdout
from cellflow.tl._interpolate import interpolate
from cellflow.tl._push import pull, push
from cellflow.tl._relatives import ancestors, descendants
from cellflow.tl._trajectories import trajectories
from cellflow.tl._transitions import transitions

__all__ = [
    "ancestors",
    "benchmark",
    "descendants",
    "fates",
    "finetune",
    "fit",
    "holdout",
    "interpolate",
    "pull",
    "push",
    "trajectories",
    "transitions",
]
