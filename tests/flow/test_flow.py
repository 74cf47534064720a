"""Trajectories of flows of each kind."""

import pytest
import torch

from cellflow import method, recipe
from cellflow.flow import Flow
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields
from tests.linear_flows import linear_net
from tests.seeds import seeded


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


@pytest.mark.parametrize(("stops", "sign"), [((1.0, 1.0, 4.0), 1), ((4.0, 1.0, 1.0), -1)])
def test_backward_in_time_the_velocity_turns_and_the_score_does_not(stops, sign):
    """Without noise dx is (s + v) dt forward and (s - v) dt backward, t in flow time: 1.5 here."""
    velocity, score = torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    nets = {
        "velocity": linear_net(torch.zeros(2, 2), velocity),
        "score": linear_net(torch.zeros(2, 2), score),
    }
    clock = TimeAxis("real", (0.0, 1.0, 4.0))
    flow = Flow(Fields(nets).eval(), clock, method("sf2m"), recipe("default"))
    x = torch.tensor([[1.0, 1.0], [-2.0, 0.0]])
    moved = flow.simulate(x, stops, seeded(), n_steps=3)
    torch.testing.assert_close(moved.end, x + 1.5 * (score + sign * velocity))


class Steered(Fields):
    """Each point moves with its covariates as velocity, and its mass grows as the first of them."""

    def velocity(self, t, x, condition=None):
        return condition

    def growth(self, t, x, condition=None):
        return condition[:, 0]


def test_points_keep_their_covariates_and_their_offsets_in_chunks(monkeypatch):
    monkeypatch.setattr("cellflow.flow.flow._ROWS", 3)
    made = Fields.make(("velocity", "growth"), (2,), condition_dim=2, width=4, depth=1)
    clock = TimeAxis("index", (0.0, 1.0))
    flow = Flow(Steered(dict(made.nets.items())), clock, method("ot-cfm"), recipe("default"))
    x, condition = torch.randn((2, 7, 2), generator=seeded())
    offset = torch.linspace(-0.5, 0.5, 7)
    moved = flow.trajectory(x, [0.25, 0.75], condition=condition, time_offset=offset)
    span = (0.5 + offset)[:, None]
    torch.testing.assert_close(moved.end, x + span * condition)
    torch.testing.assert_close(moved.log_mass[-1], (span * condition)[:, 0])
