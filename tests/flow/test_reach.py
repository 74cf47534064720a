"""What is not finite, and what leaves the data, is refused where points are moved."""

import hashlib
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

import cellflow as cf
from cellflow import DivergenceError, InputError
from cellflow.flow import Flow
from cellflow.flow.reach import describe_outside
from cellflow.flow.storage import _digest
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields
from tests.flows import constant_flow, course_of, flow_of, known_flow
from tests.linear_flows import linear_net
from tests.seeds import seeded


@pytest.fixture
def cells():
    """Two cells at each of three times."""
    return course_of([(0, 0), (0, 1), (1, 0), (1, 0.2), (2, 0), (3, 0)], [0, 0, 1, 1, 2, 2])


def some_are_lost(t, x):
    """Along the first axis; cells above the axis get no number from time 1.5 on."""
    lost = (x[:, 1] > 0.5) & (t > 1.5)
    return torch.where(lost[:, None], math.nan, torch.eye(2)[0].expand_as(x))


def away(t, x):
    """dx/dt = 3 x."""
    return 3 * x


def linear_fields(matrix, *, growth=False, score=False):
    """Fields of v = A x, without growth and score."""
    nets = {"velocity": linear_net(matrix, [0.0, 0.0])}
    if growth:
        nets["growth"] = linear_net(torch.zeros(1, 2), [0.0])
    if score:
        nets["score"] = linear_net(torch.zeros(2, 2), [0.0, 0.0])
    return Fields(nets)


LOST = r"^1 of 2 points are not finite at time 2: the fit of this flow diverged, .* learning_rate$"


@pytest.mark.parametrize("options", [{}, {"solver": "euler"}, {"n_steps": 3}])
@pytest.mark.parametrize("fields", [{}, {"growth": lambda t, x: 0 * t}])
def test_points_that_are_not_finite_are_refused_with_their_time_and_number(cells, options, fields):
    flow, x = known_flow(cells, some_are_lost, **fields), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    with pytest.raises(DivergenceError, match=LOST):
        flow.trajectory(x, [0, 1, 2], **options)
    assert torch.equal(flow.push(x, 0, 1).round(), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))


def test_so_are_stochastic_paths_rates_and_log_densities(cells):
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    noisy = known_flow(cells, some_are_lost, diffusion=0.01, score=lambda t, x: 0 * x)
    with pytest.raises(DivergenceError, match=LOST):
        noisy.simulate(x, [0, 1, 2], seeded(0))
    grown = known_flow(cells, lambda t, x: 0 * x, growth=lambda t, x: 800 * x[:, 1])
    with pytest.raises(DivergenceError, match=r"the masses of 1 of 2 points .* at time 1:"):
        grown.trajectory(x, [0, 0.5, 1])
    with pytest.raises(DivergenceError, match="1 of 6 growth rates are not finite"):
        cf.tl.growth(cells, replace(grown, nets=known_flow(
            cells, away, growth=lambda t, x: x[:, 1].log().nan_to_num(neginf=0) / (x[:, 1] - 1)
        ).nets))  # fmt: skip
    with pytest.raises(DivergenceError, match="1 of 2 velocities are not finite"):
        cf.tl.velocity(cells, known_flow(cells, lambda t, x: x / (x[:, :1] - 2)))


def test_weights_of_cells_sum_to_one_or_there_are_none(cells):
    """Cells of the time after that are lost made weights that sum to the share of those before."""
    late = course_of([(0, 0), (0, 1), (1, 0), (1, 1)], [0, 0, 2, 2])  # no cells at time 1
    lost = known_flow(late, lambda t, x: some_are_lost(2 * t, x))
    with pytest.raises(DivergenceError, match="1 of 2 points are not finite at time 1"):
        cf.tl.interpolate(late, lost, 1)
    grown = known_flow(late, lambda t, x: 0 * x, growth=lambda t, x: 690 * (1 - 2 * x[:, 1]))
    weights = cf.tl.interpolate(late, grown, 0.5).obs["cellflow_weight"]
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_points_far_from_the_data_are_refused(cells):
    """A velocity of 1e3 a time, where the farthest cell is 1 from the centre."""
    flow = constant_flow(cells, [1e3, 0.0])
    x = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    with pytest.raises(DivergenceError, match="2 of 2 points leave the data, up to 500 times"):
        flow.push(x, 0, 1)
    # Cells that start far out may stay there.
    far = torch.tensor([[0.0, 2.0], [1e4, 0.0]])
    assert flow.push(far, 0, 1)[1, 0] == 11_000


