"""Pixels as points and back, and what becomes of stored pixels when they are drawn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cellflow import InputError
from cellflow._batch import Batch
from cellflow.images.pixels import FlippedPixels, to_pixels, to_points, to_rows

images = array_shapes(min_dims=4, max_dims=4, max_side=5).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


@given(images)
def test_points_and_back_is_the_identity(pixels):
    n, h, w, c = pixels.shape
    points = to_points(pixels)
    assert points.shape == (n, c * h * w)
    assert points.dtype == torch.float32
    np.testing.assert_array_equal(to_pixels(points, (c, h, w)), pixels)


def test_every_value_survives_in_either_precision():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    points = to_points(pixels)
    torch.testing.assert_close(points[0, [0, 255]], torch.tensor([-1.0, 1.0]), rtol=0, atol=0)
    np.testing.assert_array_equal(to_pixels(points.double(), (1, 16, 16)), pixels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a GPU with the CPU")
def test_points_are_the_same_to_the_last_digit_on_every_device():
    """Digests of points decide which kept potentials are theirs."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    assert torch.equal(to_points(values.cuda()).cpu(), to_points(values))


def test_coordinates_are_channels_first_row_by_row():
    pixels = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    np.testing.assert_array_equal(to_rows(pixels)[1], pixels[1].transpose(2, 0, 1).ravel())
    np.testing.assert_array_equal(to_rows(torch.from_numpy(pixels)), to_rows(pixels))


def test_points_outside_the_range_become_black_and_white_and_zero_mid_grey():
    points = torch.tensor([[-3.0, -1.0, 0.0, 1.0, 1.7]])
    assert to_pixels(points, (1, 1, 5)).ravel().tolist() == [0, 0, 128, 255, 255]


def test_read_only_and_mirrored_arrays_are_read(rng):
    pixels = rng.integers(0, 256, size=(2, 3, 3, 1), dtype=np.uint8)
    expected = to_rows(pixels.copy())
    pixels.setflags(write=False)
    assert torch.equal(to_rows(pixels), expected)
    assert torch.equal(to_rows(pixels[::-1]), expected.flip(0))


@pytest.mark.parametrize("bad", [np.zeros((2, 4, 4, 1)), np.zeros((4, 4, 1), np.uint8)])
def test_what_are_no_pixels_is_refused(bad):
    with pytest.raises(InputError, match="pixels must be uint8 with the axes"):
        to_points(bad)


def stored(pixels, **columns):
    return Batch(to_rows(pixels), **columns)


@given(images, st.integers(0, 2**31))
def test_drawn_images_are_the_stored_ones_or_their_mirror_images(pixels, seed):
    n, h, w, c = pixels.shape
    generator = torch.Generator().manual_seed(seed)
    drawn = to_pixels(FlippedPixels((c, h, w))(stored(pixels), generator).x, (c, h, w))
    for one, original in zip(drawn, pixels, strict=True):
        assert (one == original).all() or (one == original[:, ::-1]).all()


def test_each_row_keeps_its_values_and_half_of_them_are_mirrored(rng, generator):
    pixels = rng.integers(0, 256, size=(4000, 3, 4, 3), dtype=np.uint8)
    drawn = to_pixels(FlippedPixels((3, 3, 4))(stored(pixels), generator).x, (3, 3, 4))
    mirrored = (drawn != pixels).any(axis=(1, 2, 3))
    # Four standard deviations of 4000 fair coins.
    assert mirrored.mean() == pytest.approx(0.5, abs=0.032)
    np.testing.assert_array_equal(np.sort(drawn, axis=2), np.sort(pixels, axis=2))


def test_the_same_flips_twice_are_none(rng):
    pixels = rng.integers(0, 256, size=(50, 3, 4, 1), dtype=np.uint8)
    reading = FlippedPixels((1, 3, 4))
    once, twice = pixels, pixels
    for _ in range(2):
        points = reading(stored(twice), torch.Generator().manual_seed(5)).x
        once, twice = twice, to_pixels(points, reading.shape)
    assert (once != twice).any()
    np.testing.assert_array_equal(twice, pixels)


def test_nothing_is_mirrored_without_a_generator_or_with_flips_off(rng, generator):
    pixels = rng.integers(0, 256, size=(50, 3, 4, 1), dtype=np.uint8)
    before = generator.get_state()
    for reading, source in [
        (FlippedPixels((1, 3, 4)), None),
        (FlippedPixels((1, 3, 4), flips=False), generator),
    ]:
        assert torch.equal(reading(stored(pixels), source).x, to_points(pixels))
    assert torch.equal(generator.get_state(), before)


def test_other_columns_are_kept_and_stored_rows_untouched(rng, generator):
    pixels = rng.integers(0, 256, size=(20, 3, 4, 1), dtype=np.uint8)
    columns = {"condition": torch.rand(20, 2), "label": torch.arange(20)}
    rows = stored(pixels.copy(), **columns)
    drawn = FlippedPixels((1, 3, 4))(rows, generator)
    assert drawn.condition is columns["condition"]
    assert drawn.label is columns["label"]
    assert torch.equal(rows.x, to_rows(pixels))


def test_the_same_seed_draws_the_same(rng):
    rows = stored(rng.integers(0, 256, size=(50, 3, 4, 1), dtype=np.uint8))
    first, again, other = (
        FlippedPixels((1, 3, 4))(rows, torch.Generator().manual_seed(seed)).x for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
