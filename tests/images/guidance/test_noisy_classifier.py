"""A classifier of noisy images, and the head on its features."""

import math

import pytest
import torch

from cellflow import InputError
from cellflow.images.guidance.noisy_classifier import NoisyClassifier, RatioNet
from tests.seeds import seeded

SMALL = {"channels": 8, "multipliers": (1, 2), "blocks": 1}


def random_net(**options):
    """A net that is no longer zero at its end."""
    net = RatioNet((1, 8, 8), **{**SMALL, **options}, generator=seeded())
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.2, generator=seeded(weights.numel()))
    return net


def inputs(n=5):
    return torch.full((n,), 0.7), torch.randn((n, 64), generator=seeded(1))


def test_features_are_the_coarsest_grid_flat():
    net = NoisyClassifier((3, 16, 8), n_outputs=7, **SMALL, generator=seeded())
    t, x = torch.rand(4, generator=seeded()), torch.randn((4, 384), generator=seeded())
    assert net.feature_shape == (16, 8, 4)
    assert net.features(t, x).shape == (4, 16 * 8 * 4)
    assert net(t, x).shape == (4, 7)


def test_at_first_it_knows_nothing():
    net = RatioNet((1, 8, 8), n_classes=3, **SMALL, generator=seeded())
    sigma, x = inputs()
    assert not net(sigma, x).any()
    assert not net.classes(sigma, x).any()


def test_each_image_is_told_apart_from_the_others_of_its_batch():
    net = random_net(n_classes=3, condition_dim=2)
    sigma, x = inputs()
    condition = torch.eye(2)[torch.tensor([0, 1, 1, 0, 1])]
    alone = torch.cat([net(sigma[k : k + 1], x[k : k + 1], condition[k : k + 1]) for k in range(5)])
    torch.testing.assert_close(net(sigma, x, condition), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("output", ["forward", "classes"])
def test_both_parts_see_the_image_and_the_time_of_the_variance_preserving_process(output):
    """At sigma = sqrt(3) the signal is halved, where the integral of beta is ln 4."""
    net, seen = random_net(n_classes=3), {}
    for name in ("classifier.first", "classifier.time", "head.time"):
        net.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: seen.update({name: args[0]})
        )
    _, x = inputs()
    getattr(net, output)(torch.full((5,), math.sqrt(3)), x)
    torch.testing.assert_close(seen.pop("classifier.first").flatten(1), x / 2)
    assert set(seen) == {"classifier.time"} | ({"head.time"} if output == "forward" else set())
    for tau in seen.values():
        torch.testing.assert_close(0.1 * tau + 9.95 * tau**2, torch.full((5,), math.log(4)))


def test_times_are_waves_of_a_thousand_steps_and_outputs_are_of_means_over_the_last_grid():
    net = NoisyClassifier((1, 8, 8), n_outputs=3, **SMALL, generator=seeded())
    t, x, seen = torch.tensor([0.3, 1.0]), inputs(2)[1], {}
    phase = 1000 * t[:, None] * torch.tensor([10_000 ** (-k / 4) for k in range(4)])
    waves = torch.cat([phase.cos(), phase.sin()], dim=1)
    torch.testing.assert_close(net.time[0](t), waves, rtol=0, atol=1e-3)
    net.norm.register_forward_hook(lambda _, args, grid: seen.update(grid=grid))
    net.last.register_forward_pre_hook(lambda _, args: seen.update(means=args[0]))
    net(t, x)
    means = torch.nn.functional.silu(seen["grid"]).flatten(2).mean(dim=2)
    torch.testing.assert_close(seen["means"], means)


@pytest.mark.parametrize("what", ["sigma", "x", "condition"])
def test_noise_image_and_class_all_matter(what):
    net = random_net(condition_dim=2)
    given = dict(zip(("sigma", "x"), inputs(), strict=True), condition=torch.eye(2)[[0] * 5])
    changed = {**given, what: given[what].flip(-1) * 2}
    assert not torch.allclose(net(**given), net(**changed))


def test_a_net_is_made_again_from_its_settings():
    net = random_net(n_classes=4, condition_dim=2)
    again = RatioNet(**net.settings)
    again.load_state_dict(net.state_dict())
    sigma, x = inputs()
    condition = torch.eye(2)[[0, 1, 0, 1, 0]]
    assert torch.equal(net(sigma, x, condition), again(sigma, x, condition))


def test_other_covariates_are_refused():
    sigma, x = inputs()
    with pytest.raises(InputError, match="takes 2 covariates, got 0"):
        random_net(condition_dim=2)(sigma, x)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"channels": 6}, "multiple of 4, got 6"),
        ({"multipliers": ()}, "multipliers must be positive|1 or more"),
        ({"multipliers": (1,) * 5}, "halves evenly 3 times"),
        ({"blocks": 0}, "blocks must be 1 or more, got 0"),
    ],
)
def test_sizes_that_make_no_net_are_refused(sizes, message):
    with pytest.raises(InputError, match=message):
        RatioNet((1, 8, 8), **{**SMALL, **sizes})
