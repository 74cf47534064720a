"""U-Nets that see an image beside the one that they move."""

import pytest
import torch

from cellflow import InputError
from cellflow.nets import Fields, UNet

SIZES = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "dropout": 0.0}


def net(**options):
    made = UNet((1, 8, 8), generator=torch.Generator().manual_seed(0), **{**SIZES, **options})
    generator = torch.Generator().manual_seed(1)
    for weights in made.parameters():
        # Layers that start from zero would hide what comes before them.
        if not weights.any():
            torch.nn.init.normal_(weights, std=0.2, generator=generator)
    return made.eval()


@pytest.fixture
def inputs(generator):
    return (
        torch.rand(3, generator=generator),
        torch.randn((3, 64), generator=generator),
        torch.randn((3, 16), generator=generator),
    )


def test_the_condition_is_enlarged_by_the_nearest_pixel_and_seen_as_channels(inputs):
    t, x, condition = inputs
    both = net(condition_dim=16, condition_shape=(1, 4, 4))
    seen = {}
    both.hourglass.first.register_forward_hook(lambda _, given, __: seen.update(grid=given[0]))
    both(t, x, condition)
    small = condition.reshape(3, 1, 4, 4)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(seen["grid"], torch.cat([x.reshape(3, 1, 8, 8), large], dim=1))
    assert not hasattr(both, "covariates")


def test_other_covariates_are_embedded(inputs):
    t, x, condition = inputs
    both = net(condition_dim=18, condition_shape=(1, 4, 4))
    one, other = (
        both(t, x, torch.cat([condition, torch.full((3, 2), value)], dim=1)) for value in (0, 1)
    )
    assert both.covariates.in_features == 2
    assert (one - other).abs().max() > 1e-3
    moved = both(t, x, torch.cat([condition + 1, torch.zeros(3, 2)], dim=1))
    assert (one - moved).abs().max() > 1e-3


def test_settings_make_the_net_again_and_old_ones_still_do(inputs):
    t, x, condition = inputs
    fields = Fields.make(
        ("velocity",), (1, 8, 8), kind="unet", condition_dim=16, condition_shape=(1, 4, 4), **SIZES
    )
    again = Fields.from_settings(fields.settings)
    again.load_state_dict(fields.state_dict())
    torch.testing.assert_close(again.velocity(t, x, condition), fields.velocity(t, x, condition))
    settings = {**net().settings}
    del settings["condition_shape"]
    UNet(**settings).load_state_dict(net().state_dict())


def test_average_velocities_see_the_condition_and_the_span(inputs):
    t, x, condition = inputs
    fields = Fields.make(
        ("average",), (1, 8, 8), kind="unet", condition_dim=16, condition_shape=(1, 4, 4), **SIZES
    )
    assert fields.condition_dim == 16
    assert fields.average(t, t + 0.1, x, condition).shape == x.shape


def test_other_nets_take_the_condition_as_a_row(inputs):
    t, x, condition = inputs
    fields = Fields.make(
        ("velocity",), (1, 8, 8), kind="mlp", condition_dim=16, condition_shape=(1, 4, 4)
    )
    assert fields.velocity(t, x, condition).shape == x.shape


def test_more_numbers_than_covariates_are_refused():
    with pytest.raises(InputError, match="has 16 numbers, more than condition_dim 9"):
        net(condition_dim=9, condition_shape=(1, 4, 4))
    with pytest.raises(InputError, match="takes 16 covariates, got 0"):
        net(condition_dim=16, condition_shape=(1, 4, 4))(torch.zeros(1), torch.zeros(1, 64))
