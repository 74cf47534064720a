"""How straight a flow is and what it reaches, before and after a fine-tuning."""

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
from cellflow.training.parallel import Crew

#: Points that are carried, as many at once as memory is sure to hold, frames, and the seed.
_POINTS, _AT_ONCE, _FRAMES, _SEED = 512, 256, 21, 0

#: What is measured, as it is told.
_WORDS = {"path_energy": "path energy", "npe": "NPE", "w2": "W2 to the data"}


def compared(before: Flow, after: Flow, marginals: Marginals) -> Flow:
    """Tell in one line what changed; the later flow with the numbers in its record.

    They are means over the intervals: `path_energy` and `npe`, the relative excess of it over the
    squared W2 of the ends of the paths, and `w2`, between the points that are carried and as many
    real ones.
    """
    numbers = {"before": measured(before, marginals), "after": measured(after, marginals)}
    told = (
        f"{words} {numbers['before'][name]:.4g} -> {numbers['after'][name]:.4g}"
        for name, words in _WORDS.items()
    )
    if Crew.here().leads:
        log_info(f"{', '.join(told)} (before -> after, {_POINTS} points)")
    return replace(after, record=replace(after.record, fine_tuning=numbers))


def measured(flow: Flow, marginals: Marginals) -> dict[str, float]:
    """Path energy, its relative excess, and W2 to the data, means over the intervals."""
    generator = torch_generator(_SEED)
    rows = [_interval(flow.nets, *ends, span, generator) for ends, span in marginals.intervals]
    return {name: sum(row[name] for row in rows) / len(rows) for name in _WORDS}


def _interval(
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
    reached, wanted = (Cloud.of(x.numpy()) for x in (paths[-1], real.x))
    return {
        "path_energy": energy,
        # What does not move is optimal, and has no distance to be a multiple of.
        "npe": normalized_path_energy(paths, times) if energy else 0.0,
        "w2": wasserstein(reached, wanted, power=2),
    }


def _paths(nets: Fields, x: Points, condition: Condition | None, times: list[float]) -> Paths:
    """Where points are at all times, on the CPU."""
    device = next(nets.parameters()).device
    parts = []
    for rows in torch.split(torch.arange(len(x)), _AT_ONCE):
        mine = None if condition is None else condition[rows].to(device)
        velocity = partial(_velocity, nets, mine)
        path = solve(velocity, x[rows].to(device), times, solver="midpoint", n_steps=1).x
        parts.append(path.float().cpu())
    return torch.cat(parts, dim=1)


def _velocity(nets: Fields, condition: Condition | None, t: Rows, x: Points) -> Points:
    return nets.velocity(t, x, condition)
