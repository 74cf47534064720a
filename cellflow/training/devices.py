"""Where tensors live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cellflow._errors import InputError


def resolve_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the first CUDA device where there is one.

    Raises
    ------
    InputError
        For a name that torch does not know or a device that this machine lacks.
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
def single_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread, then on as many as before.

    The nets of cell flows are so small that handing work to other threads costs about what it
    saves, and a multiple of it where other processes want the cores; sums come out the same on
    machines with any number of cores, too. On a GPU it changes nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
