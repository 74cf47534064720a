"""Jacobians of fields whose derivatives are known."""

import torch

from cellflow.integrate import jacobian
from cellflow.nets import UNet


def test_the_jacobian_of_a_linear_field_is_its_matrix(generator):
    matrix = torch.randn((3, 3), generator=generator, dtype=torch.float64)
    x = torch.randn((4, 3), generator=generator, dtype=torch.float64)
    t = torch.rand(4, generator=generator, dtype=torch.float64)
    found = jacobian(lambda t, x: t[:, None] * x @ matrix.T, t, x)
    torch.testing.assert_close(found, t[:, None, None] * matrix)


def test_nets_that_attend_have_one(generator):
    """Rows of each matrix are the components of the velocity, by backward derivatives."""
    net = UNet(
        (1, 2, 2), channels=4, multipliers=(1,), blocks=1, attention=(2,), head_width=4, dropout=0
    ).double()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.3, generator=generator)
    x = torch.randn((3, 4), generator=generator, dtype=torch.float64)
    t = torch.rand(3, generator=generator, dtype=torch.float64)
    found = jacobian(net, t, x)
    here = x.clone().requires_grad_()
    value = net(t, here)
    for k in range(4):
        (slope,) = torch.autograd.grad(value[:, k].sum(), here, retain_graph=True)
        torch.testing.assert_close(found[:, k], slope)
