"""The path through many times at once: a cubic spline through a chain of points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._errors import InputError
from cellflow._typing import Rows
from cellflow.paths.sample import PathSample, blurred


@dataclass(frozen=True)
class SplinePath:
    """x_t ~ N(S(t), sigma^2), u_t = S'(t), with the natural cubic spline S through each chain.

    A point keeps its velocity where it passes from one interval to the next; a chain of two
    points gives the straight path (Rohbeck et al. 2025, Modeling complex system dynamics with flow
    matching across time and conditions).

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in units of the representation.
    """

    sigma: float = 0.1

    def sample(self, pairs: Pairs, t: Rows, generator: torch.Generator) -> PathSample:
        """Draw x_t for each pair, on the piece of its spline that `t` is in.

        Raises
        ------
        InputError
            If the pairs do not carry their chains, or chains with knots of their own.
        """
        if pairs.chain is None or pairs.knots is None:
            raise InputError("a spline needs pairs of a coupling that draws whole chains")
        knots = pairs.knots[0]
        if not bool((pairs.knots == knots).all()):
            raise InputError("the chains of one batch must have the same knots")
        bends = torch.einsum("kj,njd->nkd", _second_derivatives(knots), pairs.chain)
        piece = (torch.bucketize(t, knots, right=True) - 1).clamp(0, len(knots) - 2)
        rows = torch.arange(len(t), device=t.device)
        y0, y1 = pairs.chain[rows, piece], pairs.chain[rows, piece + 1]
        b0, b1 = bends[rows, piece], bends[rows, piece + 1]
        h = (knots[piece + 1] - knots[piece])[:, None]
        right = (t - knots[piece])[:, None] / h
        left = 1 - right
        x = left * y0 + right * y1 + ((left**3 - left) * b0 + (right**3 - right) * b1) * h**2 / 6
        u = (y1 - y0) / h + ((3 * right**2 - 1) * b1 - (3 * left**2 - 1) * b0) * h / 6
        return PathSample(blurred(x, self.sigma, generator), u)


def _second_derivatives(knots: Float[Tensor, " k"]) -> Float[Tensor, "k k"]:
    """The matrix that turns values at the knots into second derivatives there, zero at the ends.

    Continuity of the slope at knot i asks
    h_(i-1) b_(i-1) + 2 (h_(i-1) + h_i) b_i + h_i b_(i+1) = 6 (dy_i / h_i - dy_(i-1) / h_(i-1)).
    """
    h = knots.diff()
    matrix = torch.zeros(len(knots), len(knots), device=knots.device, dtype=knots.dtype)
    if len(h) == 1:
        return matrix
    slopes = torch.eye(len(knots), device=knots.device, dtype=knots.dtype).diff(dim=0) / h[:, None]
    inner = torch.diag(2 * (h[:-1] + h[1:])) + torch.diag(h[1:-1], 1) + torch.diag(h[1:-1], -1)
    matrix[1:-1] = torch.linalg.solve(inner, 6 * slopes.diff(dim=0))
    return matrix
