"""Low resolutions: how they are made, and what a flow of them needs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cellflow as cf
from cellflow import InputError
from cellflow.images import Autoguidance, ImageSet, Pictures
from cellflow.images.low_res import average_squares, enlarge, shrink
from cellflow.images.pixels import to_points
from cellflow.images.space import ImageSpace, description, space_for, training_settings
from tests.small_images import TINY, digits, stopped, trained


@given(st.integers(0, 2**31), st.sampled_from([2, 3]), st.sampled_from([1, 3]))
def test_a_low_resolution_is_the_mean_of_squares(seed, factor, channels):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (3, 6, 12, channels), dtype=np.uint8)
    slow = np.zeros((3, 6 // factor, 12 // factor, channels))
    for row in range(slow.shape[1]):
        for column in range(slow.shape[2]):
            rows, columns = (slice(k * factor, (k + 1) * factor) for k in (row, column))
            slow[:, row, column] = pixels[:, rows, columns].mean(axis=(1, 2))
    fast = average_squares(pixels, factor)
    assert fast.dtype == np.uint8
    assert np.abs(fast - slow).max() <= 0.5


def test_shrinking_keeps_labels_and_flat_images():
    small = shrink(digits(), 4)
    assert small.shape == (1, 2, 2)
    np.testing.assert_array_equal(small.labels, digits().labels)
    flat = ImageSet(np.full((2, 4, 4, 3), 77, np.uint8))
    assert (shrink(flat, 2).pixels == 77).all()
    assert (enlarge(flat, 2).pixels == 77).all()
    assert enlarge(flat, 3).shape == (3, 12, 12)


def test_an_enlarged_image_has_about_its_own_low_resolution():
    small = shrink(digits("test"), 2)
    again = shrink(enlarge(small, 2), 2)
    assert np.abs(again.pixels.astype(int) - small.pixels).mean() < 12


@pytest.mark.parametrize("factor", [1, 0, -2, 2.0, True])
def test_factors_are_whole_numbers_from_two(factor):
    for verb in (shrink, enlarge):
        with pytest.raises(InputError, match="a whole number from 2"):
            verb(digits(), factor)


def test_squares_tile_the_images():
    with pytest.raises(InputError, match="8 x 8 pixels are not tiled by squares of 3 x 3"):
        shrink(digits(), 3)
    with pytest.raises(InputError, match="not tiled by squares of 16 x 16"):
        trained(low_res=16)


def test_images_are_drawn_with_their_low_resolution(generator):
    space = space_for(digits(), None, None, conditional=False, low_res=2)
    drawn = space.population(digits(), flips=False).sample(20, generator)
    means = drawn.x.reshape(20, 4, 2, 4, 2).mean(dim=(2, 4)).flatten(1)
    assert (drawn.condition - means).abs().max() <= 0.5 / 127.5 + 1e-6
    assert drawn.label is None
    assert space.low_shape == (1, 4, 4)


def test_images_of_either_size_are_understood():
    space = space_for(digits(), None, None, conditional=False, low_res=2)
    small = shrink(digits(), 2)
    assert space.low_resolution(small) is small
    assert space.low_resolution(digits()).fingerprint == small.fingerprint
    with pytest.raises(InputError, match=r"those of \(1, 4, 4\); .* \(1, 2, 2\), which is nei"):
        space.low_resolution(shrink(digits(), 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditional": True}, "without classes"),
        ({"source": digits()[:20]}, "without a source of images"),
        ({"encoder": cf.images.PCAEncoder.fit(digits(), 3)}, "without latents"),
        ({"flips": True}, "cannot be combined with flips or augment"),
        ({"method": "mean-flow", "coupling": "acceleration"}, "requires a flow fitted before"),
    ],
)
def test_what_does_not_go_with_low_resolutions_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        trained(low_res=2, **options)


def test_a_weight_without_low_resolutions_is_refused():
    with pytest.raises(InputError, match="give low_res with it"):
        trained(method=cf.method("sd-fm", sigma=0.0, condition_weight=1.0))


def test_a_flow_remembers_its_low_resolution(tmp_path):
    flow = trained(low_res=2, method="sd-fm")
    flow.save(tmp_path / "flow")
    again = cf.Flow.load(tmp_path / "flow")
    space = ImageSpace.of(again)
    assert (space.low_res, space.low_shape, space.classes) == (2, (1, 4, 4), ())
    assert training_settings(again)["low_res"] == 2
    assert "of 4 x 4 pixels each" in description(again)
    assert again.condition_dim == 16
    made = [cf.images.upscale(each, digits()[:3], solver="euler", n_steps=2)
            for each in (flow, again)]  # fmt: skip
    np.testing.assert_array_equal(made[0].images.pixels, made[1].images.pixels)


def test_the_weight_is_the_methods_or_balanced_and_only_where_costs_are():
    def weight(**options):
        return training_settings(trained(low_res=2, n_steps=1, **options))["condition_weight"]

    given = cf.method("sd-fm", sigma=0.0, condition_weight=2.5)
    assert weight(method=given) == 2.5
    assert weight(method="sd-fm") == weight(method="ot-cfm") > 10
    assert weight(method="i-cfm") is None


def test_flows_without_low_resolutions_have_no_such_settings():
    assert not {"low_res", "condition_weight"} & set(training_settings(trained(n_steps=1)))


def test_a_training_that_was_stopped_goes_on_and_draws_pictures(tmp_path, monkeypatch):
    options = {"low_res": 2, "method": "sd-fm"}
    stopped(monkeypatch, tmp_path, 3, **options)
    again = {**options, "n_steps": 6, "checkpoint": cf.Checkpoint(tmp_path / "c", resume=True)}
    pictures = {"pictures": Pictures(tmp_path / "pictures", 3)}
    assert trained(**again, **pictures).fingerprint == trained(**options, n_steps=6).fingerprint
    assert (tmp_path / "pictures" / "step-0000003.png").exists()
    with pytest.raises(InputError, match="low_res"):
        trained(**{**again, "low_res": 4})


@pytest.mark.parametrize("method", ["i-cfm", "ot-cfm", "sd-fm", "uot-fm", "fm", "vp", "mean-flow"])
def test_methods_from_noise_learn_of_low_resolutions(method):
    flow = trained(low_res=4, method=method, n_steps=2)
    made = cf.images.upscale(flow, digits()[:2], solver="euler", n_steps=2)
    assert made.images.pixels.shape == (2, 8, 8, 1)
    assert np.isfinite(flow.history["loss"]).all()


def test_only_images_of_low_resolutions_are_made():
    flow, plain = trained(low_res=2), trained()
    with pytest.raises(InputError, match="use images"):
        cf.images.sample(flow, 2)
    with pytest.raises(InputError, match="use images"):
        cf.images.score_flow(flow, digits(), 8, space="pixels")
    with pytest.raises(InputError, match="makes images of low resolutions"):
        cf.images.sample(plain, 2, guidance=Autoguidance(flow))
    with pytest.raises(InputError, match="cannot be fine-tuned"):
        cf.images.finetune(flow, digits(), n_steps=1, progress=False)
    with pytest.raises(InputError, match="without low resolutions; to upscale, train with"):
        cf.images.upscale(plain, digits()[:2])
    with pytest.raises(InputError, match="times must increase from 0"):
        cf.images.upscale(flow, digits()[:2], times=(0.5, 1.0))


def test_labels_stay_and_seeds_make_other_images():
    flow = trained(low_res=2, n_steps=5)
    some = digits()[:5]
    one, same, other = (
        cf.images.upscale(flow, some, solver="euler", n_steps=3, rng=seed, times=(0.0, 0.5, 1.0))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.images.labels, some.labels)
    np.testing.assert_array_equal(one.images.pixels, same.images.pixels)
    assert (one.images.pixels != other.images.pixels).any()
    assert one.frames.shape == (3, 5, 8, 8, 1)
    assert one.nfe == 6


@pytest.mark.slow
def test_a_short_training_upscales_digits():
    """After 120 steps: nearer to the digits than noise, and of the low resolution given."""
    net = {**TINY.recipe.net.model_dump(), "channels": 16}
    recipe = cf.recipe(
        TINY.recipe, net=net, n_steps=120, batch_size=32, learning_rate=0.004, ema_decay=0.9
    )
    flow = trained(low_res=2, method="sd-fm", recipe=recipe)
    test = digits("test")[:100]
    made = cf.images.upscale(flow, test, solver="euler", n_steps=6).images
    small = shrink(test, 2)
    rng = np.random.default_rng(0)
    noise = ImageSet(rng.integers(0, 256, test.pixels.shape, dtype=np.uint8))
    near, bicubic, far = (
        cf.images.fidelity(each, test) for each in (made, enlarge(small, 2), noise)
    )
    assert near.psnr > far.psnr + 5
    assert near.ssim > bicubic.ssim > far.ssim
    again = to_points(shrink(made, 2).pixels)
    gaps = torch.cdist(again, to_points(small.pixels))
    assert (gaps.argmin(dim=1) == torch.arange(100)).float().mean() > 0.9
