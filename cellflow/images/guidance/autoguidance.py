"""Autoguidance by a weaker flow, with importance weights that correct the distribution.

On x_t = (1 - t) x0 + t x1 the velocity v(t, x) = E[x1 - x0 | x_t = x] gives the score of x_t, and
with the scores of two flows the rate at which a guided trajectory gains weight.
"""

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
from cellflow.images.guidance import Integrate
from cellflow.images.space import ImageSpace
from cellflow.integrate import Solution, solve, solve_augmented
from cellflow.methods.parts import SemidiscreteSettings


@dataclass(frozen=True)
class Autoguidance:
    """Guidance of a flow by a weaker one: the velocity is gamma v + (1 - gamma) v_weak.

    Parameters
    ----------
    weak
        A flow from noise to points of the same space: one without classes, one that was trained
        for fewer steps, or a smaller one.
    gamma
        Strength: 1 is no guidance; above 1, samples are guided away from `weak`.
    n_trajectories
        With more than one, each image is drawn from so many trajectories with probability
        proportional to importance weights, so that images approach the density
        rho^gamma rho_weak^(1 - gamma). The weights are exact for straight
        paths without noise, of independent pairs or of semidiscrete ones without entropy.

    Raises
    ------
    InputError
        For a strength that is not finite, or less than one trajectory.

    References
    ----------
    Karras et al. 2024, arXiv 2406.02507; the weights: Mousavi-Hosseini et al. 2025, arXiv
    2509.25519, proposition 4.
    """

    weak: Flow
    gamma: float = 2.0
    n_trajectories: int = 1

    def __post_init__(self) -> None:
        check_positive(self.n_trajectories, "n_trajectories")
        if not math.isfinite(self.gamma):
            raise InputError(f"gamma must be a finite number, got {self.gamma}")

    @property
    def name(self) -> str:
        """Suffix of the solver's name in tables."""
        several = f":{self.n_trajectories}" if self.n_trajectories > 1 else ""
        return f"+ag:{self.gamma:g}{several}"

    def bind(
        self,
        flow: Flow,
        space: ImageSpace,
        *,
        encoder: Encoder | None,
        solver: str,
        n: int,
        generator: torch.Generator,
    ) -> Integrate:
        """Check the weaker flow against `flow`, and draw what selects among trajectories.

        Parameters
        ----------
        flow
            The flow that is guided.
        space
            Its space.
        encoder
            Your own encoder, for flows in its latents.
        solver
            Solver of the samples.
        n
            Number of images.
        generator
            Source of further random draws.

        Returns
        -------
        The integration of a batch.
        """
        weak_space = ImageSpace.of(self.weak, encoder)
        _check_pair(flow, space, self.weak, weak_space)
        if self.n_trajectories > 1:
            _check_solver(solver)
            _check_weights(flow, self.weak)
        uniforms = torch.rand(n, generator=generator)
        return partial(self._integrate, flow, weak_space, uniforms)

    def _integrate(
        self,
        flow: Flow,
        weak_space: ImageSpace,
        uniforms: Rows,
        condition: Condition | None,
        starts: Points,
        rows: Tensor,
        labels: Tensor,
        **options: Any,
    ) -> WeightedSolution:
        """Integrate images `rows`; each row of `starts` has the noise of all its trajectories."""
        r = self.n_trajectories
        return solve_autoguided(
            _velocity(flow, condition, r),
            _velocity(self.weak, weak_space.condition(labels), r),
            starts.reshape(len(starts), r, -1).to(flow.device),
            uniforms[rows].to(flow.device),
            gamma=self.gamma,
            **options,
        )


@dataclass(frozen=True)
class WeightedSolution(Solution):
    """One trajectory of each group, drawn with probability proportional to its weight.

    Attributes
    ----------
    x
        Positions of the trajectories drawn, shape (t, n, d).
    nfe
        Evaluations for each of them: both velocities, all trajectories of its group.
    log_weights
        Log-weights of all trajectories at the last time, up to a constant per group, shape (n, r).
    """

    log_weights: Float[Tensor, "n r"]

    @property
    def effective_size(self) -> float:
        """Effective sample size of a group, 1 / sum of squared shares; the mean over groups."""
        shares = self.log_weights.double().softmax(dim=1)
        return float((1 / shares.square().sum(dim=1)).mean())


