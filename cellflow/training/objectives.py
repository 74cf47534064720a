"""Which nets each objective of the settings trains, and how it is made."""

from __future__ import annotations

from collections.abc import Callable

from cellflow.objectives import MeanFlow, Objective, VelocityRegression
from cellflow.paths import Path
from cellflow.training.build import Build

#: Fields that each objective of `cellflow.methods.parts.OBJECTIVES` learns.
ROLES: dict[str, tuple[str, ...]] = {
    "velocity": ("velocity",),
    "velocity-score": ("velocity", "score"),
    "growth": ("velocity", "growth"),
    "mean-flow": ("average",),
}


def _regression(build: Build, path: Path) -> Objective:
    return VelocityRegression(path, build.method.score_weight, build.method.growth_weight)


def _mean_flow(build: Build, path: Path) -> Objective:
    return MeanFlow(path, build.method.anchored, unit=build.scale)


#: How each objective is made.
BUILDERS: dict[str, Callable[[Build, Path], Objective]] = {
    "velocity": _regression,
    "velocity-score": _regression,
    "growth": _regression,
    "mean-flow": _mean_flow,
}
