"""Training end to end on populations whose flow is known."""

import pytest
import torch
from torch import nn

from cellflow import InputError, SolverError, method, recipe
from cellflow.couplings import IndependentCoupling
from cellflow.marginals import Marginals, Population, TimeAxis
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import Trainer, fit_flow, resolve_device
from cellflow.training.trainer import SCHEDULES
from tests.gaussians import Normal, independent_velocity
from tests.trainings import DEVICE

WEIGHT = "nets.velocity.last.weight"
#: Settings of the smallest fit that meets a held-out time.
SMALL = {
    "n_steps": 80, "learning_rate": 1e-2, "net": {"width": 32}, "batch_size": 128,
    "coupling_batch_size": 64,
}  # fmt: skip


def moving(times, n=200):
    g = torch.Generator().manual_seed(1)
    cells = [torch.randn((n, 2), generator=g) * 0.2 for _ in times]
    for cell, time in zip(cells, times, strict=True):
        cell[:, 0] += time
    axis = TimeAxis("index", tuple(float(k) for k in range(int(max(times)) + 1)))
    return Marginals(tuple(map(float, times)), tuple(map(Population.of, cells))), axis


def fitted(
    marginals, axis, chosen="ot-cfm", numbers="default", *, seed=0, device=DEVICE, **changes
):
    return fit_flow(
        marginals, axis, method=method(chosen), recipe=recipe(numbers, **changes), seed=seed,
        device=device,
    )  # fmt: skip


@pytest.mark.parametrize("coupling", ["ot", "independent"])
def test_held_out_time_of_a_moving_population_is_met(coupling):
    """Times 0, 1, 3 with 2 held out: carried from 1, cells arrive where they would have been."""
    marginals, axis = moving([0, 1, 3])
    chosen = method(coupling=coupling)
    flow = fitted(marginals, axis, chosen, **SMALL)
    start = marginals.populations[1].points
    moved = flow.push(start, 1.0, 2.0)
    torch.testing.assert_close(
        moved.mean(dim=0), start.mean(dim=0) + torch.tensor([1.0, 0.0]), atol=0.06, rtol=0
    )


def test_trained_net_meets_the_closed_form_velocity(generator):
    class Net(nn.Module):
        """The closed form with two free numbers, so that training has a known answer."""

        def __init__(self):
            super().__init__()
            self.mean = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))
            self.log_std = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

        def forward(self, t, x, condition=None):
            t = t[:, None]
            return independent_velocity(t, x, self.mean, self.log_std.exp())

    net = Net()
    Trainer(
        Fields({"velocity": net}),
        IndependentCoupling(Normal(), Normal(2.0, 0.5)),
        VelocityRegression(StraightPath(sigma=0)),
        recipe("default", n_steps=300, learning_rate=0.04, batch_size=512, ema_decay=0),
        generator,
    ).run()
    assert float(net.mean.detach()) == pytest.approx(2.0, abs=0.05)
    assert float(net.log_std.detach().exp()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", ["default", "torchcfm"])
def test_same_seed_same_flow_and_another_seed_another(name):
    marginals, axis = moving([0, 1, 2], n=40)
    flows = [fitted(marginals, axis, numbers=name, n_steps=10, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (flow.nets.state_dict() for flow in flows)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[WEIGHT], other[WEIGHT])
    assert flows[0].history == flows[1].history


def test_global_randomness_and_threads_are_left_alone():
    marginals, axis = moving([0, 1], n=10)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    fitted(marginals, axis, n_steps=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_loss_curve_covers_all_steps_and_falls():
    marginals, axis = moving([0, 1, 2])
    flow = fitted(marginals, axis, n_steps=230, net={"width": 16}, batch_size=32)
    assert flow.history["step"] == [50, 100, 150, 200, 230]
    assert flow.history["loss"][-1] < flow.history["loss"][0]


def test_a_loss_that_is_no_number_stops_the_fit():
    cells = [Population.of(torch.full((4, 1), float(k) * 1e30)) for k in range(2)]
    marginals = Marginals((0.0, 1.0), tuple(cells))
    with pytest.raises(SolverError, match="the loss became"):
        fitted(marginals, TimeAxis("index", (0.0, 1.0)), "i-cfm", "torchcfm", n_steps=60)


def test_cosine_falls_from_one_to_zero():
    assert [SCHEDULES["cosine"](done) for done in (0, 0.5, 1, 1.2)] == pytest.approx(
        [1, 0.5, 0, 0], abs=1e-12
    )


def test_unknown_device_is_named_with_the_valid_ones():
    with pytest.raises(InputError, match="device 'gpu' is not available here; valid: auto, cpu"):
        resolve_device("gpu")
    assert resolve_device("auto").type in ("cpu", "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fit_on_a_gpu_predicts_what_the_cpu_predicts():
    marginals, axis = moving([0, 1, 3])
    ends = []
    for device in ("cpu", "cuda"):
        there = torch.device(device)
        flow = fitted(marginals, axis, device=there, **SMALL)
        ends.append(flow.push(marginals.populations[1].points, 1.0, 2.0).cpu().mean(dim=0))
    torch.testing.assert_close(ends[0], ends[1], atol=0.05, rtol=0)
