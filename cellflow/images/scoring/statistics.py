"""Features of real images and their moments, with a cache on disk.

A cache file has the SHA-256 digest of its tensors and the images and space that they belong to; a
file that does not match is replaced with a warning.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cellflow._errors import CellflowWarning, FileError, InputError
from cellflow._files import check_place
from cellflow._tensors import check_digest, read_tensors, write_tensors
from cellflow.images.data import ImageSet
from cellflow.images.scoring.features import FeatureSpace
from cellflow.images.scoring.frechet import Moments

_FORMAT = "cellflow-image-statistics-2"


@dataclass(frozen=True)
class Statistics:
    """Features of images and their moments.

    Attributes
    ----------
    features
        Shape (n, d), float32.
    moments
        Moments of all features.
    """

    features: Tensor
    moments: Moments

    @classmethod
    def of(cls, features: Tensor) -> Statistics:
        """Return the statistics of features."""
        if not features.isfinite().all():
            raise InputError("features are not finite: the feature space does not fit the images")
        return cls(features, Moments.of(features.cpu().numpy()))


def statistics_of(
    images: ImageSet,
    space: FeatureSpace,
    *,
    cache: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Statistics:
    """Return features of images and their moments, from the cache if it has them.

    Parameters
    ----------
    images
        The images, all of which are used.
    space
        Feature space.
    cache
        Folder with a file for each image set and space, made if missing: 4 bytes per feature and 8
        bytes per pair of features. None stores nothing.
    device
        Device of the computation, and of the features returned.
    progress
        Show a progress bar on stderr.

    Warns
    -----
    CellflowWarning
        If a cache file is damaged, or belongs to other images; it is replaced.

    Raises
    ------
    InputError
        If `cache` is a file, or the space does not fit the images.
    """
    if cache is None:
        return Statistics.of(space(images.pixels, device, progress=progress))
    key = {
        "images": images.fingerprint,
        "space": space.name,
        "fingerprint": space.fingerprint,
        "n": str(len(images)),
    }
    path = _folder(cache) / _file_name(key)
    if path.exists():
        try:
            return _read(path, key, device)
        except FileError as error:
            warnings.warn(f"{error}; it is replaced", CellflowWarning, stacklevel=2)
    found = Statistics.of(space(images.pixels, device, progress=progress))
    _write(path, key, found)
    return found


def _folder(cache: str | Path) -> Path:
    folder = Path(cache)
    check_place(folder, "a cache")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"cache {str(folder)!r} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _file_name(key: dict[str, str]) -> str:
    return "-".join(re.sub(r"\W+", "_", part) for part in key.values()) + ".safetensors"


def _write(path: Path, key: dict[str, str], statistics: Statistics) -> None:
    tensors = {
        "features": statistics.features,
        "mean": torch.from_numpy(statistics.moments.mean),
        "scatter": torch.from_numpy(statistics.moments.scatter),
    }
    write_tensors(path, tensors, {"format": _FORMAT, **key}, overwrite=True)


def _read(path: Path, key: dict[str, str], device: torch.device | str) -> Statistics:
    """Read a cache file; `FileError` unless `_write` wrote it for this key."""
    tensors, metadata = read_tensors(path, "statistics of images")
    check_digest(path, tensors, metadata)
    if {name: metadata.get(name) for name in ("format", *key)} != {"format": _FORMAT, **key}:
        raise FileError(f"the cached statistics {path} belong to other images or another space")
    moments = Moments(int(key["n"]), tensors["mean"].numpy(), tensors["scatter"].numpy())
    return Statistics(tensors["features"].to(device), moments)
