"""Tools: fit a flow, predict and follow cells, score predictions on held-out times.

- Fit a flow: `fit`; make its paths straighter: `finetune`.
- Predict the cells of any time: `interpolate`; move chosen cells: `push`, `pull`, `trajectories`.
- Follow descent: `fates`, `ancestors`, `descendants`, `transitions`; hand it on: `to_cellrank`.
- Velocity and genes: `velocity`, `gene_trends`, `drivers`, `growth`.
- Place and trust cells: `pseudotime`, `landscape`, `uncertainty`.
- Compare conditions: `compare`.
- Evaluate: `holdout`, `benchmark`; group by group: `regions`.
"""

from cellflow.tl._benchmark import benchmark
from cellflow.tl._cellrank import to_cellrank
from cellflow.tl._compare import compare
from cellflow.tl._drivers import drivers
from cellflow.tl._fates import fates
from cellflow.tl._finetune import finetune
from cellflow.tl._fit import fit
from cellflow.tl._gene_trends import gene_trends
from cellflow.tl._growth import growth
from cellflow.tl._holdout import holdout
from cellflow.tl._interpolate import interpolate
from cellflow.tl._landscape import landscape
from cellflow.tl._pseudotime import pseudotime
from cellflow.tl._push import pull, push
from cellflow.tl._regions import regions
from cellflow.tl._relatives import ancestors, descendants
from cellflow.tl._trajectories import trajectories
from cellflow.tl._transitions import transitions
from cellflow.tl._uncertainty import uncertainty
from cellflow.tl._velocity import velocity

__all__ = [
    "ancestors",
    "benchmark",
    "compare",
    "descendants",
    "drivers",
    "fates",
    "finetune",
    "fit",
    "gene_trends",
    "growth",
    "holdout",
    "interpolate",
    "landscape",
    "pseudotime",
    "pull",
    "push",
    "regions",
    "to_cellrank",
    "trajectories",
    "transitions",
    "uncertainty",
    "velocity",
]
