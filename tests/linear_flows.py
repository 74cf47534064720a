"""Flows whose velocity, Jacobian and growth are known: v = A x + b, rate = r."""

import torch

from cellflow import method, recipe
from cellflow.flow import Flow, Inputs
from cellflow.marginals import TimeAxis
from cellflow.nets import MLP, Fields
from cellflow.representation import current_representation, to_context


def linear_net(matrix, constant):
    """A net that gives A x + b exactly, as x = relu(x) - relu(-x)."""
    matrix, constant = (torch.as_tensor(each).float() for each in (matrix, constant))
    out_dim, dim = matrix.shape
    net = MLP(dim, out_dim=out_dim, width=2 * dim, depth=1, activation="relu")
    eye = torch.eye(dim)
    both = torch.cat([eye, -eye])
    with torch.no_grad():
        net.hidden[0].weight.copy_(torch.cat([torch.zeros(2 * dim, 1), both], dim=1))
        net.hidden[0].bias.zero_()
        net.last.weight.copy_(matrix @ both.T)
        net.last.bias.copy_(constant)
    return net


def linear_flow(adata, matrix, constant, times, *, kind="real", rate=None, use_rep="X_pca"):
    """A flow of v = A x + b per unit of flow time, in a representation of `adata`."""
    nets = {"velocity": linear_net(matrix, constant)}
    if rate is not None:
        nets["growth"] = linear_net(torch.zeros(1, len(matrix)), [rate])
    representation = current_representation(adata, use_rep)
    return Flow(
        nets=Fields(nets).eval(),
        axis=TimeAxis(kind, tuple(times)),
        method=method("ot-cfm"),
        recipe=recipe("default"),
        inputs=Inputs(time_key="day", use_rep=use_rep),
        context=to_context(representation),
    )
