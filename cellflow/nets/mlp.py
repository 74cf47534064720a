"""A multilayer perceptron v(t, x) for points of a few to a few hundred dimensions."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from cellflow._checks import check_choice
from cellflow._typing import Points, Rows

ACTIVATIONS: dict[str, type[nn.Module]] = {"selu": nn.SELU, "silu": nn.SiLU, "relu": nn.ReLU}


class VelocityMLP(nn.Module):
    """Time and position in, velocity out; time comes first, as a number and as waves.

    The couplings of a time course change from interval to interval, and so does the velocity. Sines
    and cosines of flow time, with periods of 2, 4, 8, ... mean intervals, let the net follow.

    Positions are centred and divided by one common scale before the first layer, and the last
    layer's output is multiplied by that scale, so the net works in units of the data whatever they
    are. Centre and scale are buffers, saved with the weights.

    Parameters
    ----------
    dim
        Dimensions of the points.
    width, depth
        Units of a hidden layer and number of hidden layers.
    activation
        One of `selu`, `silu`, `relu`.
    time_features
        Number of periods, each with a sine and a cosine; 0 leaves time a plain number.
    generator
        Source of the initial weights (PyTorch's default law for linear layers).
    """

    centre: Tensor
    frequencies: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        *,
        width: int = 64,
        depth: int = 3,
        activation: str = "selu",
        time_features: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_choice(activation, ACTIVATIONS, "activation")
        self.settings = {
            "dim": dim,
            "width": width,
            "depth": depth,
            "activation": activation,
            "time_features": time_features,
        }
        sizes = [dim + 1 + 2 * time_features, *[width] * depth, dim]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [_linear(fan_in, fan_out, generator), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])
        periods = 2.0 ** torch.arange(1, time_features + 1)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, t: Rows, x: Points) -> Points:
        """Velocity at flow times `t`, shape (n,), and positions `x`, shape (n, d)."""
        time = t[:, None]
        phase = time * self.frequencies
        position = (x - self.centre) / self.scale
        inputs = torch.cat([time, phase.sin(), phase.cos(), position], dim=1)
        return self.layers(inputs) * self.scale

    def standardise(self, points: Points) -> None:
        """Take the centre and the common scale of `points`, shape (n, d), for the net's units."""
        self.centre.copy_(points.mean(dim=0))
        spread = (points - self.centre).square().mean().sqrt()
        self.scale.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))


def _linear(fan_in: int, fan_out: int, generator: torch.Generator | None) -> nn.Linear:
    """A linear layer whose weights come from `generator`, not from the global one."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, fan_in, fan_out
    )
    bound = 1 / math.sqrt(fan_in)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
