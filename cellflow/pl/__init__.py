"""Plotting: figures of predictions, paths, fates, genes and scores.

Each function takes `ax` and `show`, and returns its Axes. `save` writes them to a file.
"""

from cellflow.pl._animate import animate
from cellflow.pl._benchmark import benchmark
from cellflow.pl._canvas import save
from cellflow.pl._compare import compare
from cellflow.pl._fates import fates
from cellflow.pl._gene_trends import gene_trends
from cellflow.pl._growth import growth
from cellflow.pl._holdout import holdout
from cellflow.pl._image_scores import image_scores
from cellflow.pl._interpolation import interpolation
from cellflow.pl._landscape import landscape
from cellflow.pl._loss import loss
from cellflow.pl._sankey import sankey
from cellflow.pl._trajectories import trajectories
from cellflow.pl._transitions import transitions
from cellflow.pl._velocity import velocity_grid, velocity_quiver, velocity_stream

__all__ = [
    "animate",
    "benchmark",
    "compare",
    "fates",
    "gene_trends",
    "growth",
    "holdout",
    "image_scores",
    "interpolation",
    "landscape",
    "loss",
    "sankey",
    "save",
    "trajectories",
    "transitions",
    "velocity_grid",
    "velocity_quiver",
    "velocity_stream",
]
