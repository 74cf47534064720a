"""A multilayer perceptron of time, position and covariates, for up to some hundred dimensions."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow._checks import check_choice
from cellflow._typing import Cloud, Condition, Points, Rows
from cellflow.nets.blocks import linear
from cellflow.nets.net import RowNet

ACTIVATIONS: dict[str, type[nn.Module]] = {"selu": nn.SELU, "silu": nn.SiLU, "relu": nn.ReLU}


class MLP(RowNet):
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

    frequencies: Tensor

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
        check_choice(activation, ACTIVATIONS, "activation")
        super().__init__(
            dim,
            out_dim=out_dim,
            condition_dim=condition_dim,
            in_units=in_units,
            width=width,
            depth=depth,
            residual=residual,
            activation=activation,
            time_features=time_features,
        )
        self.residual = residual
        sizes = [dim + 1 + 2 * time_features + condition_dim, *[width] * depth]
        self.hidden = nn.ModuleList(
            linear(fan_in, fan_out, generator) for fan_in, fan_out in pairwise(sizes)
        )
        self.last = linear(width, self.out_dim, generator)
        self.activation = ACTIVATIONS[activation]()
        periods = 2.0 ** torch.arange(1, time_features + 1)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)

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


class GeopathNet(nn.Module):
    """A multilayer perceptron of time and both endpoints, which says how far a path is bent.

    It starts as zero, so paths start straight. Endpoints and output are in units of the data, as
    in `MLP`.

    Parameters
    ----------
    dim
        Dimensions of the points.
    generator
        Source of the initial weights.
    **sizes
        Width, depth, activation and so on of `MLP`.
    """

    def __init__(self, dim: int, *, generator: torch.Generator | None = None, **sizes: Any) -> None:
        super().__init__()
        self.mlp = MLP(dim, condition_dim=dim, generator=generator, **sizes)
        for weights in self.mlp.last.parameters():
            nn.init.zeros_(weights)

    def forward(self, t: Rows, x0: Points, x1: Points) -> Points:
        """Bend at flow times `t`, shape (n,), between `x0` and `x1`, shape (n, d)."""
        target: Points = (x1 - self.mlp.centre) / self.mlp.scale
        bend: Points = self.mlp(t, x0, target)
        return bend

    def standardise(self, *clouds: Cloud) -> None:
        """Take the centre and the common scale of all points for the net's units."""
        self.mlp.standardise(*clouds)
