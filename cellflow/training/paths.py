"""How each path is made."""

from __future__ import annotations

from collections.abc import Callable

from cellflow.couplings import Coupling
from cellflow.marginals import Gaussian, Marginals
from cellflow.paths import (
    BridgePath,
    Path,
    StraightPath,
    TargetPath,
    VariancePreservingPath,
    WFRPath,
)
from cellflow.training.build import Build
from cellflow.training.geodesics import metric_path


def _straight(build: Build, _coupling: Coupling, _marginals: Marginals) -> Path:
    return StraightPath(build.sigma)


def _target(build: Build, _coupling: Coupling, marginals: Marginals) -> Path:
    source = marginals.populations[0]
    centre = source.centre[0] if isinstance(source, Gaussian) else build.centre
    return TargetPath(build.method.sigma, centre)


def _vp(build: Build, _coupling: Coupling, _marginals: Marginals) -> Path:
    return VariancePreservingPath(build.sigma, build.centre)


def _bridge(build: Build, _coupling: Coupling, _marginals: Marginals) -> Path:
    return BridgePath(build.sigma)


def _wfr(build: Build, _coupling: Coupling, _marginals: Marginals) -> Path:
    return WFRPath(build.delta, build.sigma)


#: How each path of `cellflow.methods.parts.PATHS` is made, given the coupling of the course.
BUILDERS: dict[str, Callable[[Build, Coupling, Marginals], Path]] = {
    "straight": _straight,
    "target": _target,
    "vp": _vp,
    "bridge": _bridge,
    "metric": metric_path,
    "wfr": _wfr,
}
