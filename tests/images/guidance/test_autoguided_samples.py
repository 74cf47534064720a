"""Images that are led away from a weaker flow."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import CellflowWarning, InputError
from cellflow.images import Autoguidance
from cellflow.images.samples import cost_of
from tests.small_images import digits, trained

EULER = {"solver": "euler", "n_steps": 4, "rng": 3}


@pytest.fixture(scope="module")
def flow():
    return trained(n_steps=40, conditional=True, method="i-cfm")


@pytest.fixture(scope="module")
def weak():
    return trained(n_steps=10, method="i-cfm")


def pixels(made):
    return made.images.pixels.astype(int)


def test_strength_one_makes_the_images_of_the_flow_alone(flow, weak):
    plain = cf.images.sample(flow, 7, **EULER)
    same = cf.images.sample(flow, 7, guidance=Autoguidance(weak, 1), **EULER)
    assert np.abs(pixels(plain) - pixels(same)).max() <= 1
    np.testing.assert_array_equal(plain.images.labels, same.images.labels)
    assert same.nfe == 2 * plain.nfe
    other = cf.images.sample(flow, 7, guidance=Autoguidance(weak, 3), **EULER)
    assert np.abs(pixels(plain) - pixels(other)).mean() > 3


def test_strength_zero_makes_the_images_of_the_weak_flow(flow, weak):
    alone = cf.images.sample(weak, 5, **EULER)
    guided = cf.images.sample(flow, 5, guidance=Autoguidance(weak, 0), **EULER)
    assert np.abs(pixels(alone) - pixels(guided)).max() <= 1


def test_a_flow_that_is_its_own_weak_one_draws_by_equal_weights(flow):
    made = cf.images.sample(flow, 6, guidance=Autoguidance(flow, 2.5, 4), **EULER)
    assert made.effective_trajectories == pytest.approx(4)
    assert made.nfe == 2 * 4 * 4
    assert made.by == "euler:4+ag:2.5:4"


def test_trajectories_are_counted_and_the_default_strength_is_two(flow, weak):
    made = cf.images.sample(flow, 6, guidance=Autoguidance(weak, n_trajectories=5), **EULER)
    assert 1 <= made.effective_trajectories < 5
    assert made.by == "euler:4+ag:2:5"
    assert made.images.pixels.shape == (6, 8, 8, 1)


def test_same_seed_same_images_whatever_the_batch(flow, weak):
    common = {"guidance": Autoguidance(weak, n_trajectories=3), **EULER}
    whole, again, parts = (
        cf.images.sample(flow, 8, batch_size=size, **common) for size in (256, 256, 7)
    )
    np.testing.assert_array_equal(pixels(whole), pixels(again))
    assert np.abs(pixels(whole) - pixels(parts)).max() <= 1
    assert parts.effective_trajectories == pytest.approx(whole.effective_trajectories, rel=1e-3)
    other = cf.images.sample(flow, 8, **{**common, "rng": 4})
    assert np.abs(pixels(whole) - pixels(other)).mean() > 3


def test_frames_are_those_of_the_trajectory_that_was_kept(flow, weak):
    times = (0.0, 0.5, 1.0)
    made = cf.images.sample(
        flow, 4, guidance=Autoguidance(weak, n_trajectories=3), times=times, **EULER
    )
    assert made.frames.shape == (3, 4, 8, 8, 1)
    np.testing.assert_array_equal(made.frames[-1], made.images.pixels)


def test_the_cost_and_the_guidance_are_kept_in_the_file(flow, weak, tmp_path):
    made = cf.images.sample(flow, 4, guidance=Autoguidance(weak, n_trajectories=2), **EULER)
    made.save(tmp_path / "made.npz")
    assert cost_of(tmp_path / "made.npz") == {"by": made.by, "nfe": made.nfe}


def test_one_trajectory_takes_any_solver(flow, weak):
    made = cf.images.sample(flow, 2, guidance=Autoguidance(weak), solver="edm-heun", n_steps=3)
    assert made.nfe == 2 * 5
    with pytest.raises(InputError, match="'edm-heun' does not integrate the weights"):
        cf.images.sample(flow, 2, guidance=Autoguidance(weak, n_trajectories=2), solver="edm-heun")


def test_weights_that_are_not_exact_are_told_of(flow, weak):
    near = trained(method="ot-cfm")
    for change in ({"sigma": 0.1}, {"coupling": "semidiscrete", "epsilon": 0.1}):
        changed = replace(weak, method=cf.method(weak.method, **change))
        with pytest.warns(CellflowWarning, match="the weak flow has .* approximate here"):
            cf.images.sample(flow, 2, guidance=Autoguidance(changed, n_trajectories=2), **EULER)
    with pytest.warns(CellflowWarning, match="this flow has coupling 'ot'"):
        cf.images.sample(near, 2, guidance=Autoguidance(weak, n_trajectories=2), **EULER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cf.images.sample(near, 2, guidance=Autoguidance(weak), **EULER)
        exact = replace(weak, method=cf.method(weak.method, coupling="semidiscrete"))
        cf.images.sample(flow, 2, guidance=Autoguidance(exact, n_trajectories=2), **EULER)


def test_flows_that_do_not_go_together_are_refused(flow, weak):
    between = trained(digits().of_class(0), source=digits().of_class(1))
    leap = trained(method="mean-flow")
    curved = trained(method="vp")
    small = cf.images.ImageSet(digits().pixels[:40, :4, :4].copy())
    other = trained(small)
    latent = cf.images.train(
        digits(), encoder=cf.images.PCAEncoder.fit(digits(), 64), n_steps=2, progress=False
    )
    for first, second, message in (
        (flow, between, "the weak flow starts from images of digits/train/1"),
        (between, weak, "starts from images"),
        (flow, leap, "adds velocities"),
        (leap, weak, "adds velocities"),
        (flow, other, r"share one space: this one has images of shape \(1, 8, 8\) as pixels"),
        (flow, latent, "as pixels, the weak one .* as pca"),
        (weak, flow, "the weak flow has the classes 0, 1, .* this one none"),
    ):
        with pytest.raises(InputError, match=message):
            cf.images.sample(first, 2, guidance=Autoguidance(second))
    with pytest.raises(InputError, match="the weak flow was trained on path 'vp'"):
        cf.images.sample(flow, 2, guidance=Autoguidance(curved, n_trajectories=2))
    assert cf.images.sample(
        flow, 2, guidance=Autoguidance(curved), **EULER
    ).images.pixels.shape == (2, 8, 8, 1)


def test_latents_of_other_components_are_refused():
    flows = [
        cf.images.train(part, encoder=cf.images.PCAEncoder.fit(part, 5), n_steps=2, progress=False)
        for part in (digits()[:100], digits()[100:300])
    ]
    with pytest.raises(InputError, match="with other components"):
        cf.images.sample(flows[0], 2, guidance=Autoguidance(flows[1]))
    made = cf.images.sample(flows[0], 2, guidance=Autoguidance(flows[0]), **EULER)
    assert made.images.pixels.shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": float("nan")}, "gamma must be a finite number"),
        ({"n_trajectories": 0}, "n_trajectories must be positive"),
    ],
)
def test_numbers_without_meaning_are_refused(options, message, weak):
    with pytest.raises(InputError, match=message):
        Autoguidance(weak, **options)


def test_noise_and_marks_of_plain_samples_are_left_as_they_were(flow):
    """The draws that guidance needs come after those of the noise."""
    noise = torch.randn((3, 64), generator=torch.Generator().manual_seed(3))
    made = cf.images.sample(flow, 3, times=(0.0, 1.0), **EULER)
    expected = flow.trajectory(
        noise, [0.0, 1.0], condition=torch.eye(10)[:3], solver="euler", n_steps=4
    ).end
    end = (expected * 127.5 + 128).clip(0, 255).to(torch.uint8).numpy()
    np.testing.assert_array_equal(made.images.pixels.reshape(3, -1), end)
