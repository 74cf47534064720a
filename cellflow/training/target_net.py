"""The target network of fine-tuning, and the stopping rule on the spread of its end points."""

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

#: Points integrated at each reading of the loss, steps of the solver, and seed of their draw.
_N_MOVED, _STEPS, _SEED = 256, 8, 0

#: Patience: a ratio outside the limits has to come nearer by a tenth within this many steps, or
#: within this share of the training if that is more. While the velocity changes from one solution
#: to another, the spread of the integrated points is smaller for a while.
_PATIENCE, _SHARE, _NEARER = 250, 0.2, 0.9


class TargetNet(Callback):
    """Target network: a moving average of the trained network that gives the end velocities.

    At each reading of the loss, source points are integrated through their intervals with the
    trained network. The column `ratio` of the history is their spread around the mean at the end
    of each interval, divided by that of the prior. Fine-tuning should not change it; an alpha other
    than 4/5 does. The spread may also approach that of the data; training stops if it stays away
    from both. Velocities would not show this: a straighter flow is slower at the same points, even
    if its end points are correct.

    Parameters
    ----------
    net
        The net to train, which still has the weights of the prior.
    settings
        Decay or copy interval of the average, and tolerance of the ratio.
    pairs
        Source points to integrate, and real points at the ends of their intervals, not paired.
    n_steps
        Number of training steps.
    """

    def __init__(self, net: Fields, settings: OATSettings, pairs: Pairs, n_steps: int) -> None:
        every = settings.oat_copy_every
        decay = settings.oat_decay if every is None else 0.0
        self.average = Average(net, decay, ramp=False, every=every or 1)
        self.pairs = pairs
        self.before = spread(integrate_sources(self.net, pairs), pairs)
        real = float(spread(pairs.x1, pairs) / self.before)
        tolerance = settings.oat_tolerance
        self.low, self.high = min(1.0, real) - tolerance, max(1.0, real) + tolerance
        self.patience = patience_of(n_steps)

    @classmethod
    def of(cls, net: Fields, settings: OATSettings, fit: Fit) -> TargetNet:
        """Return the target net of a fine-tuning; the generator of the fit is not used."""
        independent = fit.method.model_copy(update={"coupling": IndependentSettings()})
        generator = torch_generator(_SEED, fit.generator.device)
        pairs = course_coupling(replace(fit, method=independent)).sample(_N_MOVED, generator)
        return cls(net, settings, pairs, fit.recipe.n_steps)

    @property
    def net(self) -> Fields:
        """The target net with its present weights."""
        return self.average.net

    def after_step(self, trainer: Trainer[Any]) -> None:
        """Update the average."""
        self.average.update(trainer.steps)

    def after_reading(self, trainer: Trainer[Any]) -> bool:
        """Record the ratio of spreads; stop if it stays outside the limits."""
        moved = integrate_sources(trainer.current, self.pairs)
        history = trainer.history
        history.setdefault("ratio", []).append(float(spread(moved, self.pairs) / self.before))
        readings = list(zip(history["step"], history["ratio"], strict=True))
        stop = stays_away(readings, self.low, self.high, self.patience)
        if stop:
            warnings.warn(
                f"fine-tuning stopped at step {trainer.steps}: points moved by the flow are "
                f"{history['ratio'][-1]:.3f} times as wide as those moved by the prior, for "
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
    """Return the patience, in steps, for a training of `n_steps`."""
    return max(_PATIENCE, int(_SHARE * n_steps))


def integrate_sources(net: Fields, pairs: Pairs) -> Points:
    """Integrate the source point of each pair to the end of its interval."""
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
