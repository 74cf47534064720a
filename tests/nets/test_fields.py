"""The fields of a flow, by role."""

import pytest
import torch

from cellflow import InputError
from cellflow.methods.sizes import SIZES, MLPSizes
from cellflow.nets import MLP, NETS, ROLES, Fields, Net, RowNet, register_net


def points(generator, n=6, d=3):
    return torch.rand(n, generator=generator), torch.randn((n, d), generator=generator)


@pytest.mark.parametrize("condition_dim", [0, 2])
def test_each_role_gives_what_it_is_for(condition_dim, generator):
    fields = Fields.make(
        ROLES, (3,), condition_dim=condition_dim, width=8, depth=2, generator=generator
    )
    t, x = points(generator)
    condition = torch.randn((6, 2), generator=generator) if condition_dim else None
    assert fields.velocity(t, x, condition).shape == (6, 3)
    assert fields.average(t, t + 1, x, condition).shape == (6, 3)
    assert fields.score(t, x, condition).shape == (6, 3)
    assert fields.growth(t, x, condition).shape == (6,)


def test_an_average_over_no_time_is_the_velocity(generator):
    fields = Fields.make(("average",), (3,), width=8, generator=generator)
    t, x = points(generator)
    assert torch.equal(fields.velocity(t, x), fields.average(t, t, x))


def test_settings_make_the_same_fields_again(generator):
    fields = Fields.make(("velocity", "growth"), (3,), width=8, residual=True, generator=generator)
    again = Fields.from_settings(fields.settings)
    again.load_state_dict(fields.state_dict())
    t, x = points(generator)
    assert torch.equal(again.velocity(t, x), fields.velocity(t, x))
    assert torch.equal(again.growth(t, x), fields.growth(t, x))


def test_residual_layers_start_from_what_they_are_given(generator):
    """With hidden layers after the first at zero, a residual net is that of one hidden layer."""
    fields = Fields.make(
        ("velocity",), (3,), width=8, depth=3, residual=True, activation="relu", generator=generator
    )
    net = fields.nets["velocity"]
    with torch.no_grad():
        for layer in net.hidden[1:]:
            layer.weight.zero_()
            layer.bias.zero_()
    t, x = points(generator)
    first = torch.relu(net.hidden[0](torch.cat([t[:, None], x], dim=1)))
    torch.testing.assert_close(net(t, x), net.last(first))


def test_velocities_have_units_and_growth_rates_have_none(generator):
    """Cells twice as wide and shifted: velocities double, rates stay."""
    t, x = points(generator, n=40)
    first, second = (
        Fields.make(("velocity", "growth"), (3,), generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    first.standardise(x)
    second.standardise(2 * x + 5)
    moved = 2 * x + 5
    torch.testing.assert_close(2 * first.velocity(t, x), second.velocity(t, moved))
    torch.testing.assert_close(first.growth(t, x), second.growth(t, moved))


def test_units_are_centre_and_scale_of_the_points_and_none_in_nets_on_grids(generator):
    fields = Fields.make(("velocity",), (3,), generator=generator)
    torch.testing.assert_close(fields.units, (torch.zeros(3), 1.0))
    x = 4 * torch.randn((5000, 3), generator=generator) + torch.tensor([1.0, 2.0, 3.0])
    fields.standardise(x)
    centre, scale = fields.units
    torch.testing.assert_close(centre, x.mean(dim=0))
    assert scale == pytest.approx(4, rel=0.05)
    sizes = {"channels": 4, "multipliers": (1,), "blocks": 1, "attention": ()}
    on_grid = Fields.make(("velocity",), (1, 2, 2), kind="unet", generator=generator, **sizes)
    torch.testing.assert_close(on_grid.units, (torch.zeros(4), 1.0))


@pytest.mark.parametrize("name", sorted(NETS))
def test_sizes_and_network_of_a_name_agree(name):
    assert SIZES[name].model_fields["kind"].default == name
    assert issubclass(NETS[name], RowNet) == (SIZES[name].takes == "rows")
    assert set(NETS[name].roles) <= set(ROLES)


def test_every_network_has_a_name():
    assert set(NETS) == set(SIZES)


def test_a_name_that_is_taken_is_not_registered_again():
    with pytest.raises(InputError, match="the name 'mlp' is taken by MLPSizes"):
        register_net(MLP, MLPSizes)
    assert NETS["mlp"] is MLP


def test_a_network_without_units_says_so(generator):
    class Plain(MLP):
        standardise = Net.standardise

    with pytest.raises(InputError, match=r"Plain does not standardise .*standardise=False"):
        Plain(2, generator=generator).standardise(torch.zeros(3, 2))
