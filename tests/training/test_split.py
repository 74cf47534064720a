"""Training on a share of the cells."""

import torch

from cellflow.marginals import Population
from cellflow.training.fit import _share


def test_a_share_is_some_of_the_cells_and_the_whole_is_itself(generator):
    population = Population(torch.arange(50.0)[:, None])
    share = _share(population, 0.8, generator)
    assert len(share) == 40
    assert len(torch.unique(share.points)) == 40
    assert _share(population, 1.0, generator) is population
    assert len(_share(Population(torch.zeros(3, 1)), 0.1, generator)) == 2