@torch.no_grad()
def solve_autoguided(
    velocity: VelocityField,
    weak: VelocityField,
    starts: Float[Tensor, "n r d"],
    uniforms: Rows,
    times: Sequence[float],
    *,
    gamma: float,
    softening: float = 0.01,
    **options: Any,
) -> WeightedSolution:
    """Integrate gamma v + (1 - gamma) v_weak from noise, and draw one of each r trajectories.

    With r = 1 this is guidance without correction, whose samples follow no simple law. With more,
    log-weights grow at `guidance_rate` and one of each group is drawn by them, which leads to
    rho^gamma rho_weak^(1 - gamma), normalised, as r grows (Mousavi-Hosseini et al. 2025, arXiv
    2509.25519, proposition 4): exactly so for straight paths between noise and independent data,
    or data coupled by semidiscrete transport without entropy.

    The rate has a factor t / (1 - t). Exact velocities agree at time 1, so that it falls to zero
    there as 1 - t does. Velocities of nets do not quite agree, and their weights would grow without
    bound, so 1 / (1 - t) is softened.

    Parameters
    ----------
    velocity, weak
        v and v_weak, from standard normal noise at time 0.
    starts
        Noise, r starts for each point, shape (n, r, d).
    uniforms
        Uniform draws from [0, 1) that select one trajectory of each group, shape (n,).
    times
        Flow times from 0 at which positions are returned. Weights are those at the last.
    gamma
        Strength; 1 follows v alone, above 1 leads away from v_weak.
    softening
        s: 1 / (1 - t) becomes (1 - t) / ((1 - t)^2 + s^2), which differs little before time 1 - s
        and falls to zero after it. Log-weights of exact velocities change in proportion to
        s^2 log(1 / s).
    options
        Arguments of `cellflow.integrate.solve`.

    Returns
    -------
    The trajectories drawn, and the weights of all.

    Raises
    ------
    InputError
        For more than one trajectory with solver `edm-heun`, which does not integrate weights.
    """
    n, r, _ = starts.shape
    field = partial(_guided_field, velocity, weak, gamma, softening)
    if r == 1:
        solution = solve(lambda t, x: field(t, x)[0], starts[:, 0], times, **options)
        return WeightedSolution(solution.x, 2 * solution.nfe, starts.new_zeros((n, 1)))
    _check_solver(options.get("solver"))
    solution, gained = solve_augmented(field, starts.flatten(0, 1), times, **options)
    log_weights = gained[-1].reshape(n, r)
    rows = torch.arange(n, device=starts.device) * r + _select(log_weights, uniforms)
    return WeightedSolution(solution.x[:, rows], 2 * r * solution.nfe, log_weights)


def guidance_rate(
    t: Rows,
    velocity: Points,
    weak: Points,
    gamma: float,
    *,
    softening: float = 0.0,
) -> Rows:
    """Return the rate of the log-weight of a guided trajectory, shape (n,).

    gamma (gamma - 1) t / (1 - t) |v - v_weak|^2: with trajectories drawn by the weights
    that it integrates to, x_1 follows rho^gamma rho_weak^(1 - gamma), of the laws that the two
    velocities lead to (arXiv 2509.25519, proposition 4).

    Parameters
    ----------
    t
        Times, shape (n,), below 1.
    velocity, weak
        v and v_weak at the same points, shape (n, d), from the same standard normal noise, without
        entropy or between independent ends.
    gamma
        Strength of the guidance.
    softening
        s > 0 takes (1 - t) / ((1 - t)^2 + s^2) for 1 / (1 - t), so that t may be 1.
    """
    gap = (velocity - weak).square().sum(dim=1)
    left = (1 - t) / ((1 - t).square() + softening**2) if softening else 1 / (1 - t)
    return gamma * (gamma - 1) * t * left * gap


