"""A fitted flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellflow._typing import Points, Rows
from cellflow.flow.storage import Stored, fingerprint, read_folder, write_folder
from cellflow.integrate import Solution, solve
from cellflow.marginals import TimeAxis
from cellflow.nets import VelocityMLP


@dataclass(frozen=True)
class Context:
    """What a caller needs to use a flow later; kept with it, never read by the flow.

    Attributes
    ----------
    settings
        Plain JSON values.
    arrays
        Named tensors.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """A velocity field fitted to a time course.

    Attributes
    ----------
    net
        The velocity v(t, x) in flow time.
    axis
        The clock: elapsed time to flow time.
    settings
        How it was fitted: coupling, recipe, seed, versions.
    history
        Loss curve: `step` and the mean `loss` of the steps since the one before.
    context
        What the caller attached, such as the map between genes and representation.
    """

    net: VelocityMLP
    axis: TimeAxis
    settings: Mapping[str, Any]
    history: Mapping[str, Sequence[float]]
    context: Context = Context()

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return self.net.centre.device

    @property
    def dim(self) -> int:
        """Dimensions of the points that it moves."""
        return len(self.net.centre)

    @property
    def fingerprint(self) -> str:
        """Digest of the weights: equal for equal nets."""
        return fingerprint(self.net.state_dict())

    @property
    def time_key(self) -> str | None:
        """Column of `obs` that the times were read from, where it was fitted to an AnnData."""
        return self.context.settings.get("time_key")

    def velocity(self, t: Rows, x: Points) -> Points:
        """Velocity at flow times `t`, shape (n,), and positions `x`, shape (n, d)."""
        return self.net(t, x)

    def trajectory(self, x: Points, times: Sequence[float], **options: Any) -> Solution:
        """Carry points through elapsed `times`, forward or backward; the first is their own.

        Options are those of `cellflow.integrate.solve`.
        """
        moments = [self.axis.to_flow(time) for time in times]
        return solve(self.velocity, x.to(self.device), moments, **options)

    def push(self, x: Points, start: float, stop: float, **options: Any) -> Points:
        """Where points at elapsed time `start` are at elapsed time `stop`, shape (n, d)."""
        return x if start == stop else self.trajectory(x, [start, stop], **options).end

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the flow as a folder of safetensors and JSON, whole or not at all.

        Raises
        ------
        FileError
            If `path` cannot be written, exists while `overwrite` is off, or is anything other
            than an older flow.
        """
        weights = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        arrays = {f"context.{name}": value for name, value in self.context.arrays.items()}
        description = {
            "net": self.net.settings,
            "axis": {"kind": self.axis.kind, "times": list(self.axis.times)},
            "settings": dict(self.settings),
            "history": {name: list(values) for name, values in self.history.items()},
            "context": dict(self.context.settings),
        }
        write_folder(Path(path), Stored(description, weights | arrays), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Flow:
        """Read a flow that `save` wrote.

        Raises
        ------
        FileError
            If the folder is missing, incomplete, altered, of another schema, or no flow at all.
        """
        stored = read_folder(Path(path))
        description = stored.description
        net = VelocityMLP(**description["net"])
        net.load_state_dict(_under("net.", stored.tensors))
        axis = description["axis"]
        return cls(
            net=net.to(device).eval(),
            axis=TimeAxis(axis["kind"], tuple(axis["times"])),
            settings=description["settings"],
            history=description["history"],
            context=Context(description["context"], _under("context.", stored.tensors)),
        )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