@pytest.mark.parametrize(
    ("start", "stop", "near", "side"),
    [(2, 50, 3, "after its last time, 2"), (0, -48, -1, "before its first time, 0")],
)
def test_an_extrapolation_stops_where_points_leave_the_data(cells, start, stop, near, side):
    """From a distance of 1 it is 100 after log(100) / 3 = 1.535 time units, .77 of the course."""
    outward = 3 * np.sign(stop - start)
    flow = flow_of(cells, linear_fields(outward * torch.eye(2), growth=True)).extrapolate()
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0**0.5]])
    course = f"times the length of the course {side}"
    wanted = rf"1 of 2 .* 0.7[78] {course}: time {stop} is 24 {course}, and nothing was measured"
    with pytest.raises(DivergenceError, match=wanted):
        flow.push(x, start, stop)
    assert 20 < float(flow.push(x, start, near).max()) < 30


def test_an_extrapolation_that_stays_is_not_stopped_and_one_without_end_not_begun(cells):
    flow = flow_of(cells, linear_fields(-torch.eye(2), score=True), diffusion=0.1).extrapolate()
    x = torch.tensor([[1.0, 0.0]])
    assert float(flow.push(x, 2, 20).norm()) < 1e-6
    assert float(flow.simulate(x, [2, 4], seeded(0)).end.norm()) < 1
    with pytest.raises(InputError, match="500,000 steps are more than 20,000: time 20002 is 1e"):
        flow.push(x, 2, 20_002)
    with pytest.raises(InputError, match="500,000 steps are more than 20,000"):
        flow.simulate(x, [2, 20_002], seeded(0))


def test_steps_of_a_simulation_are_between_two_times(cells):
    flow = known_flow(cells, lambda t, x: -x, diffusion=0.1, score=lambda t, x: 0 * x)
    x = torch.tensor([[1.0, 0.0]])
    assert flow.simulate(x, [0, 1, 2], seeded(0), n_steps=7).nfe == 28


def test_predicted_cells_are_said_to_be_as_far_as_they_are(cells, capsys):
    flow = constant_flow(cells, [1.0, 0.0])
    with pytest.warns(cf.CellflowWarning, match=r"6 is outside .* 0 to 2: 2 times the length of"):
        cf.tl.push(cells, flow, "day=2", 6, extrapolate=True)
    # 6 and 7 from the centre in two dimensions of scale 1, the default.
    told = "predicted cells are 4.6 times as far .* measured ones (median; the farthest 4.95 times)"
    assert re.search(re.escape(told).replace(r"\.\*", ".*"), capsys.readouterr().err)


def test_lengths_outside_a_course():
    axis = TimeAxis("real", (2.0, 4.0, 6.0))
    assert describe_outside(axis, 16).startswith(
        "2.5 times the length of the course after its last"
    )
    assert describe_outside(axis, 0).startswith("0.5 times the length of the course before")


def signed(path, change):
    """Change a tensor of a flow and sign it as its writer would."""
    tensors = load((path / "tensors.safetensors").read_bytes())
    name = next(name for name in tensors if name.endswith("last.weight"))
    tensors[name] = change(tensors[name])
    blob = save(tensors)
    (path / "tensors.safetensors").write_bytes(blob)
    description = json.loads((path / "flow.json").read_text())
    del description["sha256"]
    description["tensors_sha256"] = hashlib.sha256(blob).hexdigest()
    description["sha256"] = _digest(description)
    (path / "flow.json").write_text(json.dumps(description))


def test_weights_that_were_changed_and_signed_are_refused(cells, tmp_path):
    for value, error in ((math.nan, "not finite, in 'nets"), (math.inf, "not finite, in 'nets")):
        constant_flow(cells, [1.0, 0.0]).save(tmp_path / "flow", overwrite=True)
        signed(tmp_path / "flow", lambda x, value=value: x + value)
        with pytest.raises(cf.FileError, match=error):
            Flow.load(tmp_path / "flow")
    constant_flow(cells, [1.0, 0.0]).save(tmp_path / "huge")
    flow = Flow.load(tmp_path / "huge")
    flow.nets.nets["velocity"].hidden[0].bias.data += 1
    flow.save(tmp_path / "huge", overwrite=True)
    signed(tmp_path / "huge", lambda x: x + 1e30)
    with pytest.raises(DivergenceError, match="2 of 2 points"):
        cf.tl.push(cells, Flow.load(tmp_path / "huge"), "day=0", 1)
