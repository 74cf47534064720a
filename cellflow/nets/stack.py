"""Equally large perceptrons that compute side by side, by batched products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow._typing import Condition, Points, Rows
from cellflow.nets.mlp import MLP


class MLPStack(nn.Module):
    """One net to the loop: each takes an equal share of the rows, in order.

    Parameters
    ----------
    nets
        Nets of equal settings.
    """

    centre: Tensor
    frequencies: Tensor
    scale: Tensor

    def __init__(self, nets: Sequence[MLP]) -> None:
        super().__init__()
        first = nets[0]
        self.count = len(nets)
        self.in_units, self.residual = first.in_units, first.residual
        self.activation = first.activation
        layers = list(zip(*(_layers(net) for net in nets), strict=True))
        self.weights, self.biases = (
            nn.ParameterList(
                torch.stack([getattr(layer, name).detach() for layer in each]) for each in layers
            )
            for name in ("weight", "bias")
        )
        self.register_buffer("frequencies", first.frequencies)
        self.register_buffer("centre", torch.stack([net.centre for net in nets])[:, None])
        self.register_buffer("scale", torch.stack([net.scale for net in nets])[:, None, None])

    def forward(
        self, t: Rows, x: Points, condition: Condition | None = None
    ) -> Float[Tensor, "n o"]:
        """Outputs at flow times, positions and covariates, as those of `MLP`."""
        time = t.view(self.count, -1, 1)
        phase = time * self.frequencies
        inputs = [time, phase.sin(), phase.cos(), (self._split(x) - self.centre) / self.scale]
        if condition is not None:
            inputs.append(self._split(condition))
        h = self.activation(self._layer(0, torch.cat(inputs, dim=2)))
        last = len(self.weights) - 1
        for k in range(1, last):
            inner = self.activation(self._layer(k, h))
            h = h + inner if self.residual else inner
        out = self._layer(last, h)
        return (out * self.scale if self.in_units else out).flatten(0, 1)

    @torch.no_grad()
    def copy_to(self, nets: Sequence[MLP]) -> None:
        """Give each net its weights."""
        for k, net in enumerate(nets):
            for layer, weight, bias in zip(_layers(net), self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[k])
                layer.bias.copy_(bias[k])

    def _layer(self, k: int, h: Tensor) -> Tensor:
        return torch.baddbmm(self.biases[k][:, None], h, self.weights[k].transpose(1, 2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(self.count, -1, x.shape[1])


def _layers(net: MLP) -> list[nn.Linear]:
    return [*net.hidden, net.last]
