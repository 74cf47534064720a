"""Training on a share of the cells."""

import pytest
import torch

from cellflow import InputError
from cellflow.marginals import Marginals, Population
from cellflow.training.splits import split_marginals

CPU = torch.device("cpu")


def course(n):
    cells = torch.arange(float(n))[:, None]
    return Marginals((0.0, 1.0), (Population.of(cells), Population.of(cells + 0.5)))


def test_a_share_and_the_rest_are_all_cells():
    seen, unseen = split_marginals(course(50), 0.8, CPU)
    for part, rest, offset in zip(seen.populations, unseen.populations, (0, 0.5), strict=True):
        assert (len(part), len(rest)) == (40, 10)
        both = torch.cat([part.points, rest.points])[:, 0].sort().values
        assert torch.equal(both, torch.arange(50.0) + offset)


def test_the_whole_keeps_its_order_and_a_tiny_share_has_two_cells():
    whole = course(50)
    seen, _ = split_marginals(whole, 1.0, CPU)
    assert torch.equal(seen.populations[0].points, whole.populations[0].points)
    few, _ = split_marginals(course(4), 0.1, CPU)
    assert [len(population) for population in few.populations] == [2, 2]


def test_a_single_cell_is_not_shared_out():
    assert len(split_marginals(course(1), 1.0, CPU)[1].populations[0]) == 1
    with pytest.raises(InputError, match=r"train_fraction=0\.8 needs two points .* set it to 1"):
        split_marginals(course(1), 0.8, CPU)
