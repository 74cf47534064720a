"""Versions of what shapes a result, for records."""

from __future__ import annotations

import platform
from importlib.metadata import version

_PACKAGES = ("torch", "numpy", "anndata", "scanpy", "POT", "lapx")


def versions() -> dict[str, str]:
    """Versions of cellflow, Python and the packages that results depend on."""
    return {
        "cellflow": version("cellflow-snapshots"),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
