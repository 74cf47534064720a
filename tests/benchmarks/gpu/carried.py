"""What a run brings along, checked before the first part."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.gpu.settings import Settings

#: Packages that a part does not go without.
_PACKAGES = {
    "tests": ("pytest", "xdist", "pytest_randomly", "hypothesis", "beartype"),
    "steps": (),
    "methods": ("torch_fidelity",),
    "cells": ("torchcfm",),
}

#: The file of the cells.
CELLS = "cite_pca100.h5ad"


def has(package: str) -> bool:
    """Return whether a package can be imported, with all that it needs itself."""
    return _describe_package(package) == "found"


def _describe_package(package: str) -> str:
    try:
        importlib.import_module(package)
    # Libraries that do not fit each other raise other errors than ImportError.
    except Exception as error:
        return f"missing, {error}"
    return "found"


def check(settings: Settings) -> dict[str, str]:
    """Print what is there and what is missing; return the parts that cannot run, and why."""
    packages = [name for names in _PACKAGES.values() for name in names]
    missing = {
        part: [f"package {name}" for name in names if not has(name)]
        for part, names in _PACKAGES.items()
    }
    for name in dict.fromkeys(("torchcfm", "triton", *packages)):
        print(f"package {name}: {_describe_package(name)}")
    if settings.rehearse:
        print("images: random ones of 8 x 8 pixels stand in for CIFAR-10")
        print("features: random convolutions stand in for Inception; no distance here is an FID")
        print("cells: drawn at random")
        print("compilation: left out")
        # Nothing else needs these packages; TorchCFM's side is left out where it is missing.
        missing |= {part: [] for part in ("methods", "cells")}
    else:
        for part, option, found in _files(settings):
            print(f"--{option}: {found or 'missing'}")
            missing[part] += [] if found else [f"--{option}"]
    return {part: f"missing: {', '.join(what)}" for part, what in missing.items() if what}


def _files(settings: Settings) -> Iterator[tuple[str, str, str | None]]:
    """Iterate over parts, options, and what the files of these are, None if they are of no use."""
    checks: dict[str, tuple[str, Callable[[Path], str]]] = {
        "images": ("methods", _describe_images),
        "inception": ("methods", _describe_inception),
        "cells": ("cells", _describe_cells),
    }
    for option, (part, describe) in checks.items():
        path = getattr(settings, option)
        try:
            yield part, option, None if path is None else f"{path}, {describe(path)}"
        except Exception as error:
            print(f"{path}: {error}")
            yield part, option, None


def _describe_images(path: Path) -> str:
    import cellflow as cf

    counts = {split: len(cf.images.read(path, split=split)) for split in ("train", "test")}
    return f"{counts['train']:,} images to train on, {counts['test']:,} for tests"


def _describe_inception(path: Path) -> str:
    from cellflow.images.scoring.features import space_of

    space_of("inception", weights=path)
    return "the weights that FID is defined by"


def _describe_cells(path: Path) -> str:
    if not (path / CELLS).is_file():
        raise FileNotFoundError(f"it has no {CELLS}")
    return CELLS
