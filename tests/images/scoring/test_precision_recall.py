"""Precision and recall against hand-made samples, another implementation, and laws of it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.images.scoring import precision_recall as precision_recall_module
from cellflow.images.scoring.precision_recall import precision_recall
from tests.fidelity import fidelity


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def by_definition(real: np.ndarray, generated: np.ndarray, k: int) -> tuple[float, float]:
    def share(points, centres):
        within = np.linalg.norm(centres[:, None] - centres, axis=2)
        radii = np.sort(within, axis=1)[:, k]
        across = np.linalg.norm(points[:, None] - centres, axis=2)
        return (across <= radii).any(axis=1).mean()

    return share(generated, real), share(real, generated)


@given(seed=st.integers(0, 2**31), k=st.integers(1, 4), n=st.integers(5, 20), m=st.integers(5, 20))
def test_random_samples_against_the_definition(seed, k, n, m):
    rng = np.random.default_rng(seed)
    real, generated = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) * 1.5
    found = precision_recall(torch.from_numpy(real), torch.from_numpy(generated), k)
    assert found == pytest.approx(by_definition(real, generated, k))


def test_points_on_a_line_by_hand():
    """Real balls of radius 1 around 0, 1, 2; generated ones of 0.5, 0.5 and 8.5."""
    found = precision_recall(column(0, 1, 2), column(1, 1.5, 10), k=1)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)


def test_a_sample_supports_itself_and_none_far_away():
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert precision_recall(points, points) == (1, 1)
    assert precision_recall(points, points + 100) == (0, 0)


def test_a_lost_mode_costs_recall_and_a_made_up_one_precision(rng):
    one, two = rng.normal(size=(2, 50, 2)) + np.array([[[0.0, 0]], [[50.0, 0]]])
    part = torch.from_numpy(rng.normal(size=(50, 2)))
    both = torch.from_numpy(np.concatenate([one, two]))
    lost, made_up = precision_recall(both, part), precision_recall(part, both)
    assert lost.recall < 0.55 < 0.9 < lost.precision
    assert made_up == (lost.recall, lost.precision)


def test_chunks_do_not_change_the_shares(rng, monkeypatch):
    real, generated = (torch.from_numpy(rng.normal(size=(60, 3))) for _ in range(2))
    whole = precision_recall(real, generated)
    monkeypatch.setattr(precision_recall_module, "_ENTRIES", 500)
    assert precision_recall(real, generated) == whole


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="k = 3 needs more than k points on each side, got 3 real"):
        precision_recall(column(0, 1, 2), column(0, 1, 2, 3))
    with pytest.raises(InputError, match="k = 0"):
        precision_recall(column(0, 1, 2), column(0, 1, 2), k=0)
    with pytest.raises(InputError, match="equal dimensions, got 1 and 2"):
        precision_recall(column(0, 1, 2), torch.zeros(3, 2))


def test_it_agrees_with_torch_fidelity(rng):
    prc = fidelity("metric_prc")
    real, generated = (torch.from_numpy(rng.normal(size=(80, 4)) * scale) for scale in (1, 1.3))
    theirs = prc.prc_features_to_metric(generated, real, prc_neighborhood=3, verbose=False)
    found = precision_recall(real, generated)
    assert found.precision == pytest.approx(theirs[prc.KEY_METRIC_PRECISION])
    assert found.recall == pytest.approx(theirs[prc.KEY_METRIC_RECALL])
