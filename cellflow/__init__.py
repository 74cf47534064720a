"""cellflow: flow matching for single-cell time courses.

Functions are grouped as in scanpy: `pp` prepares data, `tl` fits and predicts, `pl` plots; `images`
generates images with the same engine. Importing cellflow is fast: each group loads its dependencies
when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellflow import datasets, images, pl, pp, report, tl
    from cellflow._errors import (
        CellflowError,
        CellflowWarning,
        DivergenceError,
        FileError,
        InputError,
        SolverError,
    )
    from cellflow.flow import Flow
    from cellflow.methods.config import Config, read_config
    from cellflow.methods.method import Method
    from cellflow.methods.method import method_of as method
    from cellflow.methods.recipes import Recipe
    from cellflow.methods.recipes import recipe_of as recipe
    from cellflow.training.checkpoints import Checkpoint

    __version__: str

__all__ = [
    "CellflowError",
    "CellflowWarning",
    "Checkpoint",
    "Config",
    "DivergenceError",
    "FileError",
    "Flow",
    "InputError",
    "Method",
    "Recipe",
    "SolverError",
    "datasets",
    "images",
    "method",
    "pl",
    "pp",
    "read_config",
    "recipe",
    "report",
    "tl",
]

#: Module, and attribute after a colon, of each public name.
_HOMES = {
    "datasets": "cellflow.datasets",
    "images": "cellflow.images",
    "pl": "cellflow.pl",
    "pp": "cellflow.pp",
    "report": "cellflow.report",
    "tl": "cellflow.tl",
    "Checkpoint": "cellflow.training.checkpoints:Checkpoint",
    "Flow": "cellflow.flow:Flow",
    "Config": "cellflow.methods.config:Config",
    "read_config": "cellflow.methods.config:read_config",
    "Method": "cellflow.methods.method:Method",
    "method": "cellflow.methods.method:method_of",
    "Recipe": "cellflow.methods.recipes:Recipe",
    "recipe": "cellflow.methods.recipes:recipe_of",
    "CellflowError": "cellflow._errors:CellflowError",
    "CellflowWarning": "cellflow._errors:CellflowWarning",
    "DivergenceError": "cellflow._errors:DivergenceError",
    "FileError": "cellflow._errors:FileError",
    "InputError": "cellflow._errors:InputError",
    "SolverError": "cellflow._errors:SolverError",
    "__version__": "cellflow._versions:VERSION",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cellflow' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    home = importlib.import_module(module)
    return getattr(home, attribute) if attribute else home


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
