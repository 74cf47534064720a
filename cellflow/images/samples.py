"""Images that a flow made, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cellflow._typing import Paths
from cellflow.images.data import ImageSet
from cellflow.images.readers.source import reading


@dataclass(frozen=True)
class Samples:
    """Images that a flow made.

    Attributes
    ----------
    images
        The images, with their classes where the flow knows classes.
    by
        How they were made: the solver and its steps, as `score_flow` takes them, and the guidance.
    nfe
        Evaluations of the velocity for each image; for adaptive solvers the mean over batches.
    frames
        The images at all times asked for, uint8, shape (t, n, h, w, c).
    paths
        Where the flow carried each start at these times, shape (t, n, d), where they were kept.
    effective
        Where images are drawn from several trajectories each: the effective number of these, the
        mean over images.
    """

    images: ImageSet
    by: str
    nfe: float
    frames: np.ndarray = field(repr=False)
    paths: Paths | None = field(default=None, repr=False)
    effective: float | None = None

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the images, and what they cost, as a `.npz` file that `read` understands.

        Parameters
        ----------
        path
            The file, which ends in `.npz`.
        overwrite
            Whether a file of that name is replaced.
        """
        self.images.save(path, overwrite=overwrite, by=self.by, nfe=self.nfe)


def cost_of(path: str | Path) -> dict[str, Any]:
    """How the images in a file of `Samples.save` were made: `by` and `nfe`; else nothing.

    Parameters
    ----------
    path
        A file of images.

    Returns
    -------
    The two, where the file tells them.
    """
    if Path(path).suffix != ".npz":
        return {}
    with reading(Path(path)), np.load(path, allow_pickle=False) as arrays:
        known = {name: arrays[name] for name in ("by", "nfe") if name in arrays}
    return {name: value.item() for name, value in known.items() if value.shape == ()}
