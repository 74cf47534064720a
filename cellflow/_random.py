"""Seeds, generators and random draws; no global random state is read or set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellflow._errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Type of the argument `rng` of public functions.
RNG = int | np.random.Generator

_SEEDS = 2**63

#: Indices, and indices per drawn one, up to which a permutation of all is faster than looking for
#: repeated ones.
_FEW, _FEW_PER_DRAW = 10_000, 20

#: Indices drawn beyond the number that is needed.
_SPARE = 16


def resolve_seed(rng: RNG) -> int:
    """Return `rng` itself if it is a seed, or a seed drawn from it if it is a generator."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(_SEEDS))
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or not 0 <= rng < _SEEDS:
        raise InputError(f"rng must be a non-negative integer or a numpy Generator, got {rng!r}")
    return int(rng)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on `device` with a seed."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


def draw_seed(generator: torch.Generator, limit: int = 2**62) -> int:
    """Draw a seed below `limit`."""
    import torch

    return int(torch.randint(limit, (1,), generator=generator, device=generator.device))


def spawn_generator(generator: torch.Generator, offset: int = 0) -> torch.Generator:
    """Return a generator seeded with a draw from this one plus `offset`."""
    return torch_generator(draw_seed(generator) + offset, generator.device)


def uniform_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw uniform numbers from 0 to 1 in the shape of `x`."""
    return x.new_empty(x.shape).uniform_(generator=generator)


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers in the shape of `x`."""
    return x.new_empty(x.shape).normal_(generator=generator)


def draw_weighted(weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` indices with replacement, with probability proportional to `weights`."""
    import torch

    return torch.multinomial(weights, n, replacement=True, generator=generator)


def draw_distinct(n: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw `k` of `n` indices without replacement, in random order.

    Few of many are the first distinct ones of a sequence drawn with replacement, whose time does
    not grow with `n`.
    """
    import torch

    device = generator.device
    if n < _FEW + _FEW_PER_DRAW * k:
        return torch.randperm(n, generator=generator, device=device)[:k]
    while True:
        drawn = torch.randint(n, (k + k // 8 + _SPARE,), generator=generator, device=device)
        order = drawn.argsort(stable=True)
        is_first = torch.ones_like(drawn, dtype=torch.bool)
        is_first[order[1:]] = drawn[order].diff() != 0
        distinct = drawn[is_first]
        if len(distinct) >= k:
            return distinct[:k]


def draw_positions(cdf: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` uniform positions between 0 and `cdf[-1]`, in float64, for `search_cdf`."""
    import torch

    share = torch.rand(n, generator=generator, device=cdf.device, dtype=torch.float64)
    return share * cdf[-1]


def search_cdf(cdf: Tensor, positions: Tensor) -> Tensor:
    """Return the index of the entry of a cumulative sum that each position falls into."""
    import torch

    return torch.searchsorted(cdf, positions, right=True).clamp(max=len(cdf) - 1)
