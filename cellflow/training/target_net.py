"""Fine-tuning of a fitted flow: the net that couplings ask, and when it stops."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._errors import CellflowWarning
from cellflow._random import torch_generator
from cellflow._tensors import add_prefix, select_prefix
from cellflow._typing import Points, Rows, Scalar
from cellflow.integrate import solve
from cellflow.methods.parts import IndependentSettings, OATSettings
from cellflow.nets import Fields
from cellflow.objectives import condition_at
from cellflow.training.average import Average
from cellflow.training.context import Fit
from cellflow.training.time_course import course_coupling

#: Points that are carried at each reading, the steps that carry them, and the seed of the draw.
_CARRIED, _STEPS, _SEED = 256, 8, 0

#: Steps, and share of the training, whichever are more, in which what left the spread has to come
#: nearer by a tenth: on the way from one velocity to another, a net shrinks for a while what it
#: carries.
_PATIENCE, _SHARE, _NEARER = 250, 0.2, 0.9


class TargetNet:
    """The net that couplings and end velocities ask; it follows the trained one from afar.

    At each reading it carries points of the source through their intervals and compares their
    spread around the mean of each interval's end with that of the points that the prior carries
    there. Fine-tuning should leave it; an alpha other than 4/5 shrinks or stretches what it learns.
    The spread may approach that of the data, and training stops where it stays away from both.
    Velocities themselves would not tell: a flow that gets straighter is slower at the same points,
    with nothing wrong about its ends.

    Parameters
    ----------
    net
        The net to train, which is still that of the prior.
    settings
        How it follows, and how far the spread may go.
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
        self.before = spread(carried(self.net, pairs), pairs)
        real = float(spread(pairs.x1, pairs) / self.before)
        tolerance = settings.oat_tolerance
        self.low, self.high = min(1.0, real) - tolerance, max(1.0, real) + tolerance
        self.patience = patience_of(n_steps)
        self.readings: list[tuple[int, float]] = []

    @classmethod
    def of(cls, net: Fields, settings: OATSettings, fit: Fit) -> TargetNet:
        """Return the target net of a fine-tuning; the generator of the fit is left as it is."""
        apart = fit.method.model_copy(update={"coupling": IndependentSettings()})
        generator = torch_generator(_SEED, fit.generator.device)
        pairs = course_coupling(replace(fit, method=apart)).sample(_CARRIED, generator)
        return cls(net, settings, pairs, fit.recipe.n_steps)

    @property
    def net(self) -> Fields:
        """The net as it is."""
        return self.average.net

    def update(self, step: int) -> None:
        """Follow the weights after step number `step`, from 1."""
        self.average.update(step)

    def read(self, step: int, net: Fields) -> tuple[dict[str, float], bool]:
        """Ratio of the spread of what `net` carries to that of the prior; True to stop."""
        ratio = float(spread(carried(net, self.pairs), self.pairs) / self.before)
        self.readings.append((step, ratio))
        stop = stays_away(self.readings, self.low, self.high, self.patience)
        if stop:
            warnings.warn(
                f"fine-tuning stopped at step {step}: what the flow carries is {ratio:.3f} times "
                f"as wide as what the prior does, for {self.patience} steps outside "
                f"{self.low:.3f} to {self.high:.3f} without coming nearer; take alpha 4/5, the "
                "Hermite target, or a larger tolerance",
                CellflowWarning,
                stacklevel=2,
            )
        return {"ratio": ratio}, stop

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its weights, and what it has read."""
        readings = torch.tensor(self.readings, dtype=torch.float64).reshape(-1, 2)
        return {**add_prefix("net", self.net.state_dict()), "readings": readings}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        self.net.load_state_dict(select_prefix("net", tensors))
        self.readings = [(int(step), ratio) for step, ratio in tensors["readings"].tolist()]


def stays_away(
    readings: Sequence[tuple[int, float]], low: float, high: float, patience: int
) -> bool:
    """Whether ratios, by step, were outside `low` to `high` for `patience` steps and still are.

    Those that came nearer by a tenth in that time are on their way back.
    """
    excess = [max(low - ratio, ratio - high, 0.0) for _, ratio in readings]
    before = [k for k, (step, _) in enumerate(readings) if step <= readings[-1][0] - patience]
    if not before:
        return False
    window = excess[before[-1] :]
    return min(window) > 0 and window[-1] > _NEARER * window[0]


def patience_of(n_steps: int) -> int:
    """Steps for which a training of so many may stay away."""
    return max(_PATIENCE, int(_SHARE * n_steps))


def carried(net: Fields, pairs: Pairs) -> Points:
    """Where the flow of a net carries the sources of pairs, each to the end of its interval."""
    length = pairs.t1 - pairs.t0

    def velocity(t: Rows, x: Points) -> Points:
        t = pairs.t0 + t * length
        return length[:, None] * net.velocity(t, x, condition_at(pairs, t))

    return solve(velocity, pairs.x0, [0.0, 1.0], solver="midpoint", n_steps=_STEPS).end


def spread(x: Points, pairs: Pairs) -> Scalar:
    """Root mean square distance of points from the mean of those at the same end time."""
    squares = [
        (x[rows] - x[rows].mean(dim=0)).square().sum()
        for rows in (pairs.t1 == end for end in set(pairs.t1.tolist()))
    ]
    return (torch.stack(squares).sum() / len(x)).sqrt()
