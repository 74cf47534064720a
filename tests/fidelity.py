"""torch-fidelity, an independent source of the scores of images, where it can be imported."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest


def fidelity(module: str) -> ModuleType:
    """Import a module of torch-fidelity, or skip the test and say why not.

    Its torchvision may be missing or built for another torch, which ends in more than one error.
    """
    try:
        return importlib.import_module(f"torch_fidelity.{module}")
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"torch-fidelity cannot be imported: {error}")
