"""The target net of a fine-tuning: couplings evaluate it, and its spread decides when to stop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._errors import CellflowWarning
from cellflow._random import torch_generator
from cellflow._typing import Points, Rows, Scalar
from cellflow.integrate import solve
from cellflow.methods.parts import IndependentSettings, OATSettings
from cellflow.nets import Fields
from cellflow.objectives import condition_at
from cellflow.training.average import Average
from cellflow.training.context import Fit
from cellflow.training.time_course import course_coupling
from cellflow.training.trainer import Callback, Trainer

#: Points that are carried at each reading, the steps that carry them, and the seed of the draw.
_CARRIED, _STEPS, _SEED = 256, 8, 0

#: Steps, and share of the training, whichever are more, in which a ratio outside the limits has to
#: come nearer by a tenth: between one velocity and another, a net shrinks for a while the points
#: that it carries.
_PATIENCE, _SHARE, _NEARER = 250, 0.2, 0.9


class TargetNet(Callback):
    """The net that gives end velocities, also to couplings; it follows the trained net slowly.

    At each reading the trained net carries points of the source through their intervals. Their
    spread around the mean at the end of each interval, divided by that of points carried by the
    prior, is `ratio` of the history. Fine-tuning should not change it; an alpha other than 4/5
    shrinks or stretches what is learned. The spread may approach that of the data, and training
    stops if it stays away from both. Velocities would not show this: a flow that gets straighter
    is slower at the same points, though its ends are right.

    Parameters
    ----------
    net
        The net to train, which still has the weights of the prior.
    settings
        How the target follows, and how far the spread may go.
    pairs
        The points that are carried, and real ones at the ends of their intervals, in any order.
    n_steps
        Steps of the training.
    """

    def __init__(self, net: Fields, settings: OATSettings, pairs: Pairs, n_steps: int) -> None:
        every = settings.oat_copy_every
        decay = settings.oat_decay if every is None else 0.0
        self.average = Average(net, decay, ramp=False, every=every or 1)
        self.pairs = pairs
        self.before = spread(carry_pairs(self.net, pairs), pairs)
        real = float(spread(pairs.x1, pairs) / self.before)
        tolerance = settings.oat_tolerance
        self.low, self.high = min(1.0, real) - tolerance, max(1.0, real) + tolerance
        self.patience = patience_of(n_steps)

    @classmethod
    def of(cls, net: Fields, settings: OATSettings, fit: Fit) -> TargetNet:
        """Return the target net of a fine-tuning; the generator of the fit is not used."""
        independent = fit.method.model_copy(update={"coupling": IndependentSettings()})
        generator = torch_generator(_SEED, fit.generator.device)
        pairs = course_coupling(replace(fit, method=independent)).sample(_CARRIED, generator)
        return cls(net, settings, pairs, fit.recipe.n_steps)

    @property
    def net(self) -> Fields:
        """The target net with its present weights."""
        return self.average.net

    def after_step(self, trainer: Trainer[Any]) -> None:
        """Follow the weights."""
        self.average.update(trainer.steps)

    def after_reading(self, trainer: Trainer[Any]) -> bool:
        """Take the ratio of spreads; stop if it stays away from those of the prior and data."""
        carried = carry_pairs(trainer.current, self.pairs)
        history = trainer.history
        history.setdefault("ratio", []).append(float(spread(carried, self.pairs) / self.before))
        readings = list(zip(history["step"], history["ratio"], strict=True))
        stop = stays_away(readings, self.low, self.high, self.patience)
        if stop:
            warnings.warn(
                f"fine-tuning stopped at step {trainer.steps}: points carried by the flow are "
                f"{history['ratio'][-1]:.3f} times as wide as those carried by the prior, for "
                f"{self.patience} steps outside {self.low:.3f} to {self.high:.3f} without coming "
                "nearer; take alpha 4/5, the Hermite target, or a larger tolerance",
                CellflowWarning,
                stacklevel=2,
            )
        return stop

    def state(self) -> dict[str, Tensor]:
        """Return the weights of the target."""
        return dict(self.net.state_dict())

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue with these weights."""
        self.net.load_state_dict(tensors)


def stays_away(
    readings: Sequence[tuple[int, float]], low: float, high: float, patience: int
) -> bool:
    """Return whether ratios were outside `low` to `high` for `patience` steps and still are.

    `readings` are steps and ratios. Ratios that came nearer by a tenth in that time do not count.
    """
    excess = [max(low - ratio, ratio - high, 0.0) for _, ratio in readings]
    before = [k for k, (step, _) in enumerate(readings) if step <= readings[-1][0] - patience]
    if not before:
        return False
    window = excess[before[-1] :]
    return min(window) > 0 and window[-1] > _NEARER * window[0]


def patience_of(n_steps: int) -> int:
    """Return the steps for which the ratio of a training of `n_steps` may stay away."""
    return max(_PATIENCE, int(_SHARE * n_steps))


def carry_pairs(net: Fields, pairs: Pairs) -> Points:
    """Carry the sources of pairs along the flow of a net, each to the end of its interval."""
    length = pairs.t1 - pairs.t0

    def velocity(t: Rows, x: Points) -> Points:
        t = pairs.t0 + t * length
        return length[:, None] * net.velocity(t, x, condition_at(pairs, t))

    return solve(velocity, pairs.x0, [0.0, 1.0], solver="midpoint", n_steps=_STEPS).end


def spread(x: Points, pairs: Pairs) -> Scalar:
    """Return the root mean square distance of points from the mean at the same end time."""
    squares = [
        (x[rows] - x[rows].mean(dim=0)).square().sum()
        for rows in (pairs.t1 == end for end in set(pairs.t1.tolist()))
    ]
    return (torch.stack(squares).sum() / len(x)).sqrt()
