"""What a run is asked for."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

#: Seconds of each part, in order of worth. Other totals are split in proportion.
LIMITS = {"tests": 60, "steps": 140, "methods": 270, "cells": 100}

#: Training steps of each method on images.
N_STEPS = 800


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


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is brought along, with the environment's as defaults."""
    for name, what in (
        ("images", "CIFAR-10, as cellflow.images.read takes it, with test images"),
        ("inception", "weights that `cellflow image weights` writes"),
        ("cells", "folder with cite_pca100.h5ad"),
    ):
        path = os.environ.get("CELLFLOW_DATA" if name == "cells" else f"CELLFLOW_{name.upper()}")
        parser.add_argument(f"--{name}", type=Path, default=path and Path(path), help=what)
