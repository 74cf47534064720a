"""Names that users choose from, each with a summary."""

from __future__ import annotations

TIME_AXES = {
    "learned": "from log time and how far the cells move",
    "real": "elapsed time, in proportion",
    "index": "time points counted 0, 1, 2, ...",
}

EXPRESSION_KINDS = {
    "auto": "what the values look like",
    "counts": "whole numbers, to be normalised and log-transformed",
    "normalised": "on a logarithmic scale already",
    "other": "anything else, scaled as it is",
}

STARTS = {
    "both": "cells of both neighbouring times, carried forward and backward, the nearer weigh more",
    "previous": "cells of the time before, carried forward",
}

TRANSITION_ESTIMATORS = {
    "flow": "cells are carried along the flow, and the nearest cells of the other time vote",
    "coupling": "optimal transport plans between consecutive times, multiplied; no net",
}

RECIPES = {
    "default": "the recipe of this package",
    "torchcfm": "every number of the reference implementation's single-cell runner",
}

#: Methods of other packages that `tl.benchmark` compares with.
EXTERNAL_METHODS = {
    "torchcfm:ot-cfm": "OT-CFM by TorchCFM, with the recipe of its single-cell runner",
    "torchcfm:i-cfm": "I-CFM by TorchCFM, with the recipe of its single-cell runner",
}

#: Solvers that apply to any flow.
ODE_SOLVERS = {
    "euler": "fixed steps, one evaluation each",
    "midpoint": "fixed steps, two evaluations each",
    "rk4": "fixed steps, four evaluations each",
    "edm-heun": "fixed steps of EDM, two evaluations each but the last, one; from noise only",
    "dopri5": "adaptive, order 5",
    "dopri8": "adaptive, order 8",
    "bosh3": "adaptive, order 3",
    "adaptive_heun": "adaptive, order 2",
}

SOLVERS = {
    **ODE_SOLVERS,
    "average": "fixed steps of learned average velocities, one evaluation each; mean flows only",
}

#: Ways to rank genes.
RANKINGS = {
    "correlation": "of expression with the probability of each fate",
    "velocity": "mean change of each gene along the flow, by group",
    "jacobian": "how the change of one gene depends on the level of another, by group",
}

#: How coupling `wfr` reads numbers of cells.
WFR_GROWTH = {
    "learned": "populations grow by their numbers of cells",
    "rising": "as learned, but fewer cells than before are taken for fewer captured",
    "relative": "as learned, whatever the numbers of cells at each time",
}
