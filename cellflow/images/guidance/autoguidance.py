"""Guidance by two velocities from one noise, and the corrector: trajectories drawn by weight."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import check_positive, format_list
from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Condition, Points, Rows, VelocityField
from cellflow.flow import Flow
from cellflow.images.encoders import Encoder
from cellflow.images.space import ImageSpace
from cellflow.integrate import Solution, solve, solve_augmented
from cellflow.methods.parts import SemidiscreteSettings


@dataclass(frozen=True)
class Guided(Solution):
    """One trajectory of each group, drawn by weight.

    Attributes
    ----------
    x
        Positions of those that were drawn, shape (t, n, d).
    nfe
        Evaluations of velocities behind each of them: both velocities, all of its group.
    log_weights
        Of all trajectories at the last time, but for a constant a group, shape (n, r).
    """

    log_weights: Float[Tensor, "n r"]

    @property
    def effective(self) -> float:
        """Effective number of trajectories in a group, 1 / sum of squared shares; the mean."""
        shares = self.log_weights.double().softmax(dim=1)
        return float((1 / shares.square().sum(dim=1)).mean())


@torch.no_grad()
def guide(
    velocity: VelocityField,
    weak: VelocityField,
    starts: Float[Tensor, "n r d"],
    marks: Rows,
    times: Sequence[float],
    *,
    gamma: float,
    softening: float = 0.01,
    **options: Any,
) -> Guided:
    """Carry noise along gamma v1 + (1 - gamma) v2, and keep one of each r trajectories.

    With r = 1 that is guidance as it is common, and what it samples has no simple law. With more,
    log-weights grow on the way at `guidance_rate` and one of each group is drawn by them, which
    leads to rho1^gamma rho2^(1 - gamma), scaled to a density, as r grows (Mousavi-Hosseini et al.
    2025, arXiv 2509.25519, proposition 4): exactly so for straight paths between noise and data
    drawn apart, or coupled by semidiscrete transport without entropy.

    The rate has a factor t / (1 - t). Exact velocities agree at time 1, so that it falls to zero
    there as 1 - t does. Those of nets do not quite agree, and their weights would grow without
    bound, so 1 / (1 - t) is softened.

    Parameters
    ----------
    velocity, weak
        v1 and v2, from standard normal noise at time 0.
    starts
        Noise, r starts for each wanted point, shape (n, r, d).
    marks
        Uniform draws from [0, 1) that decide which of a group is kept, shape (n,).
    times
        Flow times from 0; one position is kept for each. Weights are those at the last.
    gamma
        Strength; 1 follows v1 alone, over 1 leads away from v2.
    softening
        s: 1 / (1 - t) becomes (1 - t) / ((1 - t)^2 + s^2), which is hardly another before time
        1 - s and falls to zero after it. Log-weights of exact velocities change in proportion to
        s^2 log(1 / s).
    options
        Of `cellflow.integrate.solve`.

    Returns
    -------
    The trajectories that were kept, and the weights of all.

    Raises
    ------
    InputError
        For more than one trajectory with solver `edm-heun`, which carries no weights.
    """
    n, r, _ = starts.shape
    field = partial(_guided, velocity, weak, gamma, softening)
    if r == 1:
        solution = solve(lambda t, x: field(t, x)[0], starts[:, 0], times, **options)
        return Guided(solution.x, 2 * solution.nfe, starts.new_zeros((n, 1)))
    if options.get("solver") == "edm-heun":
        raise InputError(
            "solver 'edm-heun' carries no weights, which draw one of several trajectories; take "
            "another, such as 'midpoint', or one trajectory"
        )
    solution, gained = solve_augmented(field, starts.flatten(0, 1), times, **options)
    log_weights = gained[-1].reshape(n, r)
    rows = torch.arange(n, device=starts.device) * r + _drawn(log_weights, marks)
    return Guided(solution.x[:, rows], 2 * r * solution.nfe, log_weights)


def guidance_rate(
    t: Rows,
    velocity: Points,
    other: Points,
    gamma: float,
    *,
    scale: float = 1.0,
    softening: float = 0.0,
) -> Rows:
    """Rate of the log-weight of a trajectory guided by v = gamma v1 + (1 - gamma) v2, shape (n,).

    gamma (gamma - 1) t / (scale^2 (1 - t)) |v1 - v2|^2: with trajectories drawn again by the
    weights that it grows to, x_1 follows rho1^gamma rho2^(1 - gamma), of the laws that the two
    velocities lead to (arXiv 2509.25519, proposition 4).

    Parameters
    ----------
    t
        Times, shape (n,), below 1.
    velocity, other
        v1 and v2 at the same points, shape (n, d), from the same noise, without entropy or
        between independent ends.
    gamma
        Strength of the guidance; over 1 it leads away from `other`.
    scale
        Standard deviation of the noise.
    softening
        s > 0 takes (1 - t) / ((1 - t)^2 + s^2) for 1 / (1 - t), so that t may be 1.
    """
    gap = (velocity - other).square().sum(dim=1)
    left = (1 - t) / ((1 - t).square() + softening**2) if softening else 1 / (1 - t)
    return gamma * (gamma - 1) * t * left / scale**2 * gap


def _guided(
    velocity: VelocityField,
    weak: VelocityField,
    gamma: float,
    softening: float,
    t: Rows,
    x: Points,
) -> tuple[Points, Rows]:
    """Velocity of the trajectories and rate of their log-weights."""
    first, second = velocity(t, x), weak(t, x)
    rate = guidance_rate(t, first, second, gamma, softening=softening)
    return gamma * first + (1 - gamma) * second, rate


def _drawn(log_weights: Float[Tensor, "n r"], marks: Rows) -> Tensor:
    """Index into each row, drawn by its weights."""
    sums = log_weights.double().softmax(dim=1).cumsum(dim=1)
    # By rounding the sum of a row may be below its mark.
    index = torch.searchsorted(sums, marks.to(sums)[:, None], right=True)[:, 0]
    return index.clamp(max=log_weights.shape[1] - 1)


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
            f"the weak flow knows the classes {format_list(other.classes)}, this one "
            f"{format_list(space.classes) or 'none'}; the weak one may know the same, or none"
        )
    if flow.device != weak.device:
        raise InputError(f"this flow is on {flow.device}, the weak one on {weak.device}")


def _check_weights(flow: Flow, weak: Flow) -> None:
    """Refuse paths on which weights mean nothing; warn where they are not exact."""
    near = []
    for name, each in (("this flow", flow), ("the weak flow", weak)):
        coupling, path = each.method.coupling, each.method.path
        if not (path.is_straight or path.draws_source):
            raise InputError(
                f"weights of trajectories are known on straight paths, and {name} was trained on "
                f"path {path.name!r}; take n_trajectories=1, which is guidance without them"
            )
        exact = isinstance(coupling, SemidiscreteSettings) and not coupling.epsilon
        if not (exact or coupling.draws_apart or path.draws_source):
            near.append(f"{name} has coupling {coupling.name!r}")
        if path.sigma:
            near.append(f"{name} has paths with noise, sigma {path.sigma:g}")
    if near:
        warnings.warn(
            f"{'; '.join(near)}: the weights of trajectories are exact for independent pairs, or "
            "semidiscrete ones without entropy, on paths without noise, and approximate here",
            CellflowWarning,
            stacklevel=4,
        )
