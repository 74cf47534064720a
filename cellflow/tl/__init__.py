"""Tools: fit a flow and fine-tune it, predict cells between the snapshots, score held-out times."""

from cellflow.tl._benchmark import benchmark
from cellflow.tl._finetune import finetune
from cellflow.tl._fit import fit
from cellflow.tl._holdout import holdout
from cellflow.tl._interpolate import interpolate
from cellflow.tl._velocity import velocity

__all__ = ["benchmark", "finetune", "fit", "holdout", "interpolate", "velocity"]
