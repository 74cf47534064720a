"""Feature spaces that images are compared in, each with a name and a fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from cellflow._checks import check_choice
from cellflow._errors import FileError, InputError
from cellflow._log import progress_bar
from cellflow._tensors import compute_digest
from cellflow.images.data import check_pixels
from cellflow.images.scoring.feature_nets import (
    Pixels,
    RandomConv,
    ResNet20,
    first_line,
    read_weights,
)
from cellflow.images.scoring.inception import (
    SOURCES,
    inception_net,
    pooled_digest,
    read_inception_weights,
)

#: Feature spaces by name, as `space_of` takes them.
SPACES = ("random-conv", "pixels", "resnet20-cifar", "inception")

_FINGERPRINT_DIGITS = 16


@runtime_checkable
class FeatureSpace(Protocol):
    """A map from images to features; implement it for a space of your own."""

    @property
    def name(self) -> str:
        """Name of the space in tables."""
        ...

    @property
    def dim(self) -> int | None:
        """Number of features; None if it depends on the size of the images."""
        ...

    @property
    def fingerprint(self) -> str:
        """Digest of the map; features of equal fingerprints compare and may be cached."""
        ...

    @property
    def defines_fid(self) -> bool:
        """Whether the Frechet distance of these features is the FID: true of Inception only."""
        ...

    def __call__(
        self, pixels: np.ndarray, device: torch.device | str, *, progress: bool = False
    ) -> Tensor:
        """Map uint8 (n, h, w, c) to features (n, dim) on `device`."""
        ...


@dataclass(frozen=True, eq=False)
class NetSpace:
    """Features of a net, evaluated batch by batch.

    Attributes
    ----------
    name, dim, fingerprint, defines_fid
        As in `FeatureSpace`.
    net
        Map from uint8 (n, c, h, w) to (n, dim).
    smallest, largest
        Bounds of the sides of images, in pixels; None for no bound.
    grey
        Treatment of grey images: `kept`, `repeated` over three channels, or `refused` (an error).
    batch_size
        Images per evaluation.
    """

    name: str
    dim: int | None
    fingerprint: str
    net: nn.Module
    smallest: int = 1
    largest: int | None = None
    grey: Literal["kept", "repeated", "refused"] = "repeated"
    batch_size: int = 256
    defines_fid: bool = False

    def __call__(
        self, pixels: np.ndarray, device: torch.device | str, *, progress: bool = False
    ) -> Tensor:
        """Map uint8 (n, h, w, c) to features (n, dim), float32, on `device`."""
        self._check(pixels)
        net = self.net.to(device).eval()
        bar = progress_bar(
            len(pixels), f"{self.name} features", "image", shown=progress, at_once=True
        )
        parts = []
        # TF32 would move features by about a thousandth, and distances from machine to machine.
        with (
            bar,
            torch.no_grad(),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        ):
            for start in range(0, len(pixels), self.batch_size):
                part = self._tensor(pixels[start : start + self.batch_size]).to(device)
                parts.append(net(part).float())
                bar.update(len(part))
            return torch.cat(parts)

    def _tensor(self, pixels: np.ndarray) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        return images.expand(-1, 3, -1, -1) if self.grey == "repeated" else images

    def _check(self, pixels: np.ndarray) -> None:
        check_pixels(pixels)
        height, width, channels = pixels.shape[1:]
        sides = (height, width)
        small, large = min(sides) < self.smallest, self.largest and max(sides) > self.largest
        if small or large or (channels == 1 and self.grey == "refused"):
            limits = f"{self.smallest} {f'to {self.largest} ' if self.largest else 'or more '}"
            colours = "colour images" if self.grey == "refused" else "images"
            raise InputError(
                f"the space {self.name!r} takes {colours} with sides of {limits}pixels; got "
                f"{height} x {width} with {channels} channel(s)"
            )


def space_of(name: str, *, weights: str | Path | None = None) -> NetSpace:
    """Return a feature space.

    Parameters
    ----------
    name
        `random-conv`: a convolutional net with random weights, 256 features; it needs no file and
        suits images unlike those that pretrained nets have seen (Naeem et al. 2020), but measures
        texture and layout more than meaning.
        `pixels`: the pixels themselves, for tiny images. `resnet20-cifar`: a CIFAR-10 classifier,
        64 features. `inception`: the net that FID, KID, precision and recall were published with,
        2048 features.
    weights
        File with the weights of the last two, which are never downloaded.

    Returns
    -------
    The space.

    Raises
    ------
    InputError
        For an unknown name, a file that is missing or not needed, or without torch-fidelity.
    FileError
        For a file with other weights.
    """
    check_choice(name, SPACES, "feature space")
    if name in _WITH_WEIGHTS:
        make, sources = _WITH_WEIGHTS[name]
        if weights is None:
            raise InputError(f"the space {name!r} needs a local weights file: {sources}")
        return make(weights)
    if weights is not None:
        raise InputError(f"the space {name!r} has no weights to read, got {weights}")
    return _pixels() if name == "pixels" else _random_conv()


def resolve_space(space: str | FeatureSpace, weights: str | Path | None) -> FeatureSpace:
    """Return a space by its name, or the caller's own, which reads no weights."""
    if isinstance(space, str):
        return space_of(space, weights=weights)
    if weights is not None:
        raise InputError(f"weights are for feature spaces given by name, got {weights}")
    return space


def _pixels() -> NetSpace:
    return NetSpace("pixels", None, "pixels", Pixels(), grey="kept")


def _random_conv() -> NetSpace:
    net = RandomConv()
    return NetSpace("random conv", sum(net.widths), _fingerprint(net), net, smallest=8)


def _resnet20_cifar(weights: str | Path) -> NetSpace:
    with torch.device("meta"):
        net = ResNet20()
    try:
        net.load_state_dict(read_weights(weights), assign=True)
    except RuntimeError as error:
        raise FileError(
            f"{weights} holds no weights of a CIFAR-10 ResNet-20: {first_line(error)}"
        ) from error
    return NetSpace(
        "ResNet-20 CIFAR", 64, _fingerprint(net), net, smallest=32, largest=32, grey="refused"
    )


def _inception(weights: str | Path) -> NetSpace:
    tensors = read_inception_weights(weights)
    fingerprint = pooled_digest(tensors)[:_FINGERPRINT_DIGITS]
    net = inception_net(tensors)
    return NetSpace("Inception", 2048, fingerprint, net, batch_size=50, defines_fid=True)


def _fingerprint(net: nn.Module) -> str:
    return compute_digest(net.state_dict())[:_FINGERPRINT_DIGITS]


_WITH_WEIGHTS: dict[str, tuple[Callable[[str | Path], NetSpace], str]] = {
    "resnet20-cifar": (
        _resnet20_cifar,
        "resnet20-12fca82f.th of github.com/akamaster/pytorch_resnet_cifar10",
    ),
    "inception": (_inception, SOURCES),
}
