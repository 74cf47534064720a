"""AOT on EDM from pictures to pictures."""

import pytest
import torch

import cellflow as cf
from cellflow.images import ImageSet
from cellflow.images.encoders import PixelEncoder
from tests.images.test_augment import EDM
from tests.small_images import digits, stopped, trained


def test_twenty_steps_make_finite_images_that_a_saved_flow_makes_again(tmp_path):
    flow = trained(config="aot-digits", n_steps=20)
    assert flow.method.coupling.cost == "euclidean"
    noise = torch.randn((6, 64), generator=torch.Generator().manual_seed(0))
    made = flow.trajectory(noise, [0.0, 1.0], solver="edm-heun", n_steps=18)
    assert made.nfe == 35
    assert made.end.isfinite().all()
    assert flow.history["loss"][-1] < 2
    flow.save(tmp_path / "flow")
    again = cf.Flow.load(tmp_path / "flow")
    options = {"solver": "edm-heun", "n_steps": 5}
    first, second = (cf.images.sample(each, 4, **options).images for each in (flow, again))
    assert first.fingerprint == second.fingerprint


@pytest.mark.slow
def test_a_short_training_leaves_noise_for_digits():
    """As with U-Nets of flow matching: five times nearer than noise is."""
    recipe = cf.recipe(
        EDM.recipe, net={"channels": 16, "augment_dim": 0, "dropout": 0.0}, batch_size=32,
        coupling_batch_size=64, learning_rate=8e-3, ema_halflife=250, warmup=10, n_steps=80,
    )  # fmt: skip
    flow = trained(config=EDM, recipe=recipe)
    made = cf.images.sample(flow, 200, solver="edm-heun", n_steps=6).images
    points = torch.randn((200, 64), generator=torch.Generator().manual_seed(0))
    noise = ImageSet(PixelEncoder((1, 8, 8)).decode(points))
    distance, of_noise = (
        cf.images.score(images, digits()).scores[0].frechet for images in (made, noise)
    )
    assert distance < of_noise / 5


@pytest.mark.parametrize("conditional", [False, True])
def test_a_resumed_training_ends_as_one_that_was_not(conditional, tmp_path, monkeypatch):
    """With dropout, augmentation, and noise that waits to be served."""
    common = {"config": EDM, "conditional": conditional}
    stopped(monkeypatch, tmp_path, 3, **common)
    whole, resumed = (
        trained(**common, n_steps=6, **kept)
        for kept in ({}, {"checkpoint": cf.Checkpoint(tmp_path / "c", resume=True)})
    )
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.history == whole.history


def test_scores_name_the_steps_and_rho():
    flow = trained(config=EDM)
    by = ("edm-heun:3", "edm-heun:3:30")
    table = cf.images.score_flow(flow, digits(), 8, by=by, space="pixels")
    rows = table[table["of"] == "generated"]
    assert set(rows["by"]) == set(by)
    assert set(rows["nfe"]) == {5}


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("edm-heun", "not of the form euler:8, with euler, midpoint, rk4, edm-heun"),
        ("edm-heun:x", "not of the form euler:8"),
        ("edm-heun:3:x", "rho must be a number, got 'x'"),
        ("edm-heun:3:0", "rho must be positive, got 0"),
        ("euler:3:7", "has a second number; only edm-heun"),
    ],
)
def test_solvers_that_are_none_are_refused(by, message):
    with pytest.raises(cf.InputError, match=message):
        cf.images.score_flow(trained(), digits(), 8, by=(by,), space="pixels")
