"""PSNR and SSIM against their definitions."""

import math

import numpy as np
import pytest

from cellflow import InputError
from cellflow.images import ImageSet
from cellflow.images.scoring.fidelity import Fidelity, fidelity


def images(seed=0, shape=(3, 16, 14, 3)):
    return ImageSet(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def slow_ssim(x, y, size):
    """Over each window that lies inside, pixel by pixel."""
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for row in range(x.shape[0] - size + 1):
        for column in range(x.shape[1] - size + 1):
            a, b = (each[row : row + size, column : column + size].astype(float) for each in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            both = (weights * (a - ma) * (b - mb)).sum()
            found.append(
                (2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(found)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 16, 14, 3), 11), ((2, 8, 9, 1), 7), ((1, 3, 5, 1), 3), ((1, 2, 2, 3), 1)],
)
def test_ssim_is_that_of_each_window_and_channel(shape, size):
    a = images(0, shape)
    noise = np.random.default_rng(1).normal(0, 40, shape)
    b = ImageSet((a.pixels + noise).clip(0, 255).astype(np.uint8))
    slow = np.mean([
        slow_ssim(x[..., k], y[..., k], size)
        for x, y in zip(a.pixels, b.pixels, strict=True) for k in range(shape[-1])
    ])  # fmt: skip
    assert fidelity(b, a).ssim == pytest.approx(slow, abs=1e-9)


def test_psnr_is_known_where_all_pixels_differ_alike():
    black = ImageSet(np.zeros((2, 8, 8, 1), np.uint8))
    grey = ImageSet(np.stack([np.full((8, 8, 1), value, np.uint8) for value in (5, 50)]))
    expected = np.mean([20 * math.log10(255 / value) for value in (5, 50)])
    assert fidelity(grey, black).psnr == pytest.approx(expected)


def test_equal_images_are_met_exactly():
    assert fidelity(images(), images()) == Fidelity(math.inf, pytest.approx(1))


def test_noisier_images_are_less_near():
    a, rng = images(), np.random.default_rng(3)
    near, far = (
        fidelity(ImageSet((a.pixels + rng.normal(0, s, a.pixels.shape)).clip(0, 255)
                          .astype(np.uint8)), a)
        for s in (5, 50)
    )  # fmt: skip
    assert near.psnr > far.psnr
    assert near.ssim > far.ssim


def test_many_images_are_the_mean_of_parts():
    a, b = images(0, (300, 8, 8, 1)), images(1, (300, 8, 8, 1))
    parts = [fidelity(a[rows], b[rows]) for rows in (slice(0, 150), slice(150, 300))]
    whole = fidelity(a, b)
    assert whole.psnr == pytest.approx((parts[0].psnr + parts[1].psnr) / 2)
    assert whole.ssim == pytest.approx((parts[0].ssim + parts[1].ssim) / 2)


@pytest.mark.parametrize("shape", [(2, 16, 14, 3), (3, 14, 16, 3), (3, 16, 14, 1)])
def test_sets_of_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="compared one by one"):
        fidelity(images(), images(0, shape))
