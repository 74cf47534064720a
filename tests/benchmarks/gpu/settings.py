"""What a run is asked for, and what it was given."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Seconds of each part, in order of worth. Other totals are split in proportion.
LIMITS = {"tests": 50, "steps": 110, "methods": 300, "cells": 110}

#: Packages that a part does not go without.
_NEEDS = {
    "tests": ("pytest", "xdist", "pytest_randomly", "hypothesis", "beartype"),
    "steps": (),
    "methods": ("torch_fidelity",),
    "cells": ("torchcfm",),
}


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes
    ----------
    folder
        Where results go.
    rehearse
        Whether all is tiny and on the CPU, with images and cells drawn at random.
    n_steps
        Training steps of each method on images.
    images, inception, cells
        Files and folders that are brought along, or None.
    """

    folder: Path
    rehearse: bool
    n_steps: int
    images: Path | None = None
    inception: Path | None = None
    cells: Path | None = None

    @property
    def device(self) -> str:
        """Device of all parts."""
        return "cpu" if self.rehearse else "cuda"

    @property
    def work(self) -> Path:
        """Folder of flows, potentials and features."""
        return self.folder / "work"


def brings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Iterate over what a run may bring along, and what was found of it."""
    for package in ("torchcfm", "torch_fidelity", "triton", *_NEEDS["tests"]):
        yield f"package {package}", "found" if has(package) else "missing"
    if settings.rehearse:
        yield "images", "random ones of 8 x 8 pixels stand in for CIFAR-10"
        yield "features", "space random-conv stands in for Inception: no distance here is an FID"
        yield "cells", "drawn at random"
        yield "compilation", "left out on the CPU"
        return
    yield "images (--images)", _describe(settings.images)
    yield "Inception weights (--inception)", _describe(settings.inception)
    yield "cells (--cells)", _describe(settings.cells)


def reason_against(part: str, settings: Settings) -> str | None:
    """Return why a part cannot run, or None."""
    if settings.rehearse:
        # Whatever stands in for data needs no package; parts leave TorchCFM's side out and say so.
        return None
    missing = [f"package {package}" for package in _NEEDS[part] if not has(package)]
    if part == "methods":
        missing += [f"--{name}" for name in ("images", "inception") if not getattr(settings, name)]
    if part == "cells":
        missing += [] if settings.cells else ["--cells"]
    return f"missing: {', '.join(missing)}" if missing else None


def has(package: str) -> bool:
    """Return whether a package can be imported, without doing so."""
    return importlib.util.find_spec(package) is not None


def _describe(path: Path | None) -> str:
    return "not given" if path is None else str(path)
