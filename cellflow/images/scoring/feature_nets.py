"""Nets whose activations are features of images, and their weights files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cellflow._errors import FileError
from cellflow._files import check_is_file

#: Seed of the weights of `RandomConv`; another number would be another space.
_SEED = 0

_SLOPE = 0.2


class Pixels(nn.Module):
    """Values in [-1, 1], flat and channel-first."""

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (n, c, h, w) to (n, c h w)."""
        return images.flatten(1).float() / 127.5 - 1


class RandomConv(nn.Module):
    """Mean activations at four depths of a convolutional net that was never trained.

    Each depth is a 3 x 3 convolution and a leaky ReLU, on images of half the size; as averages
    over 2 x 2 pixels halve the variation from pixel to pixel, each depth has twice the
    weight of the previous one. Weights are uniform at the scale of He et al. 2015, biases within
    0.2, from torch's uniform numbers, which are the same on every machine.
    """

    widths = (32, 48, 64, 112)

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_SEED)
        self.layers = nn.ModuleList()
        n_inputs = 3
        for width in self.widths:
            layer = nn.Conv2d(n_inputs, width, 3, padding=1, device="meta")
            bound = (6 / ((1 + _SLOPE**2) * 9 * n_inputs)) ** 0.5
            layer.weight = _uniform(generator, bound, width, n_inputs, 3, 3)
            layer.bias = _uniform(generator, 0.2, width)
            self.layers.append(layer)
            n_inputs = width

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (n, 3, h, w), sides of 8 and more, to (n, 256)."""
        x = images.float() / 127.5 - 1
        depths = []
        for k, layer in enumerate(self.layers):
            x = functional.leaky_relu(layer(functional.avg_pool2d(x, 2) if k else x), _SLOPE)
            depths.append(2**k * x.mean(dim=(2, 3)))
        return torch.cat(depths, dim=1)


def _uniform(generator: torch.Generator, bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter((2 * torch.rand(shape, generator=generator) - 1) * bound)


class ResNet20(nn.Module):
    """The CIFAR-10 classifier of He et al. 2016, section 4.2, without its last layer's output.

    Names of parameters are those of the usual weights files: three groups of three blocks at 16,
    32 and 64 channels, shortcuts without parameters.
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _group(16, 16)
        self.layer2 = _group(16, 32)
        self.layer3 = _group(32, 64)
        self.linear = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (n, 3, 32, 32) to the input of the last layer, (n, 64)."""
        centre, scale = _colours(self.mean, images.device), _colours(self.std, images.device)
        x = (images.float() / 255 - centre) / scale
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3))


class _Block(nn.Module):
    """Residual block of two convolutions; its shortcut drops pixels and zero-pads channels."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.stride = n_outputs // n_inputs
        self.padding = (n_outputs - n_inputs) // 2
        self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_outputs)
        self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        short = functional.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *2 * [self.padding])
        )
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + short)


def _group(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _Block(n_inputs, n_outputs), _Block(n_outputs, n_outputs), _Block(n_outputs, n_outputs)
    )


def _colours(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)[:, None, None]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a file that `torch.save` wrote.

    From a training checkpoint, the entry `state_dict` is read; the prefix `module.` is removed.

    Raises
    ------
    FileError
        For a file that is missing, damaged or of another kind.
    """
    check_is_file(Path(path))
    try:
        content = torch.load(io.BytesIO(Path(path).read_bytes()), "cpu", weights_only=True)
    except Exception as error:
        # Damaged files make torch raise errors of many kinds.
        raise FileError(f"{path} cannot be read as a weights file: {first_line(error)}") from error
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else None
    # Positions in sparse tensors are not checked by torch.
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(values, Tensor) and values.layout == torch.strided
        for name, values in tensors.items()
    ):
        raise FileError(f"{path} does not hold named tensors")
    return {name.removeprefix("module."): values for name, values in tensors.items()}


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, or the class name if it is empty."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
