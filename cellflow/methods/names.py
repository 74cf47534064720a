"""Names that users choose from, each with a summary."""

from __future__ import annotations

TIME_AXES = {
    "learned": "from how far cells move, and how much they slow down",
    "real": "proportional to elapsed time",
    "index": "one unit per interval",
}

EXPRESSION_KINDS = {
    "auto": "detected from the values",
    "counts": "counts, whole or corrected (SoupX, CellBender, alevin, RSEM)",
    "linear": "CPM, TPM, FPKM and other values on a linear scale",
    "normalised": "log-normalised values",
    "other": "any other values, such as proteins or residuals, used as they are",
}

STARTS = {
    "both": "cells of both neighbouring time points, the nearer weighted higher",
    "previous": "cells of the previous time point only",
}

#: Cells that a held-out time is predicted from.
HELD_OUT_STARTS = {
    **STARTS,
    "first": "cells of the first time point, moved through all that follow, as WFR-FM is published",
}

TRANSITION_ESTIMATORS = {
    "bridge": "products of entropic transport plans between consecutive time points, whose rows "
    "spread over the cells that the data cannot tell apart",
    "flow": "cells are moved along the flow and matched to the nearest measured cells",
    "coupling": "products of exact transport plans between consecutive time points",
}

TRANSITION_DIRECTIONS = {
    "forward": "descendants of earlier groups; rows of a source sum to one over its targets",
    "backward": "ancestors of later groups; rows of a target sum to one over its sources",
}

#: Pairs of times that `tl.transitions` tabulates.
TIME_PAIRS = {
    "consecutive": "each time and the next",
    "all": "each time and every later one",
}

RECIPES = {
    "default": "the recipe of this package",
    "torchcfm": "all settings of TorchCFM's single-cell runner",
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
    "correlation": "correlation of expression with the probability of each fate",
    "velocity": "mean change of each gene along the flow",
    "jacobian": "effect of the level of one gene on the change of another",
}

#: What `tl.compare` compares between conditions.
COMPARISONS = {
    "populations": "distance between the populations at each time, and when they part",
    "fates": "mean probability of each fate, or share of each group",
    "genes": "mean expression of each gene",
    "growth": "mean growth rate of cells",
}

#: Distances between populations that `tl.compare` tests.
POPULATION_DISTANCES = {
    "energy": "energy distance, which any difference between the populations raises",
    "means": "squared distance of the means, for shifts of whole populations",
}

#: Evidence of the growth of a population between two times, for couplings that change mass.
GROWTH_EVIDENCE = {
    "relative": "numbers of cells are not used, the total mass stays the same",
    "counts": "the population grows and shrinks with the number of cells",
    "rising": "as counts, but a drop in cell numbers is taken as fewer cells captured",
    "rates": "the population grows by the rates of its cells, from gene sets or a column",
}
