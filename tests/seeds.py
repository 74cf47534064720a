"""Seeded generators and draws."""

import torch


def seeded(seed: int = 0) -> torch.Generator:
    """Return a generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Draw normal numbers in float64."""
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
