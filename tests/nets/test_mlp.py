"""The velocity net."""

import pytest
import torch

from cellflow import InputError
from cellflow.nets import MLP


def test_it_takes_times_and_positions_and_gives_velocities(generator):
    net = MLP(4, width=8, depth=2, generator=generator)
    assert net(torch.rand(7), torch.randn(7, 4)).shape == (7, 4)


def test_default_setting_has_the_parameters_of_the_reference_runner():
    net = MLP(5, width=64, depth=3, activation="selu")
    assert sum(p.numel() for p in net.parameters()) == 6 * 64 + 64 + 2 * (64 * 64 + 64) + 64 * 5 + 5


def test_initial_weights_follow_torch_and_come_from_the_generator_alone():
    before = torch.random.get_rng_state()
    nets = [
        MLP(5, width=512, depth=2, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second = (net.state_dict() for net in nets)
    assert all(torch.equal(first[name], second[name]) for name in first)
    weight = nets[0].hidden[1].weight
    assert float(weight.detach().abs().max()) <= 512**-0.5
    assert float(weight.detach().std()) == pytest.approx((1 / 3 / 512) ** 0.5, rel=0.02)


def test_standardised_net_works_in_units_of_the_data(generator):
    """Data twice as wide and shifted give velocities twice as large at the same relative place."""
    x, t = torch.randn((50, 3), generator=generator), torch.rand(50, generator=generator)
    nets = [MLP(3, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    nets[0].standardise(x)
    nets[1].standardise(2 * x + 5)
    torch.testing.assert_close(2 * nets[0](t, x), nets[1](t, 2 * x + 5), rtol=1e-4, atol=1e-5)


def test_points_without_spread_do_not_divide_by_zero(generator):
    net = MLP(2, generator=generator)
    net.standardise(torch.ones(4, 2))
    assert torch.isfinite(net(torch.rand(4), torch.ones(4, 2))).all()


def test_unknown_activation_is_named_with_the_valid_ones():
    with pytest.raises(InputError, match=r"'sellu'.*did you mean 'selu'"):
        MLP(2, activation="sellu")
