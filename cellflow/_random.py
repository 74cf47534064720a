"""Randomness is one generator, passed down; no global state is read or set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellflow._errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: What the public verbs take as `rng`.
RNG = int | np.random.Generator

_SEEDS = 2**63


def resolve_seed(rng: RNG) -> int:
    """Return the seed that stands for `rng`: itself, or one drawn from a generator."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(_SEEDS))
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or not 0 <= rng < _SEEDS:
        raise InputError(f"rng must be a whole number from 0 or a numpy Generator, got {rng!r}")
    return int(rng)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on `device` that starts from `seed`."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


def draw_seed(generator: torch.Generator, limit: int = 2**62) -> int:
    """Draw a seed below `limit`, for what needs a generator or a seed of its own."""
    import torch

    return int(torch.randint(limit, (1,), generator=generator, device=generator.device))


@dataclass(frozen=True)
class Generators:
    """Generators of fits that go side by side: each draws for its own, equal share of the rows.

    Attributes
    ----------
    each
        The generators, all on one device.
    """

    each: Sequence[torch.Generator]

    @property
    def device(self) -> torch.device:
        """Where they draw."""
        return self.each[0].device

    def initial_seed(self) -> int:
        """The seed that the first of them started from."""
        return self.each[0].initial_seed()

    def get_state(self) -> Tensor:
        """The states of all, a row each."""
        import torch

        return torch.stack([each.get_state() for each in self.each])

    def set_state(self, state: Tensor) -> None:
        """Go on from such states."""
        for each, own in zip(self.each, state, strict=True):
            each.set_state(own)


def spawn_generator(
    generator: torch.Generator | Generators, offset: int = 0
) -> torch.Generator | Generators:
    """Return a generator that starts from a seed drawn from this one, plus `offset`."""
    if isinstance(generator, Generators):
        return Generators([spawn_generator(each, offset) for each in generator.each])  # type: ignore[misc]
    return torch_generator(draw_seed(generator) + offset, generator.device)


def uniform_like(x: Tensor, generator: torch.Generator | Generators) -> Tensor:
    """Uniform numbers from 0 to 1 in the shape of `x`."""
    out = x.new_empty(x.shape)
    for part, each in _shares(out, generator):
        part.uniform_(generator=each)
    return out


def normal_like(x: Tensor, generator: torch.Generator | Generators) -> Tensor:
    """Standard normal numbers in the shape of `x`."""
    out = x.new_empty(x.shape)
    for part, each in _shares(out, generator):
        part.normal_(generator=each)
    return out


def _shares(
    out: Tensor, generator: torch.Generator | Generators
) -> list[tuple[Tensor, torch.Generator]]:
    """The rows of each generator."""
    if not isinstance(generator, Generators):
        return [(out, generator)]
    parts = out.view(len(generator.each), -1, *out.shape[1:]).unbind()
    return list(zip(parts, generator.each, strict=True))
