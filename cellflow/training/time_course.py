"""The coupling of a time course: one for each interval, within labels where there are any."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard

import torch
from torch import Tensor

from cellflow._batch import Interval
from cellflow._checks import format_list
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import log_info
from cellflow.couplings import (
    Coupling,
    IndependentCoupling,
    MixtureCoupling,
    default_delta,
)
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.methods.method import Method
from cellflow.methods.parts import COUPLINGS, PATHS
from cellflow.training.build import Build
from cellflow.training.couplings import BUILDERS, Side


def course_coupling(build: Build, marginals: Marginals) -> Coupling:
    """One coupling for a time course, each interval equally often."""
    _check_columns(build.method, marginals)
    return MixtureCoupling([_interval(build, *ends, span) for ends, span in marginals.intervals])


def _check_columns(method: Method, marginals: Marginals) -> None:
    """Refuse what is known of the cells where the coupling would not see it."""
    cells = marginals.finite[0].stored
    part = COUPLINGS[method.coupling]
    if len(marginals.finite) < len(marginals.populations) and not (
        part.takes_noise and PATHS[method.path].takes_noise
    ):
        couplings, paths = (
            format_list(name for name, each in parts.items() if each.takes_noise)
            for parts in (COUPLINGS, PATHS)
        )
        raise InputError(
            f"coupling {method.coupling!r} with path {method.path!r} needs points at both ends, "
            f"and the source is noise; for noise take a coupling of {couplings} "
            f"and a path of {paths}"
        )
    for column, seen, what in (
        (cells.features, part.sees_costs, "costs on other coordinates (cost_rep)"),
        (cells.clones, part.sees_clones, "clones (lineage_key)"),
    ):
        if column is not None and not seen:
            raise InputError(f"coupling {method.coupling!r} does not see {what}; leave them out")
    if cells.features is not None and method.coupling == "entropic" and method.epsilon is None:
        raise InputError(
            "coupling 'entropic' takes epsilon from sigma, a length of the coordinates that paths "
            "live in; with costs on others (cost_rep) give epsilon"
        )


def _interval(build: Build, source: Side, target: Side, span: Interval) -> Coupling:
    """The coupling of an interval; where points have labels, among those of one label."""
    assert isinstance(target, Population)
    if isinstance(source, Population) and source.rate is not None:
        source = source.scale_masses(torch.exp(source.rate * (span[1] - span[0])))
    if target.label is None:
        return _pair(build, source, target, span)
    if isinstance(source, Gaussian):
        return _noise_to_labels(build, source, target, span)
    if source.label is None:
        return _pair(build, source, target, span)
    labels = _common_labels(source, target, span)
    parts, shares = [], []
    for label in labels:
        before, after = (_of_label(ends, label) for ends in (source, target))
        parts.append(_pair(build, before[0], after[0], span))
        # Where mass changes on the way, pairs are drawn by the mass of the source.
        growing = source.rate is not None or build.method.coupling == "wfr"
        shares.append(before[1] if growing else (before[1] + after[1]) / 2)
    return MixtureCoupling(parts, shares)


def _noise_to_labels(
    build: Build, source: Gaussian, target: Population, span: Interval
) -> Coupling:
    """All of the noise to the points of each label, so that noise says nothing of the label."""
    groups = labelled_parts(target)
    parts = [_pair(build, source, group, span) for _, group, _ in groups]
    return MixtureCoupling(parts, [share for *_, share in groups])


def labelled_parts(population: Population) -> list[tuple[int, Population, float]]:
    """Each label with its points and their share of the mass."""
    assert population.label is not None
    labels = sorted(set(population.label.tolist()))
    return [(label, *_of_label(population, label)) for label in labels]


def _common_labels(source: Population, target: Population, span: Interval) -> list[int]:
    """Labels with cells at both ends."""
    before, after = (
        set(ends.label.tolist())  # type: ignore[union-attr]
        for ends in (source, target)
    )
    where = f"the interval from flow time {span[0]:g} to {span[1]:g}"
    if not before & after:
        raise InputError(
            f"no label has cells at both ends of {where}, so nothing can be coupled within labels"
        )
    if before ^ after:
        warnings.warn(
            f"{len(before ^ after)} of {len(before | after)} labels have cells at one end of "
            f"{where} only; these cells are not coupled there",
            CellflowWarning,
            stacklevel=2,
        )
    return sorted(before & after)


def _of_label(population: Population, label: int) -> tuple[Population, float]:
    """The cells of one label and their share of the mass."""
    assert population.label is not None
    rows = torch.nonzero(population.label == label)[:, 0]
    return population[rows], float(population.masses[rows].sum())


def _pair(build: Build, source: Side, target: Population, span: Interval) -> Coupling:
    if build.method.path == "target":
        noise = Gaussian(build.centre[None], build.scale)
        return IndependentCoupling(source if isinstance(source, Gaussian) else noise, target, span)
    build = _on_costs(build, source, target)
    return BUILDERS[build.method.coupling](build, source, target, span)


def _on_costs(build: Build, *sides: Side) -> Build:
    """The build with the unit of costs on other coordinates: their spread in both populations."""
    features = [each.stored.features for each in sides if isinstance(each, Population)]
    if not _all_there(features):
        return build
    if not build.recipe.standardise:
        return replace(build, cost_scale=1.0)
    both = torch.cat(features)
    return replace(build, cost_scale=float((both - both.mean(dim=0)).square().mean()) or 1.0)


def _all_there(features: list[Tensor | None]) -> TypeGuard[list[Tensor]]:
    return all(each is not None for each in features)


def _tell_of_share(method: Method, marginals: Marginals) -> None:
    """Say where there are more cells than are coupled."""
    most, blocks = max(map(len, marginals.finite)), method.max_blocks
    if most > blocks * method.block_size:
        log_info(
            f"{most:,} cells at one time: {blocks} random blocks of {method.block_size:,} are "
            "coupled between two times; method setting max_blocks takes more"
        )


def wfr_length_scale(
    method: Method, marginals: Marginals, scale: float, generator: torch.Generator
) -> float:
    """Length scale of unbalanced transport: the one given, or what all intervals need."""
    _check_columns(method, marginals)
    if method.coupling == "wfr":
        _tell_of_share(method, marginals)
    if method.delta is not None or method.coupling != "wfr":
        return (method.delta or 1.0) * scale
    return default_delta(pairwise(marginals.finite), generator)
