"""The kernel distance against its definition, another implementation, and laws of it."""

from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow.images.scoring.kernel_distance import kernel_distance
from tests.fidelity import fidelity


def normal(n: int, d: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=drawn, dtype=torch.float64) + shift


def by_definition(x: torch.Tensor, y: torch.Tensor) -> float:
    def kernel(one, other):
        return float((one @ other / len(one) + 1) ** 3)

    n, m = len(x), len(y)
    xx = [kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j]
    yy = [kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j]
    xy = [kernel(one, other) for one in x for other in y]
    return float(np.mean(xx) + np.mean(yy) - 2 * np.mean(xy))


@given(seed=st.integers(0, 2**31), n=st.integers(2, 6))
def test_whole_samples_against_the_definition(seed, n):
    x, y = normal(n, 3, seed), normal(n, 3, seed + 1, shift=0.5)
    found = kernel_distance(x, y, torch.Generator().manual_seed(seed), subsets=2)
    assert found.mean == pytest.approx(by_definition(x, y))
    assert found.std == pytest.approx(0, abs=1e-12)
    assert (found.subsets, found.subset_size) == (2, n)


def test_subsets_are_as_large_as_the_smaller_sample_at_most(generator):
    x, y = normal(30, 2), normal(9, 2, seed=1)
    assert kernel_distance(x, y, generator).subset_size == 9
    assert kernel_distance(y, x, generator, subset_size=5).subset_size == 5


def test_it_is_unbiased_where_both_samples_are_of_one_law(generator):
    """The subsets of two large samples scatter around zero, on either side."""
    found = kernel_distance(normal(4000, 4), normal(4000, 4, seed=1), generator, 200, 20)
    assert abs(found.mean) < 4 * found.std / np.sqrt(200)
    assert found.std > 0


def test_it_has_the_closed_form_of_two_points(generator):
    """Two copies of 0 against two of 1 in one dimension: 1 + (1 + 1)^3 - 2."""
    found = kernel_distance(torch.zeros(2, 1), torch.ones(2, 1), generator, subsets=1)
    assert found.mean == pytest.approx(7)


def test_it_grows_with_a_shift(generator):
    values = [
        kernel_distance(normal(200, 3), normal(200, 3, seed=1, shift=shift), generator).mean
        for shift in (0, 0.5, 1)
    ]
    assert values == sorted(values)


def test_same_seed_same_subsets():
    x, y = normal(50, 3), normal(50, 3, seed=1)
    one, again, other = (
        kernel_distance(x, y, torch.Generator().manual_seed(seed), subset_size=10)
        for seed in (0, 0, 1)
    )
    assert one == again != other


@pytest.mark.parametrize("entries", [1, 700])
def test_taking_fewer_subsets_together_does_not_change_them(entries, generator, monkeypatch):
    x, y = normal(50, 3), normal(40, 3, seed=1)
    whole = kernel_distance(x, y, torch.Generator().manual_seed(0), subset_size=10)
    monkeypatch.setattr(
        import_module("cellflow.images.scoring.kernel_distance"), "_ENTRIES", entries
    )
    parts = kernel_distance(x, y, torch.Generator().manual_seed(0), subset_size=10)
    assert (parts.mean, parts.std) == pytest.approx((whole.mean, whole.std))


def test_bad_input_is_refused(generator):
    with pytest.raises(InputError, match="2 points or more of each side, got 1"):
        kernel_distance(normal(1, 3), normal(5, 3), generator)
    with pytest.raises(InputError, match="equal dimensions, got 3 and 4"):
        kernel_distance(normal(5, 3), normal(5, 4), generator)
    with pytest.raises(InputError, match="subsets must be positive, got 0"):
        kernel_distance(normal(5, 3), normal(5, 3), generator, subsets=0)


def test_it_agrees_with_torch_fidelity(generator):
    """Subsets of all points do not depend on the seed, so that both see the same ones."""
    kid = fidelity("metric_kid")
    x, y = normal(64, 16), normal(64, 16, seed=1, shift=0.2)
    theirs = kid.kid_features_to_metric(x, y, kid_subsets=2, kid_subset_size=64, verbose=False)
    found = kernel_distance(x, y, generator, subsets=2)
    assert found.mean == pytest.approx(theirs[kid.KEY_METRIC_KID_MEAN], rel=1e-9)
