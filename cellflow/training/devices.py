"""Devices and CPU threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from cellflow._errors import InputError
from cellflow.marginals import Gaussian, Marginals, Population


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is the first CUDA device if there is one.

    Raises
    ------
    InputError
        If the name is not a device of torch, or this machine does not have the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device {name!r} is not available here; valid: auto, cpu"
            + (", cuda" if torch.cuda.is_available() else "")
        ) from error
    return device


@contextmanager
def cpu_threads(n: int | None) -> Iterator[None]:
    """Run torch on `n` CPU threads inside the block, and on as many as before afterwards.

    None does not change the number, but puts it back: numba, which scanpy uses, sets it for the
    whole process to the number of cores, whatever OMP_NUM_THREADS says.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def move_marginals(marginals: Marginals, device: torch.device) -> Marginals:
    """Move marginals to `device`, but for those that need half of a GPU's free memory or more."""
    return replace(
        marginals,
        populations=tuple(
            each.to(device) if _fits(each, device) else each for each in marginals.populations
        ),
    )


def _fits(side: Population | Gaussian, device: torch.device) -> bool:
    if device.type != "cuda" or isinstance(side, Gaussian):
        return True
    needed = sum(column.nbytes for column in side.stored.columns().values())
    return needed < torch.cuda.mem_get_info(device)[0] / 2
