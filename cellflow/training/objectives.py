"""Which nets each objective of the settings trains, and how it is made."""

from __future__ import annotations

from collections.abc import Callable

from cellflow.objectives import AccelerationRegression, MeanFlow, Objective, VelocityRegression
from cellflow.paths import HermitePath, Path
from cellflow.training.build import Build

#: Fields that each objective of `cellflow.methods.parts.OBJECTIVES` learns.
ROLES: dict[str, tuple[str, ...]] = {
    "velocity": ("velocity",),
    "velocity-score": ("velocity", "score"),
    "growth": ("velocity", "growth"),
    "mean-flow": ("average",),
    "oat": ("velocity",),
}


def _regression(build: Build, path: Path) -> Objective:
    return VelocityRegression(path, build.method.score_weight, build.method.growth_weight)


def _mean_flow(build: Build, path: Path) -> Objective:
    return MeanFlow(path, build.method.anchored, unit=build.scale)


def _oat(build: Build, path: Path) -> Objective:
    if build.method.oat_target == "hermite":
        return VelocityRegression(HermitePath(build.sigma))
    return AccelerationRegression(path, build.method.oat_alpha)


#: How each objective is made.
BUILDERS: dict[str, Callable[[Build, Path], Objective]] = {
    "velocity": _regression,
    "velocity-score": _regression,
    "growth": _regression,
    "mean-flow": _mean_flow,
    "oat": _oat,
}
