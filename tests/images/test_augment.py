"""Augmented images: what the labels say is what was done."""

import math

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import InputError
from cellflow._batch import Batch
from cellflow.images.augment import N_LABELS, AugmentedPixels, _apply
from cellflow.images.encoders import PCAEncoder
from cellflow.images.pixels import FlippedPixels, to_points, to_rows
from cellflow.images.space import training_settings
from cellflow.methods.config import Config
from tests.seeds import seeded
from tests.small_images import TINY, digits, trained

SHAPE = (3, 12, 12)
EDM = Config(
    cf.method("aot"),
    cf.recipe(
        TINY.recipe,
        net={
            "kind": "edm", "channels": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,),
            "augment_dim": 9,
        },
    ),
)  # fmt: skip


def reading(share, flips=False):
    return AugmentedPixels(FlippedPixels(SHAPE, flips=flips), share)


def rows(n=4000):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    return Batch(to_rows(pixels), condition=torch.eye(2)[torch.arange(n) % 2])


def labels(**given):
    """Labels of one image."""
    names = ["x", "y", "zoom", "cos", "sin", "along", "across", "right", "down"]
    return torch.tensor([[given.get(name, 0.0) for name in names]])


def blob(x, y, size=33, width=2.0):
    """A bright spot, x to the right and y down from the middle."""
    line = torch.arange(size) - (size - 1) / 2
    return torch.exp(-((line - x) ** 2 + (line[:, None] - y) ** 2) / (2 * width**2))[None, None]


def centre(image):
    """Where the spot is, and its covariance."""
    size = image.shape[-1]
    line = torch.arange(size) - (size - 1) / 2
    mass = image[0, 0].clamp(min=0) / image.clamp(min=0).sum()
    places = torch.stack(torch.meshgrid(line, line, indexing="xy")).flatten(1)
    mean = places @ mass.flatten()
    away = places - mean[:, None]
    return mean.tolist(), (away * mass.flatten()) @ away.T


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (6, 3)),
        ({"x": 1.0}, (-6, 3)),
        ({"y": 1.0}, (6, -3)),
        ({"zoom": 1.0}, (6 * 2**0.2, 3 * 2**0.2)),
        ({"zoom": -2.0}, (6 * 2**-0.4, 3 * 2**-0.4)),
        ({"along": 1.0}, (6 * 2**0.2, 3 * 2**-0.2)),
        ({"along": -1.0}, (6 * 2**-0.2, 3 * 2**0.2)),
        ({"right": 1.0}, (6 + 33 / 8, 3)),
        ({"down": -1.0}, (6, 3 - 33 / 8)),
        ({"cos": -1.0, "sin": 1.0}, (-3, 6)),
        ({"cos": -2.0}, (-6, -3)),
    ],
)
def test_a_spot_goes_where_the_labels_say(given, expected):
    mean, _ = centre(_apply(blob(6.0, 3.0), labels(**given)))
    assert mean == pytest.approx(expected, abs=0.1)


def test_stretches_at_an_angle_are_along_that_angle():
    """Twice 45 degrees: the diagonal grows by 2^0.4, the other shrinks as much."""
    _, spread = centre(_apply(blob(0, 0, width=3.0), labels(across=2.0)))
    along, off = spread[0, 0] + spread[0, 1], spread[0, 0] - spread[0, 1]
    assert float(along) == pytest.approx(9 * 2**0.8, rel=0.05)
    assert float(off) == pytest.approx(9 * 2**-0.8, rel=0.05)


def test_sides_of_different_length_keep_angles_and_lengths():
    """A quarter turn of a wide image takes what is 5 to the right to 5 down."""
    wide = torch.nn.functional.pad(blob(5.0, 0.0), (16, 16))
    found = _apply(wide, labels(cos=-1.0, sin=1.0))[:, :, :, 16:-16]
    assert centre(found)[0] == pytest.approx((0, 5), abs=0.1)


def test_all_labels_vanish_where_nothing_was_done_and_only_there():
    stored = rows()
    plain = to_points(stored.x.reshape(-1, *SHAPE).permute(0, 2, 3, 1))
    drawn = reading(0.3)(stored, seeded())
    told = drawn.condition[:, 2:] != 0
    same = (drawn.x == plain).all(dim=1)
    assert torch.equal(same, ~told.any(dim=1))
    assert 0 < float(same.float().mean()) < 1
    assert torch.equal(drawn.condition[:, :2], stored.condition)
    assert drawn.condition.shape[1] == 2 + N_LABELS
    assert drawn.x.isfinite().all()
    assert (drawn.x.abs() < 3).all()


def test_each_change_befalls_its_share():
    """Half are mirrored in x; a share, and half of that in y, are all others."""
    told = reading(0.4)(rows(20_000), seeded()).condition[:, 2:]
    share = (told != 0).float().mean(dim=0)
    expected = [0.5, 0.2, 0.4, 0.4, 0.4, 0.4, 0.4 * 0.5, 0.4, 0.4]
    # Stretches along a side, half of them, have no second number.
    assert share.tolist() == pytest.approx(expected, abs=0.02)
    zoom = told[told[:, 2] != 0, 2]
    assert float(zoom.std()) == pytest.approx(1, abs=0.05)
    angle = torch.atan2(told[:, 4], told[:, 3] + 1)
    turned = angle[told[:, 4] != 0]
    assert float(turned.abs().mean()) == pytest.approx(math.pi / 2, abs=0.05)
    assert torch.equal(told[:, 7] != 0, told[:, 8] != 0)


def test_nothing_is_changed_or_told_without_a_generator():
    stored = rows(50)
    read = reading(1.0)(stored, None)
    assert torch.equal(read.condition, stored.condition)
    assert torch.equal(read.x, FlippedPixels(SHAPE)(stored, None).x)


def test_images_without_classes_are_told_of_the_changes_alone():
    stored = Batch(rows(30).x)
    first, again, other = (reading(0.5)(stored, seeded(k)) for k in (0, 0, 1))
    assert first.condition.shape == (30, N_LABELS)
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)


# Trainings


@pytest.mark.parametrize("conditional", [False, True])
def test_a_net_that_is_told_is_trained_on_augmented_images(conditional):
    flow = trained(config=EDM, conditional=conditional)
    assert training_settings(flow)["augment"] == 0.12
    assert flow.condition_dim == 10 * conditional
    plain = trained(config=EDM, conditional=conditional, augment=0)
    assert training_settings(plain)["augment"] == 0
    assert plain.fingerprint != flow.fingerprint
    made = cf.images.sample(flow, 4, solver="edm-heun", n_steps=3)
    assert made.nfe == 5
    assert made.images.pixels.shape == (4, 8, 8, 1)
    assert (made.images.labels is not None) == conditional


def test_mirroring_is_left_to_the_augmentation():
    pixels = digits()[:50].pixels.repeat(3, axis=3)
    rgb = cf.images.ImageSet(pixels, name="RGB")
    assert training_settings(trained(rgb, config=EDM))["flips"] is False
    assert training_settings(trained(rgb, config=EDM, augment=0))["flips"] is True
    assert training_settings(trained(rgb, config=EDM, flips=True))["flips"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": 0.1}, r"augment=0.1 requires a net that sees .* 'edm' with augment_dim 9"),
        ({"augment": 1.5, "config": EDM}, "augment must be a share from 0 to 1, got 1.5"),
        (
            {"augment": 0.1, "encoder": PCAEncoder.fit(digits(), 3), "config": None},
            "requires a net that sees",
        ),
    ],
)
def test_augmentation_that_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        trained(**options)
