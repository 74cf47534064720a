"""Which nets each objective of the settings trains, and how it is made."""

from __future__ import annotations

from collections.abc import Callable

from cellflow._errors import InputError
from cellflow.marginals import Gaussian, Marginals
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.methods.sizes import DenoiserSizes
from cellflow.objectives import (
    EDM,
    AccelerationRegression,
    LogitNormal,
    MeanFlow,
    Objective,
    VelocityRegression,
    uniform_times,
)
from cellflow.paths import HermitePath, Path
from cellflow.training.build import Build

#: Fields that each objective of `cellflow.methods.parts.OBJECTIVES` learns.
ROLES: dict[str, tuple[str, ...]] = {
    "velocity": ("velocity",),
    "velocity-score": ("velocity", "score"),
    "growth": ("velocity", "growth"),
    "mean-flow": ("average",),
    "oat": ("velocity",),
    "edm": ("velocity",),
}


def _regression(build: Build, path: Path) -> Objective:
    return VelocityRegression(path, build.method.score_weight, build.method.growth_weight)


def _mean_flow(build: Build, path: Path) -> Objective:
    method = build.method
    times = (
        LogitNormal(method.logit_mean, method.logit_std)
        if method.mean_times == "logit-normal"
        else uniform_times
    )
    return MeanFlow(
        path, method.anchored, method.mean_power, method.mean_offset, build.scale, times
    )


def _oat(build: Build, path: Path) -> Objective:
    if build.method.oat_target == "hermite":
        return VelocityRegression(HermitePath(build.sigma))
    return AccelerationRegression(path, build.method.oat_alpha)


def _edm(build: Build, path: Path) -> Objective:
    net, method = build.recipe.net, build.method
    # Nets without scalings of their own leave the weights in units of the points.
    sigma_data = net.sigma_data if isinstance(net, DenoiserSizes) else build.scale
    return EDM(path, method.p_mean, method.p_std, sigma_data)


#: How each objective is made.
BUILDERS: dict[str, Callable[[Build, Path], Objective]] = {
    "velocity": _regression,
    "velocity-score": _regression,
    "growth": _regression,
    "mean-flow": _mean_flow,
    "oat": _oat,
    "edm": _edm,
}


def from_noise(marginals: Marginals) -> bool:
    """Whether a flow starts at time 0 from standard normal noise and ends at time 1."""
    source = marginals.populations[0]
    return (
        isinstance(source, Gaussian)
        and source.scale == 1
        and not source.centre.any()
        and marginals.times == (0.0, 1.0)
    )


def check_source(method: Method, recipe: Recipe, marginals: Marginals) -> None:
    """Refuse to denoise where no noise is.

    Raises
    ------
    InputError
        For objective or net `edm` with points, or noise of another place or width, as the source,
        and for the net on paths that are not straight.
    """
    what = "objective 'edm'" if method.objective == "edm" else "net 'edm'"
    if method.objective != "edm" and not recipe.net.denoises:
        return
    if not from_noise(marginals):
        raise InputError(
            f"{what} denoises: its source is standard normal noise, as that of images, and not "
            "cells or images of another time or set"
        )
    if method.path != "straight":
        raise InputError(f"{what} denoises on path 'straight', not on {method.path!r}")
