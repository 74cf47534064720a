"""Training cells and unseen cells."""

from __future__ import annotations

from dataclasses import replace

import torch

from cellflow._errors import InputError
from cellflow._random import torch_generator
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.training.devices import move_marginals

#: The training cells do not depend on the seed of a fit, as in the reference runner, so that seeds
#: differ by training alone.
SPLIT_SEED = 42


def split_marginals(
    marginals: Marginals, fraction: float, device: torch.device
) -> tuple[Marginals, Marginals]:
    """Split each population at random in a share and its rest; for a share of 1, return it twice.

    Raises
    ------
    InputError
        If a population of one point would have to be split.
    """
    if fraction == 1:
        here = move_marginals(marginals, device)
        return here, here
    generator = torch_generator(SPLIT_SEED)
    parts: list[tuple[Population | Gaussian, Population | Gaussian]] = []
    for population in marginals.populations:
        if isinstance(population, Gaussian):
            parts.append((population, population))
            continue
        if len(population) == 1:
            raise InputError(
                f"train_fraction={fraction:g} needs two points or more at each time, and one has "
                "a single one; set it to 1"
            )
        order = torch.randperm(len(population), generator=generator)
        n = min(max(2, round(fraction * len(population))), len(population) - 1)
        parts.append((population[order[:n]], population[order[n:]]))
    seen, unseen = (
        move_marginals(replace(marginals, populations=tuple(side)), device)
        for side in zip(*parts, strict=True)
    )
    return seen, unseen
