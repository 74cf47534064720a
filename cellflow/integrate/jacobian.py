"""The Jacobian of a velocity."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cellflow._typing import Points, Rows, VelocityField
from cellflow.integrate.solution import check_solution

Jacobians = Float[Tensor, "n d d"]


@torch.no_grad()
def jacobian(velocity: VelocityField, t: Rows, x: Points) -> Jacobians:
    """Compute the derivatives dv_i / dx_j of a velocity, by d forward-mode derivatives.

    Parameters
    ----------
    velocity
        Differentiable field v(t, x) whose rows do not interact.
    t, x
        Times, shape (n,), and positions, shape (n, d).

    Returns
    -------
    Jacobians, shape (n, d, d); entry (k, i, j) is dv_i / dx_j at row k.

    Raises
    ------
    DivergenceError
        If they are not finite.
    """

    def along(direction: Tensor) -> Tensor:
        # Fused attention has no forward-mode derivative.
        with sdpa_kernel(SDPBackend.MATH):
            return torch.func.jvp(lambda p: velocity(t, p), (x,), (direction,))[1]

    directions = torch.eye(x.shape[1]).to(x)
    found = torch.stack([along(each.expand_as(x).contiguous()) for each in directions], dim=2)
    check_solution(found[None], "Jacobians")
    return found
