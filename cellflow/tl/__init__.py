"""Tools: fit a flow, predict cells between the snapshots, score held-out times."""

from cellflow.tl._fit import fit
from cellflow.tl._holdout import holdout
from cellflow.tl._interpolate import interpolate

__all__ = ["fit", "holdout", "interpolate"]
