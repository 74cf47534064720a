"""Where tensors live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from cellflow._errors import InputError
from cellflow.marginals import Gaussian, Marginals, Population


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
def cpu_threads(n: int | None) -> Iterator[None]:
    """Let torch compute on `n` CPU threads, then on as many as before, whatever happens inside.

    None leaves the number as it is. numba, which scanpy computes with, sets it for the whole
    process to that of the cores, whatever OMP_NUM_THREADS says.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def placed(marginals: Marginals, device: torch.device) -> Marginals:
    """The marginals on `device`; those that would fill half of a GPU's free memory stay put."""
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
