"""Handwritten digits of scikit-learn, with a fixed split."""

from __future__ import annotations

import numpy as np

from cellflow._errors import InputError
from cellflow.images.readers.source import TEST, TRAIN, ImageSource

NAME = "digits"

_LARGEST = 16
_SEED = 0
#: One image of five is a test image.
_FOLD = 5


def source() -> ImageSource:
    """Return 1,797 grey digits of 8 x 8 pixels: 1,437 for training and 360 for tests, by class."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError("the digits come with scikit-learn: pip install scikit-learn") from error
    pixels, labels = load_digits(return_X_y=True)
    pixels = np.rint(pixels * (255 / _LARGEST)).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int64)
    held_out = _held_out(labels)
    return ImageSource(
        NAME,
        {
            TRAIN: lambda: (pixels[~held_out], labels[~held_out]),
            TEST: lambda: (pixels[held_out], labels[held_out]),
        },
        tuple(str(digit) for digit in range(10)),
    )


def _held_out(labels: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(_SEED).permutation(len(labels))
    # Every fifth image in the order of the classes, so that each class has its share.
    by_class = order[np.argsort(labels[order], kind="stable")]
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[by_class[::_FOLD]] = True
    return chosen
