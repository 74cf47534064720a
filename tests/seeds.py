"""Generators with a seed."""

import torch


def seeded(seed: int = 0) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers in double precision."""
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
