"""Straightness of a flow and distance of its ends from the data, before and after fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from cellflow._batch import Interval
from cellflow._log import log_info
from cellflow._random import torch_generator
from cellflow._typing import Condition, Paths, Points, Rows
from cellflow.flow import Flow
from cellflow.integrate import solve
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.metrics import Cloud, wasserstein
from cellflow.metrics.straightness import normalized_path_energy, path_energy
from cellflow.nets import Fields
from cellflow.training.parallel import ProcessGroup

#: Number of points, points per chunk (for memory), times per path, and the seed.
_POINTS, _CHUNK, _FRAMES, _SEED = 512, 256, 21, 0

#: Names of the measures in messages.
_NAMES = {"path_energy": "path energy", "npe": "NPE", "w2": "W2 to the data"}


def report_straightness(before: Flow, after: Flow, marginals: Marginals) -> Flow:
    """Log how straightness changed; return the later flow with the measures in its record.

    The measures are means over the intervals: `path_energy`; `npe`, its relative excess over the
    squared W2 between the ends of the paths; and `w2`, between moved points and as many real
    ones.
    """
    numbers = {
        "before": measure_straightness(before, marginals),
        "after": measure_straightness(after, marginals),
    }
    changes = (
        f"{words} {numbers['before'][name]:.4g} -> {numbers['after'][name]:.4g}"
        for name, words in _NAMES.items()
    )
    if ProcessGroup.current().is_main:
        log_info(f"{', '.join(changes)} (before -> after, {_POINTS} points)")
    return replace(after, record=replace(after.record, fine_tuning=numbers))


def measure_straightness(flow: Flow, marginals: Marginals) -> dict[str, float]:
    """Return `path_energy`, `npe` and `w2` of a flow, means over the intervals."""
    generator = torch_generator(_SEED)
    rows = [
        _measure_interval(flow.nets, *ends, span, generator) for ends, span in marginals.intervals
    ]
    return {name: sum(row[name] for row in rows) / len(rows) for name in _NAMES}


def _measure_interval(
    nets: Fields,
    source: Population | Gaussian,
    target: Population | Gaussian,
    span: Interval,
    generator: torch.Generator,
) -> dict[str, float]:
    start, real = (each.to("cpu").sample(_POINTS, generator) for each in (source, target))
    condition = real.condition if start.condition is None else start.condition
    times = torch.linspace(*span, _FRAMES)
    paths = _paths(nets, start.x, condition, times.tolist())
    energy = path_energy(paths, times)
    moved, data = (Cloud.of(x.numpy()) for x in (paths[-1], real.x))
    return {
        "path_energy": energy,
        # Points that do not move are optimal, and their excess would be 0 / 0.
        "npe": normalized_path_energy(paths, times) if energy else 0.0,
        "w2": wasserstein(moved, data, power=2),
    }


def _paths(nets: Fields, x: Points, condition: Condition | None, times: list[float]) -> Paths:
    """Integrate points in chunks; return their positions at all times, on the CPU."""
    device = next(nets.parameters()).device
    chunks = []
    for rows in torch.split(torch.arange(len(x)), _CHUNK):
        mine = None if condition is None else condition[rows].to(device)
        velocity = partial(_velocity, nets, mine)
        path = solve(velocity, x[rows].to(device), times, solver="midpoint", n_steps=1).x
        chunks.append(path.float().cpu())
    return torch.cat(chunks, dim=1)


def _velocity(nets: Fields, condition: Condition | None, t: Rows, x: Points) -> Points:
    return nets.velocity(t, x, condition)
