"""Multilayer perceptrons: of time, points and covariates, and of time and both ends of a path."""

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
    """A multilayer perceptron of [t, sin, cos, (x - centre) / scale, covariates].

    Sines and cosines have periods of 2, 4, 8, ... mean intervals of flow time: couplings of a time
    course change from interval to interval, and the fields with them. For up to some hundred
    dimensions.

    Parameters
    ----------
    dim
        Number of dimensions d of a point.
    out_dim
        Number of columns of the output; None uses `dim`.
    condition_dim
        Number of covariates.
    in_units
        Whether the output is in units of the points (a velocity) or not (a rate).
    width, depth
        Units per hidden layer and number of hidden layers.
    residual
        Whether each hidden layer but the first has a skip connection.
    activation
        `selu`, `silu` or `relu`.
    time_features
        Number of periods, each with a sine and a cosine; with 0 the input is t alone.
    generator
        Source of the initial weights (PyTorch's default initialisation).
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
        """Return the output at flow times `t`, shape (n,), and points `x`, shape (n, d)."""
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
    """A multilayer perceptron phi(t, x0, x1) of the correction to a straight path (`MetricPath`).

    The last layer is initialised to 0, so that paths are straight before training. Ends and output
    are standardised as in `MLP`.

    Parameters
    ----------
    dim
        Number of dimensions d of a point.
    generator
        Source of the initial weights.
    **sizes
        Other arguments of `MLP`.
    """

    def __init__(self, dim: int, *, generator: torch.Generator | None = None, **sizes: Any) -> None:
        super().__init__()
        self.mlp = MLP(dim, condition_dim=dim, generator=generator, **sizes)
        for weights in self.mlp.last.parameters():
            nn.init.zeros_(weights)

    def forward(self, t: Rows, x0: Points, x1: Points) -> Points:
        """Return phi at flow times `t`, shape (n,), for pairs `x0` and `x1`, shape (n, d)."""
        target: Points = (x1 - self.mlp.centre) / self.mlp.scale
        bend: Points = self.mlp(t, x0, target)
        return bend

    def standardise(self, *clouds: Cloud) -> None:
        """Set centre and scale to the mean and the spread of all points in `clouds`."""
        self.mlp.standardise(*clouds)
