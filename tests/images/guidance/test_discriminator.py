"""A discriminator, and how it is kept."""

import json
import math

import pytest
import torch

from cellflow import FileError, Flow
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.noisy_classifier import RatioNet


@pytest.fixture
def discriminator():
    generator = torch.Generator().manual_seed(0)
    net = RatioNet(
        (1, 4, 4), n_classes=3, condition_dim=2, channels=4, multipliers=(1, 2), blocks=1,
        generator=generator,
    )  # fmt: skip
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.4, generator=generator)
    return Discriminator(net, {"pairing": "aot", "seed": 3}, {"step": [1.0], "loss": [0.7]})


@pytest.fixture
def folder(discriminator, tmp_path):
    discriminator.save(tmp_path / "told")
    return tmp_path / "told"


def inputs():
    x = torch.randn((6, 16), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.full((6,), 0.5, dtype=torch.float64), x, torch.eye(2)[[0, 1, 0, 1, 0, 1]]


def test_round_trip_keeps_everything(discriminator, folder):
    again = Discriminator.load(folder)
    assert again.fingerprint == discriminator.fingerprint
    assert (again.settings, again.history) == (discriminator.settings, discriminator.history)
    assert torch.equal(again.log_ratio(*inputs()), discriminator.log_ratio(*inputs()))


def test_the_folder_holds_json_and_safetensors_only(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["discriminator.json", "tensors.safetensors"]
    assert json.loads((folder / "discriminator.json").read_text())["schema_version"] == 1


def test_the_log_ratio_is_that_of_the_net_in_the_precision_of_the_points(discriminator):
    sigma, x, condition = inputs()
    found = discriminator.log_ratio(sigma, x, condition)
    assert found.dtype == torch.float64
    expected = discriminator.net(sigma.float(), x.float(), condition).double()
    torch.testing.assert_close(found, expected)


def test_probabilities_are_held_away_from_0_and_1(discriminator):
    with torch.no_grad():
        discriminator.net.head.last.weight *= 1e6
    found = discriminator.log_ratio(*inputs())
    bound = math.log((1 - 1e-5) / 1e-5)
    assert float(found.detach().abs().max()) == pytest.approx(bound, rel=3e-7)


def altered(folder, change):
    path = folder / "discriminator.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))


DAMAGES = {
    "no tensors": (
        lambda f: (f / "tensors.safetensors").unlink(),
        "tensors.safetensors is missing",
    ),
    "no description": (
        lambda f: (f / "discriminator.json").unlink(),
        "not a saved discriminator",
    ),
    "cut short": (
        lambda f: (f / "tensors.safetensors").write_bytes(
            (f / "tensors.safetensors").read_bytes()[:-9]
        ),
        "was altered or belongs to another discriminator",
    ),
    "edited": (
        lambda f: altered(f, lambda d: d["settings"].update(seed=4)),
        "was altered after the discriminator was saved",
    ),
    "another schema": (
        lambda f: altered(f, lambda d: d.update(schema_version=9)),
        "schema version 9; this one reads version 1",
    ),
    "another format": (
        lambda f: altered(f, lambda d: d.update(format="cellflow-flow")),
        "has another format",
    ),
    "a foreign file": (
        lambda f: (f / "weights.pkl").write_bytes(b""),
        "files that do not belong to a discriminator: weights.pkl",
    ),
    "no JSON": (lambda f: (f / "discriminator.json").write_text("{"), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders_are_refused_with_the_reason(damage, folder):
    spoil, message = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(FileError, match=message):
        Discriminator.load(folder)


def test_a_discriminator_is_no_flow(folder):
    with pytest.raises(FileError, match=r"is not a saved flow: flow\.json is missing"):
        Flow.load(folder)


def test_saving_overwrites_a_discriminator_when_told_and_nothing_else(discriminator, folder):
    with pytest.raises(FileError, match="exists already"):
        discriminator.save(folder)
    discriminator.save(folder, overwrite=True)
    (folder / "discriminator.json").rename(folder / "flow.json")
    with pytest.raises(FileError, match="not a saved discriminator"):
        discriminator.save(folder, overwrite=True)
