"""Guidance of a flow of images by a weaker one: which may guide which, and the way of a batch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cellflow._checks import check_positive, listed
from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Condition, Points, Rows, VelocityField
from cellflow.flow import Flow, Guided, guide
from cellflow.images.encoders import Encoder
from cellflow.images.space import ImageSpace

#: Strength of the guidance where none is given, as in the paper's figure.
_GAMMA = 2.0


@dataclass(frozen=True)
class Guidance:
    """What leads samples of a flow away from a weaker one.

    Attributes
    ----------
    weak, space
        The weaker flow, and its space.
    gamma
        Strength.
    n_trajectories
        Trajectories that each image is drawn from.
    marks
        Uniform draws, one an image, which decide between them.
    """

    weak: Flow
    space: ImageSpace
    gamma: float
    n_trajectories: int
    marks: Rows

    def carried(
        self,
        flow: Flow,
        condition: Condition | None,
        starts: Points,
        rows: Tensor,
        labels: Tensor,
        times: Sequence[float],
        **options: Any,
    ) -> Guided:
        """Images `rows`, of these classes; each row of `starts` has noise for all trajectories."""
        r = self.n_trajectories
        return guide(
            _velocity(flow, condition, r),
            _velocity(self.weak, self.space.condition(labels), r),
            starts.reshape(len(starts), r, -1).to(flow.device),
            self.marks[rows].to(flow.device),
            times,
            gamma=self.gamma,
            **options,
        )

    @property
    def named(self) -> str:
        """What is added to the name of the solver."""
        return f", guidance {self.gamma:g} of {self.n_trajectories}"


def guidance_of(
    flow: Flow,
    space: ImageSpace,
    weak: Flow | None,
    gamma: float | None,
    n_trajectories: int,
    encoder: Encoder | None,
    marks: Rows,
) -> Guidance | None:
    """The guidance that the arguments of `sample` ask for, refused where it has no meaning."""
    if weak is None:
        if gamma is not None or n_trajectories != 1:
            raise InputError("guidance and n_trajectories need the weak flow that they lead from")
        return None
    check_positive(n_trajectories, "n_trajectories")
    gamma = _GAMMA if gamma is None else gamma
    if not math.isfinite(gamma):
        raise InputError(f"guidance must be a finite number, got {gamma}")
    other = ImageSpace.of(weak, encoder)
    _check_pair(flow, space, weak, other)
    if n_trajectories > 1:
        _check_weights(flow, weak)
    return Guidance(weak, other, gamma, n_trajectories, marks)


def _velocity(flow: Flow, condition: Condition | None, r: int) -> VelocityField:
    if condition is not None:
        condition = condition.repeat_interleave(r, dim=0).to(flow.device)
    return lambda t, x: flow.velocity(t, x, condition)


def _check_pair(flow: Flow, space: ImageSpace, weak: Flow, other: ImageSpace) -> None:
    """Refuse two flows that do not move the same points from the same noise."""
    for each in (flow, weak):
        if "average" in each.nets.roles:
            raise InputError(
                "guidance adds up velocities, and a flow of average velocities (mean-flow) has "
                "none on the way; take flows that learn a velocity"
            )
    if other.source != "noise":
        raise InputError(
            f"the weak flow starts from images of {other.source}, and guidance needs one noise"
        )
    if other.low_res is not None:
        raise InputError("the weak flow makes images of low resolutions; take one that does not")
    mine, theirs = ((each.shape, each.kind) for each in (space, other))
    arrays, others = space.context.arrays, other.context.arrays
    if mine != theirs or any(not torch.equal(arrays[name], others[name]) for name in arrays):
        raise InputError(
            f"both flows must live in one space: this one has images of shape {space.shape} as "
            f"{space.kind}, the weak one {other.shape} as {other.kind}"
            + (", with other components" if mine == theirs else "")
        )
    if flow.dim != weak.dim:
        raise InputError(f"this flow has {flow.dim} dimensions, the weak one {weak.dim}")
    if other.classes and other.classes != space.classes:
        raise InputError(
            f"the weak flow knows the classes {listed(other.classes)}, this one "
            f"{listed(space.classes) or 'none'}; the weak one may know the same, or none"
        )
    if flow.device != weak.device:
        raise InputError(f"this flow is on {flow.device}, the weak one on {weak.device}")


def _check_weights(flow: Flow, weak: Flow) -> None:
    """Refuse paths on which weights mean nothing; warn where they are not exact."""
    near = []
    for name, each in (("this flow", flow), ("the weak flow", weak)):
        method = each.settings["method"]
        if method["path"] not in ("straight", "target"):
            raise InputError(
                f"weights of trajectories are known on straight paths, and {name} was trained on "
                f"path {method['path']!r}; take n_trajectories=1, which is guidance without them"
            )
        drawn_apart = method["coupling"] == "independent" or method["path"] == "target"
        if not drawn_apart and (method["coupling"] != "semidiscrete" or method["epsilon"]):
            near.append(f"{name} has coupling {method['coupling']!r}")
        if method["sigma"]:
            near.append(f"{name} has paths with noise, sigma {method['sigma']:g}")
    if near:
        warnings.warn(
            f"{'; '.join(near)}: the weights of trajectories are exact for independent pairs, or "
            "semidiscrete ones without entropy, on paths without noise, and approximate here",
            CellflowWarning,
            stacklevel=4,
        )