def _guided_field(
    velocity: VelocityField,
    weak: VelocityField,
    gamma: float,
    softening: float,
    t: Rows,
    x: Points,
) -> tuple[Points, Rows]:
    """Return the guided velocity and the rate of the log-weights."""
    first, second = velocity(t, x), weak(t, x)
    rate = guidance_rate(t, first, second, gamma, softening=softening)
    return gamma * first + (1 - gamma) * second, rate


def _select(log_weights: Float[Tensor, "n r"], uniforms: Rows) -> Tensor:
    """Draw an index for each row, with probabilities proportional to its weights."""
    sums = log_weights.double().softmax(dim=1).cumsum(dim=1)
    # By rounding, the sum of a row may be below its uniform draw.
    index = torch.searchsorted(sums, uniforms.to(sums)[:, None], right=True)[:, 0]
    return index.clamp(max=log_weights.shape[1] - 1)


def _check_solver(solver: str | None) -> None:
    if solver == "edm-heun":
        raise InputError(
            "solver 'edm-heun' does not integrate the weights that select one of several "
            "trajectories; take another solver, such as 'midpoint', or n_trajectories=1"
        )


def _velocity(flow: Flow, condition: Condition | None, r: int) -> VelocityField:
    if condition is not None:
        condition = condition.repeat_interleave(r, dim=0).to(flow.device)
    return lambda t, x: flow.velocity(t, x, condition)


def _check_pair(flow: Flow, space: ImageSpace, weak: Flow, weak_space: ImageSpace) -> None:
    """Raise `InputError` unless the weaker flow starts from noise in the image space of `flow`."""
    for each in (flow, weak):
        if each.is_mean_flow:
            raise InputError(
                "autoguidance adds velocities, and a mean flow has average velocities alone; take "
                "flows that learn a velocity"
            )
    if weak_space.source != "noise":
        raise InputError(
            f"the weak flow starts from images of {weak_space.source}; autoguidance requires two "
            "flows from noise"
        )
    if weak_space.low_res is not None:
        raise InputError("the weak flow makes images of low resolutions; take one that does not")
    mine, theirs = ((each.shape, each.kind) for each in (space, weak_space))
    arrays, others = space.context.arrays, weak_space.context.arrays
    if mine != theirs or any(not torch.equal(arrays[name], others[name]) for name in arrays):
        raise InputError(
            f"both flows must share one space: this one has images of shape {space.shape} as "
            f"{space.kind}, the weak one {weak_space.shape} as {weak_space.kind}"
            + (", with other components" if mine == theirs else "")
        )
    if flow.dim != weak.dim:
        raise InputError(f"this flow has {flow.dim} dimensions, the weak one {weak.dim}")
    if weak_space.classes and weak_space.classes != space.classes:
        raise InputError(
            f"the weak flow has the classes {format_list(weak_space.classes)}, this one "
            f"{format_list(space.classes) or 'none'}; the weak one may have the same, or none"
        )
    if flow.device != weak.device:
        raise InputError(f"this flow is on {flow.device}, the weak one on {weak.device}")


def _check_weights(flow: Flow, weak: Flow) -> None:
    """Raise `InputError` if the weights are not defined; warn if they are approximate."""
    approximate = []
    for name, each in (("this flow", flow), ("the weak flow", weak)):
        coupling, path = each.method.coupling, each.method.path
        if not (path.is_straight or path.draws_source):
            raise InputError(
                f"weights of trajectories are known on straight paths, and {name} was trained on "
                f"path {path.name!r}; take n_trajectories=1, which is guidance without them"
            )
        exact = isinstance(coupling, SemidiscreteSettings) and not coupling.epsilon
        if not (exact or coupling.draws_apart or path.draws_source):
            approximate.append(f"{name} has coupling {coupling.name!r}")
        if path.sigma:
            approximate.append(f"{name} has paths with noise, sigma {path.sigma:g}")
    if approximate:
        warnings.warn(
            f"{'; '.join(approximate)}: the weights of trajectories are exact for independent "
            "pairs, or semidiscrete ones without entropy, on paths without noise, and approximate "
            "here",
            CellflowWarning,
            stacklevel=4,
        )
