"""Jacobian of a velocity."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cellflow._typing import Points, Rows, VelocityField

Jacobians = Float[Tensor, "n d d"]


@torch.no_grad()
def jacobian(velocity: VelocityField, t: Rows, x: Points) -> Jacobians:
    """Compute the derivatives dv_i / dx_j of a velocity by d forward derivatives.

    Parameters
    ----------
    velocity
        The field v(t, x), differentiable; each row must depend on its own row alone.
    t, x
        Times, shape (n,), and positions, shape (n, d).

    Returns
    -------
    One matrix for each point, shape (n, d, d); its rows are the components of the velocity.
    """

    def along(direction: Tensor) -> Tensor:
        # Fused attention has no forward derivative.
        with sdpa_kernel(SDPBackend.MATH):
            return torch.func.jvp(lambda p: velocity(t, p), (x,), (direction,))[1]

    directions = torch.eye(x.shape[1]).to(x)
    return torch.stack([along(each.expand_as(x).contiguous()) for each in directions], dim=2)
