"""The preconditioned denoiser of EDM, and the velocity that it is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.nets import Denoiser, Fields, Preconditioning

TINY = {"channels": 8, "multipliers": (1,), "blocks": 1, "attention": (), "dropout": 0.0}
SHAPE = (1, 4, 4)
LEVELS = st.floats(1e-3, 100).map(lambda level: torch.tensor(level, dtype=torch.float64))


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def denoiser(**changes):
    """A net in float64 whose last layers do not start from zero."""
    generator = torch.Generator().manual_seed(0)
    net = Denoiser(SHAPE, **{**TINY, "generator": generator, **changes}).double().eval()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.2, generator=generator)
    return net


def images(n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, 16), generator=generator, dtype=torch.float64)


def test_scalings_at_the_spread_of_the_data_are_those_of_the_paper():
    scaled = Preconditioning.of(torch.tensor(0.5, dtype=torch.float64), 0.5)
    found = [scaled.c_skip, scaled.c_out, scaled.c_in, scaled.c_noise, scaled.weight]
    assert [float(each) for each in found] == pytest.approx(
        [0.5, 0.353553, 1.414214, -0.173287, 8], abs=5e-7
    )


@given(sigma=LEVELS, spread=st.floats(0.05, 5))
def test_inputs_and_targets_of_the_net_have_unit_variance_at_every_level(sigma, spread):
    """y of variance spread^2 and x = y + sigma n: the target is (y - c_skip x) / c_out."""
    scaled = Preconditioning.of(sigma, spread)
    assert float(scaled.c_in**2 * (sigma**2 + spread**2)) == pytest.approx(1)
    left = (1 - scaled.c_skip) ** 2 * spread**2 + scaled.c_skip**2 * sigma**2
    assert float(left / scaled.c_out**2) == pytest.approx(1)
    assert float(scaled.weight * scaled.c_out**2) == pytest.approx(1)


@given(sigma=st.floats(0.002, 80), seed=st.integers(0, 1000))
def test_velocity_and_denoiser_are_two_faces_of_one_net(sigma, seed):
    """D = x_t + (1 - t) v at x_t = t x, sigma = (1 - t) / t."""
    net, x, t = denoiser(), images(3, seed), 1 / (1 + sigma)
    velocity = net(rows(t, t, t), t * x)
    denoised = net.denoise(x, rows(sigma, sigma, sigma))
    torch.testing.assert_close(t * x + (1 - t) * velocity, denoised, rtol=1e-9, atol=1e-9)


def test_a_net_that_says_nothing_leaves_the_posterior_mean_of_centred_gaussian_data():
    """With F = 0, D = x sigma_d^2 / (sigma^2 + sigma_d^2)."""
    net = denoiser(sigma_data=2.0)
    for weights in net.parameters():
        torch.nn.init.zeros_(weights)
    x, sigma = images(4), rows(0.002, 0.5, 2.0, 80.0)
    expected = x * (4 / (sigma**2 + 4))[:, None]
    torch.testing.assert_close(net.denoise(x, sigma), expected)


def asked(net, t, x):
    """Noise conditions and inputs that the inner net is asked at."""
    seen = []
    net.net.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[:2]))
    velocity = net(t, x)
    return velocity, *seen[0]


def test_noise_is_held_to_the_levels_that_are_trained():
    """At time 0 the net sees 80 n at level 80, which is where the sampler starts."""
    x = images(4)
    velocity, level, seen = asked(denoiser(), rows(0.0, 1e-4, 0.9999, 1.0), x)
    assert velocity.isfinite().all()
    sigma = (4 * level).exp()
    torch.testing.assert_close(sigma, rows(80, 80, 0.002, 0.002))
    places = rows(80, 80 / (1 - 1e-4), 1 / 0.9999, 1)[:, None] * x
    scaled = Preconditioning.of(sigma[:, None], 0.5)
    torch.testing.assert_close(seen, scaled.c_in * places)


@pytest.mark.parametrize("edge", [1 / 81, 1 / 1.002])
def test_the_velocity_has_no_jump_where_levels_end(edge):
    net, x = denoiser(), images(1)
    below, above = (net(rows(edge + step), x) for step in (-1e-9, 1e-9))
    torch.testing.assert_close(below, above, rtol=1e-5, atol=1e-5)


def test_settings_make_the_same_net_again():
    sizes = {**TINY, "augment_dim": 9, "variant": "ddpmpp", "sigma_data": 0.7}
    fields = Fields.make(("velocity",), SHAPE, kind="edm", condition_dim=2, **sizes)
    again = Fields.from_settings(fields.settings)
    again.load_state_dict(fields.state_dict())
    assert fields.settings["velocity"]["net"] == "edm"
    assert (again.dim, again.condition_dim) == (16, 2)
    t, x, classes = torch.rand(3), torch.randn(3, 16), torch.eye(3)[:, :2]
    for each in (fields, again):
        each.eval()
    augmented = torch.cat([classes, torch.zeros(3, 9)], dim=1)
    assert torch.equal(fields.velocity(t, x, classes), again.velocity(t, x, classes))
    torch.testing.assert_close(fields.velocity(t, x, augmented), fields.velocity(t, x, classes))


@pytest.mark.parametrize("roles", [("average",), ("velocity", "score")])
def test_it_is_a_velocity_and_nothing_else(roles):
    with pytest.raises(
        InputError, match=r"'edm' cannot be trained for the field .*take net 'mlp' or"
    ):
        Fields.make(roles, SHAPE, kind="edm", **TINY)


def test_data_have_a_spread():
    with pytest.raises(InputError, match="sigma_data must be positive, got 0"):
        Denoiser(SHAPE, sigma_data=0, **TINY)
