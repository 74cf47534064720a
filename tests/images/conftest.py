"""Pixels to write into files."""

import numpy as np
import pytest


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, size=(6, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def grey(rgb):
    return rgb[..., :1]
