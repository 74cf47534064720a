"""Predictions from cells of the first or the neighbouring times, with the growth on the way."""

import numpy as np
import pytest
import torch

from cellflow import method, recipe
from cellflow._batch import Batch
from cellflow.flow import Flow, predict_cells
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields
from tests.linear_flows import linear_net
from tests.seeds import seeded

TIMES = (0.0, 1.0, 4.0)


def growing_flow(**changes):
    """A flow of constant velocity (1, 0) and growth rate x_1 per unit of flow time."""
    nets = {
        "velocity": linear_net(torch.zeros(2, 2), [1.0, 0.0]),
        "growth": linear_net(torch.tensor([[0.0, 1.0]]), [0.0]),
    }
    chosen = method("ot-cfm", **changes)
    return Flow(Fields(nets).eval(), TimeAxis("real", TIMES), chosen, recipe("default"))


def cells_at(time):
    # A different number of cells at each time tells them apart.
    return Batch(torch.randn((5 + int(time), 2), generator=seeded(int(time))))


def predict(start, time=2.0, neighbours=(1.0, 4.0)):
    options = {"start": start, "first": 0.0, "generator": seeded()}
    (prediction,) = predict_cells(growing_flow(), cells_at, neighbours, [time], **options)
    return prediction


def test_cells_of_the_first_time_arrive_with_all_their_growth():
    predicted = predict("first")
    assert predicted.start_times.tolist() == [0.0] * 5
    passed = TimeAxis("real", TIMES).to_flow(2.0)
    x = cells_at(0.0).x
    expected = x + torch.tensor([passed, 0.0])
    torch.testing.assert_close(torch.as_tensor(predicted.points), expected, rtol=1e-5, atol=1e-5)
    weights = (x[:, 1] * passed).double().softmax(dim=0)
    torch.testing.assert_close(torch.as_tensor(predicted.weights), weights, rtol=1e-5, atol=1e-6)


def test_first_is_previous_where_the_time_before_is_the_first():
    first, previous = (predict(start, 0.5, (0.0, 1.0)) for start in ("first", "previous"))
    for name in ("points", "weights", "start_times"):
        assert getattr(first, name).tolist() == getattr(previous, name).tolist()


@pytest.mark.parametrize(("start", "origins"), [("previous", {1.0}), ("both", {1.0, 4.0})])
def test_other_starts_leave_the_first_time_alone(start, origins):
    assert set(predict(start).start_times.tolist()) == origins


def test_both_neighbours_arrive_with_their_growth_and_the_nearer_has_more_weight():
    """A third of the interval of 1.5 has passed: forward by 0.5, and backward by 1."""
    predicted = predict("both")
    ends = [(cells_at(1.0).x, 0.5, 2 / 3), (cells_at(4.0).x, -1.0, 1 / 3)]
    points = torch.cat([x + torch.tensor([span, 0.0]) for x, span, _ in ends])
    weights = torch.cat([share * (x[:, 1] * span).softmax(dim=0) for x, span, share in ends])
    torch.testing.assert_close(torch.as_tensor(predicted.points), points, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.as_tensor(predicted.weights).float(), weights)


def test_log_odds_of_the_passed_share_are_normal_around_those_of_the_clock():
    """Cells start at 0, so that their place is the share that has passed for each, times 1.5."""
    flow = growing_flow(asynchrony=0.4)
    (prediction,) = predict_cells(
        flow, lambda _: Batch(torch.zeros(4000, 2)), (1.0, 4.0), [2.0], start="both",
        generator=seeded(),
    )  # fmt: skip
    points = prediction.points[:, 0]
    for passed in (points[:4000] / 1.5, 1 + points[4000:] / 1.5):
        offsets = (np.log(passed / (1 - passed)) - np.log(1 / 2)) / 0.4
        assert offsets.mean() == pytest.approx(0, abs=0.05)
        assert offsets.std() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("start", ["previous", "both", "first"])
def test_cells_pass_several_times_as_they_would_arrive_at_each(start):
    flow, times = growing_flow(asynchrony=0.4), [1.5, 2.0, 3.5]
    options = {"start": start, "first": 0.0}
    passing = predict_cells(flow, cells_at, (1.0, 4.0), times, generator=seeded(), **options)
    for time, found in zip(times, passing, strict=True):
        (alone,) = predict_cells(flow, cells_at, (1.0, 4.0), [time], generator=seeded(), **options)
        np.testing.assert_allclose(found.points, alone.points, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.weights, alone.weights, rtol=1e-4)
        assert found.start_times.tolist() == alone.start_times.tolist()


def test_the_first_time_point_is_required():
    with pytest.raises(ValueError, match="first"):
        predict_cells(
            growing_flow(), cells_at, (1.0, 4.0), [2.0], start="first", generator=seeded()
        )
