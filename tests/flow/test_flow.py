"""Trajectories of flows of each kind."""

import pytest
import torch

from cellflow import method, recipe
from cellflow.flow import Flow
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields


@pytest.mark.parametrize("stop", [0.0, 1.0])
@pytest.mark.parametrize("roles", [("velocity",), ("velocity", "growth"), ("average",)])
def test_points_come_to_the_device_of_the_flow_wherever_they_go(roles, stop, monkeypatch):
    """On torch's device without numbers, which none of them was on before."""
    monkeypatch.setattr("cellflow.integrate.solution.check_solution", lambda *_: None)
    monkeypatch.setattr(
        "cellflow.flow.flow.move_within_reach", lambda integrate, *_: integrate(None)
    )
    nets = Fields.make(roles, (2,), width=4, depth=1).to("meta")
    flow = Flow(nets, TimeAxis("index", (0.0, 1.0)), method("ot-cfm"), recipe("default"))
    x = torch.zeros((3, 2))
    moved = flow.trajectory(x, [0.0, stop], n_steps=1)
    for each in (flow.push(x, 0.0, stop, n_steps=1), moved.x, moved.log_mass):
        assert each.device.type == "meta"
