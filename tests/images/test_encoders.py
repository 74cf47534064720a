"""From pixels to points and back, as pixels and as principal components."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.images import ImageSet, PCAEncoder
from cellflow.images.encoders import Encoder, PixelEncoder
from tests.small_images import digits


@given(
    shape=st.tuples(st.integers(1, 5), *(st.integers(1, 6),) * 2, st.sampled_from([1, 3])),
    seed=st.integers(0, 99),
)
def test_pixels_come_back(shape, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    encoder = PixelEncoder((shape[3], *shape[1:3]))
    points = encoder.encode(pixels)
    assert points.shape == (shape[0], np.prod(shape[1:]))
    np.testing.assert_array_equal(encoder.decode(points), pixels)


def test_all_components_are_the_pixels():
    """Pixels that no image uses are constant, so fewer components than pixels are enough."""
    images = digits()
    encoder = PCAEncoder.fit(images, 64)
    back = encoder.decode(encoder.encode(images.pixels))
    assert np.abs(back.astype(int) - images.pixels).max() <= 1


def test_components_are_orthonormal_scores_centred_and_their_variances_fall():
    encoder = PCAEncoder.fit(digits(), 10)
    torch.testing.assert_close(
        encoder.components @ encoder.components.T, torch.eye(10), rtol=0, atol=1e-5
    )
    scores = encoder.encode(digits().pixels)
    torch.testing.assert_close(scores.mean(dim=0), torch.zeros(10), rtol=0, atol=1e-4)
    variances = scores.var(dim=0)
    assert (variances.diff() < 0).all()
    values = np.cov(digits().pixels.reshape(-1, 64).T / 127.5)
    wanted = np.linalg.eigvalsh(values)[::-1][:10]
    np.testing.assert_allclose(variances.numpy(), wanted, rtol=1e-4)


def test_images_of_both_ends_make_the_components():
    ones, zeros = digits().of_class(1), digits().of_class(0)
    both = PCAEncoder.fit(ones, 6, zeros)
    whole = PCAEncoder.fit(ImageSet(np.concatenate([ones.pixels, zeros.pixels])), 6)
    torch.testing.assert_close(both.centre, whole.centre)
    torch.testing.assert_close(both.components.abs(), whole.components.abs(), rtol=0, atol=1e-4)


def test_more_components_than_there_are_are_refused():
    with pytest.raises(InputError, match="digits/train has at most 5 components, not 6"):
        PCAEncoder.fit(digits()[:5], 6)
    with pytest.raises(InputError, match="at most 64 components, not 65"):
        PCAEncoder.fit(digits(), 65)
    with pytest.raises(InputError, match="n_components must be positive"):
        PCAEncoder.fit(digits(), 0)


@pytest.mark.parametrize("encoder", [PixelEncoder((1, 8, 8)), PCAEncoder.fit(digits(), 4)])
def test_encoders_are_made_again_from_what_a_flow_keeps(encoder):
    assert isinstance(encoder, Encoder)
    again = type(encoder).restore(encoder.shape, encoder.arrays)
    pixels = digits().pixels[:5]
    torch.testing.assert_close(again.encode(pixels), encoder.encode(pixels), rtol=0, atol=0)
    points = again.encode(pixels)
    np.testing.assert_array_equal(again.decode(points), encoder.decode(points))
