"""The net that bends paths."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cellflow._typing import Cloud, Points, Rows
from cellflow.nets.mlp import MLP


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
