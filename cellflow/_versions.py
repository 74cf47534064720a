"""Versions of what shapes a result, for records."""

from __future__ import annotations

import platform
from importlib.metadata import version

#: Version of cellflow, from the tag that it was built from.
VERSION = version("cellflow-snapshots")

_PACKAGES = ("torch", "numpy", "anndata", "scanpy", "POT", "lapx")


def versions() -> dict[str, str]:
    """Versions of cellflow, Python and the packages that results depend on."""
    return {
        "cellflow": VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
