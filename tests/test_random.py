"""Random draws of indices."""

import pytest
import torch

from cellflow import _random
from cellflow._random import draw_distinct
from tests.seeds import seeded


@pytest.mark.parametrize("few", [0, 10**6])
def test_distinct_indices_are_drawn_alike(few, monkeypatch):
    """Each of 60 is among 40 drawn ones in 2 / 3 of the draws, and at each place in 1 / 60."""
    monkeypatch.setattr(_random, "_FEW", few)
    monkeypatch.setattr(_random, "_FEW_PER_DRAW", 1)
    generator = seeded()
    draws = torch.stack([draw_distinct(60, 40, generator) for _ in range(1500)])
    assert (draws.sort(dim=1).values.diff(dim=1) > 0).all()
    shares = torch.bincount(draws.flatten(), minlength=60) / 1500
    assert len(shares) == 60
    torch.testing.assert_close(shares, torch.full((60,), 2 / 3), atol=0.06, rtol=0)
    places = torch.stack([(draws == index).float().mean(dim=0) for index in (0, 59)])
    torch.testing.assert_close(places, torch.full((2, 40), 1 / 60), atol=0.016, rtol=0)
