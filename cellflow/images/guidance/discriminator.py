"""A trained discriminator of real images and those of a flow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cellflow._typing import Condition, Points, Rows
from cellflow.flow.description import count_weights
from cellflow.flow.storage import (
    Format,
    Stored,
    check_sizes,
    fingerprint,
    read_folder,
    reraise_unreadable,
    write_folder,
)
from cellflow.images.guidance.noisy_classifier import RatioNet

#: Format on disk: `discriminator.json` and `tensors.safetensors`.
DISCRIMINATOR = Format("discriminator", 1)

#: Probabilities are clipped this far from 0 and 1 (Kim et al. 2023, arXiv 2211.17091, their code).
_CLIP = 1e-5


@dataclass(frozen=True)
class Discriminator:
    """Classifier of noisy images as real or generated, for `DiscriminatorGuidance`.

    Attributes
    ----------
    net
        Log-ratio of the densities of real and generated images, ln(D / (1 - D)).
    settings
        Provenance: the flow, the numbers of images, pairing, recipe, seed, versions.
    history
        `step`, `loss`, and `check` and `accuracy` on held-out images; with the prefix `classifier_`
        those of the classifier, if there is one.
    """

    net: RatioNet
    settings: Mapping[str, Any]
    history: Mapping[str, Sequence[float]]

    def __repr__(self) -> str:
        return (
            f"Discriminator\n    net: {count_weights(self.net):,} weights, "
            f"{self.condition_dim} covariates\n    id: {self.fingerprint}"
        )

    @property
    def device(self) -> torch.device:
        """Device of the net."""
        return next(self.net.parameters()).device

    @property
    def condition_dim(self) -> int:
        """Number of covariates of the net."""
        return self.net.condition_dim

    @property
    def fingerprint(self) -> str:
        """Digest of the weights."""
        return fingerprint(self.net.state_dict())

    def log_ratio(self, sigma: Rows, x: Points, condition: Condition | None = None) -> Rows:
        """Return ln(D / (1 - D)) with D clipped to [1e-5, 1 - 1e-5]; gradients reach `x`.

        Parameters
        ----------
        sigma
            Levels of noise, shape (n,).
        x
            Images with noise, y + sigma n, shape (n, c * h * w).
        condition
            Covariates, shape (n, condition_dim).

        Returns
        -------
        Log-ratios, shape (n,), on the device and in the precision of `x`.
        """
        like = next(self.net.parameters())
        known = None if condition is None else condition.to(like)
        bound = math.log((1 - _CLIP) / _CLIP)
        return self.net(sigma.to(like), x.to(like), known).clamp(-bound, bound).to(x)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a folder of safetensors and JSON, atomically.

        Parameters
        ----------
        path
            The folder.
        overwrite
            Whether an older discriminator there is replaced.

        Raises
        ------
        FileError
            If `path` cannot be written, exists while `overwrite` is off, or is something else than
            a discriminator.
        """
        description = {
            "net": self.net.settings,
            "settings": dict(self.settings),
            "history": {name: list(values) for name, values in self.history.items()},
        }
        stored = Stored(description, self.net.state_dict())
        write_folder(Path(path), stored, overwrite=overwrite, form=DISCRIMINATOR)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Discriminator:
        """Read a discriminator written by `save`.

        Parameters
        ----------
        path
            The folder.
        device
            Device of the net.

        Returns
        -------
        The discriminator.

        Raises
        ------
        FileError
            If the folder is missing, incomplete, altered, of another schema or of another kind.
        """
        stored = read_folder(Path(path), DISCRIMINATOR)
        with reraise_unreadable(Path(path), DISCRIMINATOR):
            description = stored.description
            check_sizes(description["net"], stored.tensors)
            net = RatioNet(**description["net"])
            net.load_state_dict(dict(stored.tensors))
            values = dict(description["settings"]), dict(description["history"])
            return cls(net.to(device).eval(), *values)
