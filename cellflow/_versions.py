"""Versions of cellflow and of the packages that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version

#: Version of cellflow, from the git tag it was built from.
VERSION = version("cellflow-snapshots")

_PACKAGES = ("torch", "numpy", "anndata", "scanpy", "POT", "lapx")


def versions() -> dict[str, str]:
    """Return versions by package name, with cellflow and Python first."""
    return {
        "cellflow": VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
