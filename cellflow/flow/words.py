"""What a fitted flow says of itself at a prompt: a few lines, in the manner of AnnData."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from cellflow.marginals import TimeAxis
from cellflow.nets import Fields

#: Parts of a method, in the order in which they are told.
_PARTS = ("coupling", "path", "objective")


def flow_in_words(
    nets: Fields, axis: TimeAxis, settings: Mapping[str, Any], fingerprint: str
) -> str:
    """Size and times, the parts of the method, the nets, and how they were trained."""
    times = f"{len(axis.times)} times from {axis.times[0]:g} to {axis.times[-1]:g}"
    covariates = f", {nets.condition_dim} covariates" if nets.condition_dim else ""
    method, recipe = (settings.get(name, {}) for name in ("method", "recipe"))
    parts = [f"{name} {method[name]['name']}" for name in _PARTS if name in method]
    fitted = [f"{recipe['n_steps']:,} steps"] if "n_steps" in recipe else []
    fitted += [f"{name} {settings[name]}" for name in ("seed", "device") if name in settings]
    lines = {
        "method": ", ".join(parts),
        "nets": f"{', '.join(nets.roles)}; {weights_of(nets):,} weights",
        "fitted": ", ".join(fitted),
        "id": fingerprint,
    }
    told = "".join(f"\n    {name}: {text}" for name, text in lines.items() if text)
    return f"Flow of {nets.dim} dimensions, {times} ({axis.kind} clock){covariates}{told}"


def weights_of(net: nn.Module) -> int:
    """Number of weights that are trained."""
    return sum(weight.numel() for weight in net.parameters())
