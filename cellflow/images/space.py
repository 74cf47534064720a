"""The space of a flow of images: shape, encoder, classes and low resolution of its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cellflow._batch import Batch
from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._typing import Condition
from cellflow.flow import Context, Flow
from cellflow.images.augment import AugmentedPixels
from cellflow.images.data import ImageSet
from cellflow.images.encoders import ENCODERS, Encoder, PixelEncoder
from cellflow.images.low_res import average_squares, check_factor
from cellflow.images.pixels import FlippedPixels, Shape, to_points, to_rows
from cellflow.marginals import Population


@dataclass(frozen=True)
class ImageSpace:
    """Coordinates of images, and the conditions that the velocity depends on.

    Attributes
    ----------
    shape
        Channels, height and width of an image.
    encoder
        Map from pixels to points and back.
    classes
        Names of the classes that the velocity depends on; may be empty.
    target, source
        Names of the image sets that the flow generates and starts from; `noise` for a source.
    low_res
        If the velocity depends on low resolutions: pixels per side that become one pixel.
    """

    shape: Shape
    encoder: Encoder
    classes: tuple[str, ...]
    target: str
    source: str
    low_res: int | None = None

    @property
    def kind(self) -> str:
        """Name of the encoder; `custom` for your own, which is not stored in the flow."""
        names = {kind: name for name, kind in ENCODERS.items()}
        return names.get(type(self.encoder), "custom")  # type: ignore[arg-type]

    @property
    def grid(self) -> Shape | None:
        """Shape of a point if points are grids of pixels, else None."""
        return self.shape if self.kind == "pixels" else None

    def population(
        self, images: ImageSet, *, flips: bool, augment: float = 0.0, stored: bool = False
    ) -> Population:
        """Return the images as a marginal: bytes that become points when drawn, or latents.

        With `stored`, mirrored images are points of their own instead of mirrored when drawn.
        """
        if flips and stored:
            images, flips = images.with_mirrors(), False
        columns: dict[str, Tensor] = {}
        if self.classes and images.labels is not None:
            labels = torch.from_numpy(images.labels)
            columns = {"label": labels, "condition": self.one_hot(labels)}
        if self.low_res is not None:
            columns = {"condition": to_points(average_squares(images.pixels, self.low_res))}
        if self.grid is not None:
            rows = Batch(to_rows(images.pixels), **columns)
            pixels = FlippedPixels(self.shape, flips=flips)
            transform = AugmentedPixels(pixels, augment) if augment else pixels
            return Population(rows, transform=transform)
        if flips:
            raise InputError("latents cannot be mirrored when drawn; leave flips out")
        return Population(Batch(self.encoder.encode(images.pixels), **columns))

    def one_hot(self, labels: Tensor) -> Condition:
        """Return classes as covariates, shape (n, number of classes)."""
        return torch.nn.functional.one_hot(labels, len(self.classes)).float()

    def labels(self, label: str | int | None, n: int) -> Tensor:
        """Return the class of each of `n` images to generate: one for all, or all in turn."""
        if not self.classes:
            if label is not None:
                raise InputError(
                    f"class {label!r} needs a flow with classes, and this one was trained without; "
                    "train it with conditional=True (--conditional)"
                )
            return torch.zeros(n, dtype=torch.int64)
        if label is None:
            return torch.arange(n) % len(self.classes)
        if isinstance(label, str):
            check_choice(label, self.classes, "class")
            label = self.classes.index(label)
        if not 0 <= label < len(self.classes):
            raise InputError(f"class {label} is not one of 0 to {len(self.classes) - 1}")
        return torch.full((n,), label)

    @property
    def low_shape(self) -> Shape | None:
        """Channels, height and width of the low resolution, if there is one."""
        if self.low_res is None:
            return None
        channels, height, width = self.shape
        return channels, height // self.low_res, width // self.low_res

    def low_resolution(self, images: ImageSet) -> ImageSet:
        """Return images in the low resolution, averaging those of full size."""
        assert self.low_res is not None
        if images.shape == self.low_shape:
            return images
        if images.shape == self.shape:
            return replace(images, pixels=average_squares(images.pixels, self.low_res))
        raise InputError(
            f"this flow makes images of shape {self.shape} (channels, height, width) from those of "
            f"{self.low_shape}; {images.name} has {images.shape}, which is neither"
        )

    def condition(self, labels: Tensor) -> Condition | None:
        """Return the covariates of images of these classes."""
        return self.one_hot(labels) if self.classes else None

    @property
    def context(self) -> Context:
        """Settings and arrays of the space, as stored in the flow."""
        settings: dict[str, Any] = {
            "shape": list(self.shape),
            "encoder": self.kind,
            "classes": list(self.classes),
            "target": self.target,
            "source": self.source,
            "low_res": self.low_res,
        }
        return Context({"images": settings}, getattr(self.encoder, "arrays", {}))

    @classmethod
    def of(cls, flow: Flow, encoder: Encoder | None = None) -> ImageSpace:
        """Return the space of a fitted flow; your own encoder has to be given again.

        Raises
        ------
        InputError
            If the flow was not trained on images.
        """
        known: Mapping[str, Any] | None = flow.context.settings.get("images")
        if known is None:
            raise InputError("this flow was not trained on images (cellflow image train)")
        shape = tuple(known["shape"])
        if encoder is None:
            if known["encoder"] not in ENCODERS:
                raise InputError("this flow is in latents of your own encoder: give it as encoder")
            encoder = ENCODERS[known["encoder"]].restore(shape, flow.context.arrays)
        classes, low_res = tuple(known["classes"]), known.get("low_res")
        return cls(shape, encoder, classes, known["target"], known["source"], low_res)


def space_for(
    data: ImageSet,
    source: ImageSet | None,
    encoder: Encoder | None,
    *,
    conditional: bool,
    low_res: int | None = None,
) -> ImageSpace:
    """Return the space of a flow to train."""
    if encoder is not None and not isinstance(encoder, Encoder):
        raise InputError(
            f"an encoder needs methods encode and decode, {type(encoder).__name__} lacks them"
        )
    if source is not None and source.shape != data.shape:
        raise InputError(
            f"source {source.name} has images of {_size(source)}, target {data.name} of "
            f"{_size(data)}; read both at one size"
        )
    if conditional and data.labels is None:
        raise InputError(f"{data.name} has no labels, so no classes can be learned")
    if conditional and source is not None:
        raise InputError("classes are learned from noise only, not from a source of images")
    if low_res is not None:
        _check_low_res(data, source, encoder, low_res, conditional=conditional)
    return ImageSpace(
        data.shape,
        PixelEncoder(data.shape) if encoder is None else encoder,
        data.classes if conditional else (),
        data.name,
        "noise" if source is None else source.name,
        low_res,
    )


def _check_low_res(
    data: ImageSet,
    source: ImageSet | None,
    encoder: Encoder | None,
    low_res: int,
    *,
    conditional: bool,
) -> None:
    for there, what in (
        (conditional, "classes (conditional)"),
        (source is not None, "a source of images"),
        (encoder is not None, "latents (an encoder)"),
    ):
        if there:
            raise InputError(f"low_res requires noise and pixels, without {what}; leave one out")
    check_factor(data, low_res)


def training_settings(flow: Flow) -> Mapping[str, Any]:
    """Return how images were mirrored, augmented and weighed in the training of a flow."""
    settings: Mapping[str, Any] = flow.context.settings["images"]["training"]
    return settings


def description(flow: Flow) -> str | None:
    """Describe the images of a flow in words; None for a flow of anything else."""
    known: Mapping[str, Any] | None = flow.context.settings.get("images")
    if known is None:
        return None
    channels, height, width = known["shape"]
    parts = [
        f"{known['target']} from {known['source']}",
        f"{height} x {width} pixels, {'grey' if channels == 1 else 'RGB'}",
    ]
    if known["encoder"] != "pixels":
        parts.append(f"in {flow.dim} latents ({known['encoder']})")
    if known.get("low_res"):
        parts.append(f"of {height // known['low_res']} x {width // known['low_res']} pixels each")
    if known["classes"]:
        parts.append(f"classes {format_list(known['classes'])}")
    return "; ".join(parts)


def _size(images: ImageSet) -> str:
    return " x ".join(map(str, images.shape))
