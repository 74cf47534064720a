"""Where tensors live."""

from __future__ import annotations

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
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device {name!r} is not available here; valid: auto, cpu"
            + (", cuda" if torch.cuda.is_available() else "")
        ) from error
    return device
