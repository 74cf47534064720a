"""cellflow: from single-cell snapshots to the film between them.

The verbs are grouped as in scanpy: `pp` prepares, `tl` fits and predicts, `pl` draws. Importing
this package loads none of its heavy dependencies; each group loads its own when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellflow import datasets, pl, pp, tl
    from cellflow._errors import CellflowError, CellflowWarning, FileError, InputError, SolverError
    from cellflow.flow import Flow

__version__ = "0.1.0"

__all__ = [
    "CellflowError",
    "CellflowWarning",
    "FileError",
    "Flow",
    "InputError",
    "SolverError",
    "datasets",
    "pl",
    "pp",
    "tl",
]

_PACKAGES = {"datasets", "pl", "pp", "tl"}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"cellflow.{name}")
    if name == "Flow":
        return importlib.import_module("cellflow.flow").Flow
    if name in __all__:
        return getattr(importlib.import_module("cellflow._errors"), name)
    raise AttributeError(f"module 'cellflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
