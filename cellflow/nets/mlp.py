"""A multilayer perceptron of time, position and covariates, for up to some hundred dimensions."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow._checks import check_choice
from cellflow._typing import Cloud, Condition, Points, Rows
from cellflow.nets.blocks import torch_default

ACTIVATIONS: dict[str, type[nn.Module]] = {"selu": nn.SELU, "silu": nn.SiLU, "relu": nn.ReLU}

#: Points whose mean and spread are taken at a time.
_ROWS = 65_536


class MLP(nn.Module):
    """Time first, as a number and as waves, then position and covariates.

    The couplings of a time course change from interval to interval, and so do the fields that are
    learned. Sines and cosines of flow time, with periods of 2, 4, 8, ... mean intervals, let the
    net follow.

    Positions are centred and divided by one common scale before the first layer, and an output in
    units of the data is multiplied by that scale, so the net works in units of the data whatever
    they are. Centre and scale are buffers, saved with the weights.

    Parameters
    ----------
    dim
        Dimensions of the points.
    out_dim
        Dimensions of the output; None takes `dim`.
    condition_dim
        Number of covariates.
    in_units
        Whether the output is in units of the data (a velocity) or none (a rate).
    width, depth
        Units of a hidden layer and number of hidden layers.
    residual
        Add the input of each hidden layer but the first to its output.
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
        out_dim: int | None = None,
        condition_dim: int = 0,
        in_units: bool = True,
        width: int = 64,
        depth: int = 3,
        residual: bool = False,
        activation: str = "selu",
        time_features: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_choice(activation, ACTIVATIONS, "activation")
        out_dim = dim if out_dim is None else out_dim
        self.settings = {
            "dim": dim,
            "out_dim": out_dim,
            "condition_dim": condition_dim,
            "in_units": in_units,
            "width": width,
            "depth": depth,
            "residual": residual,
            "activation": activation,
            "time_features": time_features,
        }
        self.in_units, self.residual = in_units, residual
        sizes = [dim + 1 + 2 * time_features + condition_dim, *[width] * depth]
        self.hidden = nn.ModuleList(
            _linear(fan_in, fan_out, generator) for fan_in, fan_out in pairwise(sizes)
        )
        self.last = _linear(width, out_dim, generator)
        self.activation = ACTIVATIONS[activation]()
        periods = 2.0 ** torch.arange(1, time_features + 1)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def forward(
        self, t: Rows, x: Points, condition: Condition | None = None
    ) -> Float[Tensor, "n o"]:
        """Output at flow times `t`, shape (n,), positions `x`, shape (n, d), and covariates."""
        time = t[:, None]
        phase = time * self.frequencies
        inputs = [time, phase.sin(), phase.cos(), (x - self.centre) / self.scale]
        if condition is not None:
            inputs.append(condition)
        h = self.activation(self.hidden[0](torch.cat(inputs, dim=1)))
        for layer in self.hidden[1:]:
            inner = self.activation(layer(h))
            h = h + inner if self.residual else inner
        out = self.last(h)
        return out * self.scale if self.in_units else out

    def standardise(self, *clouds: Cloud) -> None:
        """Take the centre and the common scale of all points for the net's units."""
        centre, scale = centre_and_scale(*clouds)
        self.centre.copy_(centre)
        self.scale.copy_(scale)


def centre_and_scale(*clouds: Cloud) -> tuple[Tensor, Tensor]:
    """Mean of points, shape (d,), and their root mean square distance from it a dimension, or 1.

    Up to 65,536 points are taken as one array; of more there is no second copy.
    """
    n = sum(map(len, clouds))
    whole = n <= _ROWS
    parts = (
        [torch.cat(clouds)] if whole else [p for each in clouds for p in torch.split(each, _ROWS)]
    )
    shares = parts[0].new_tensor([len(part) / n for part in parts])
    centre = shares @ torch.stack([part.mean(dim=0) for part in parts])
    squares = torch.stack([(part - centre).square().mean() for part in parts])
    spread = (shares @ squares).sqrt()
    return centre, torch.where(spread > 0, spread, torch.ones_like(spread))


def _linear(fan_in: int, fan_out: int, generator: torch.Generator | None) -> nn.Linear:
    """A linear layer whose weights come from `generator`, not from the global one."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, fan_in, fan_out
    )
    torch_default(layer, generator)
    return layer
