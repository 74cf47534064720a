"""Training on images: what is learned, what is remembered, what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

import cellflow as cf
from cellflow import InputError
from cellflow.images import ImageSet, PCAEncoder, Pictures
from cellflow.images.encoders import PixelEncoder
from cellflow.images.space import training_settings
from tests.small_images import TINY, digits, stopped, trained

#: Methods that start from noise, and the noise of their paths.
SIGMAS = {
    "i-cfm": 0.0,
    "ot-cfm": 0.0,
    "fm": 0.0,
    "sb-cfm": 0.5,
    "sf2m": 0.25,
    "vp": 0.0,
    "mean-flow": 0.0,
    "sd-fm": 0.0,
    "edm": 0.0,
    "aot": 0.0,
}


def of_rgb(images: ImageSet) -> ImageSet:
    return ImageSet(images.pixels.repeat(3, axis=3), images.labels, images.classes, "RGB digits")


def test_same_seed_same_weights():
    first, again, other = (trained(rng=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.history == again.history


@pytest.mark.slow
def test_a_short_training_leaves_noise_for_digits():
    """Noise is what no training makes; 80 steps come ten times nearer, asked for are five."""
    recipe = cf.recipe(
        TINY.recipe, net={"channels": 16, "head_width": 16}, batch_size=32, coupling_batch_size=64,
        learning_rate=8e-3, ema_decay=0.9, warmup=10, n_steps=80,
    )  # fmt: skip
    flow = trained(recipe=recipe)
    made = cf.images.sample(flow, 200, solver="euler", n_steps=6).images
    points = torch.randn((200, 64), generator=torch.Generator().manual_seed(0))
    noise = ImageSet(PixelEncoder((1, 8, 8)).decode(points))
    distance, of_noise = (
        cf.images.score(images, digits()).scores[0].frechet for images in (made, noise)
    )
    assert distance < of_noise / 5
    assert flow.history["loss"][-1] < flow.history["loss"][0]


def test_classes_are_learned_and_asked_for():
    """Dark and bright images, so that the mean grey value tells the class."""
    rng = np.random.default_rng(0)
    pixels = np.concatenate(
        [rng.integers(low, low + 40, (40, 4, 4, 1), dtype=np.uint8) for low in (20, 190)]
    )
    data = ImageSet(pixels, np.repeat([0, 1], 40), ("dark", "bright"), "greys")
    net = {"multipliers": (1,), "attention": ()}
    flow = trained(data, recipe=cf.recipe(TINY.recipe, net=net, n_steps=80), conditional=True)
    means = {
        name: cf.images.sample(flow, 20, label=name, solver="euler", n_steps=10)
        .images.pixels.mean(axis=(1, 2, 3))
        for name in data.classes
    }  # fmt: skip
    assert means["dark"].max() < 115 < means["bright"].min()


def test_rgb_images_are_mirrored_by_default_and_grey_ones_are_not():
    rgb = of_rgb(digits()[:50])
    assert training_settings(trained())["flips"] is False
    assert training_settings(trained(flips=True))["flips"] is True
    assert trained(flips=True).fingerprint != trained().fingerprint
    assert training_settings(trained(rgb))["flips"] is True
    assert training_settings(trained(rgb, flips=False))["flips"] is False


@pytest.mark.parametrize("method", SIGMAS)
def test_every_method_from_noise_trains_and_samples(method):
    flow = trained(method=method)
    assert flow.method.path.sigma == SIGMAS[method]
    made = cf.images.sample(flow, 5, solver="midpoint", n_steps=2)
    assert made.nfe == 4
    assert made.images.pixels.shape == (5, 8, 8, 1)
    x = torch.randn((5, 64), generator=torch.Generator().manual_seed(0))
    assert flow.push(x, 0.0, 1.0, n_steps=2).isfinite().all()
    assert np.isfinite(flow.history["loss"]).all()


@pytest.mark.parametrize("method", ["ot-cfm", "mean-flow"])
def test_methods_train_with_what_is_for_speed(method):
    """Brain floats and channels last, as the configs for 32 x 32 pixels have them."""
    fast = {"precision": "bf16", "channels_last": True, "ahead": 2}
    flow = trained(method=method, recipe=cf.recipe(TINY.recipe, **fast))
    assert flow.history["loss"] == pytest.approx(trained(method=method).history["loss"], rel=0.02)


def test_parts_and_numbers_come_before_the_config():
    flow = trained(coupling="independent", path="vp", sigma=0.2, n_steps=2)
    assert flow.method.coupling.name == "independent"
    assert (flow.method.path.name, flow.method.path.sigma) == ("vp", 0.2)
    assert flow.recipe.n_steps == 2
    assert flow.recipe.net.channels == 8


def test_a_flow_of_accelerations_takes_a_prior():
    ends = {"data": digits().of_class(0)[:20], "source": digits().of_class(1)[:20]}
    prior = trained(**ends)
    flow = trained(**ends, coupling="acceleration", prior=prior)
    assert flow.inputs.prior == prior.fingerprint


def test_points_are_latents_where_an_encoder_is_given():
    encoder = PCAEncoder.fit(digits(), 5)
    flow = trained(config=None, encoder=encoder, n_steps=3)
    assert flow.dim == 5
    assert flow.recipe.net.kind == "mlp"
    assert cf.images.sample(flow, 3, solver="euler", n_steps=2).images.shape == (1, 8, 8)


REFUSED = {
    "a plan of all points from noise": (
        {"coupling": "exact-full"},
        r"'exact-full'.*source is noise; for noise take a coupling of .*ot.*path of .*straight",
    ),
    "a path of points from noise": ({"path": "metric"}, "source is noise; for noise take"),
    "classes without labels": (
        {"data": ImageSet(digits().pixels[:20]), "conditional": True}, "images has no labels",
    ),
    "classes from a source": (
        {"source": digits(), "conditional": True}, "classes are learned from noise only",
    ),
    "a source of another size": (
        {"source": ImageSet(np.zeros((9, 6, 8, 1), np.uint8), name="small")},
        r"source small has images of 1 x 6 x 8, target digits/train of 1 x 8 x 8; .*one size",
    ),
    "a source of another colour": ({"source": of_rgb(digits()[:9])}, "images of 3 x 8 x 8"),
    "large images without a config": (
        {"data": ImageSet(np.zeros((9, 8, 40, 1), np.uint8)), "config": None},
        r"images of 8 x 40 pixels have no default config: give a config.*smaller size",
    ),
    "images that do not halve": (
        {"data": ImageSet(np.zeros((9, 7, 7, 1), np.uint8))},
        r"1x7x7 halves evenly 0 times.*size=8 \(--size 8\)",
    ),
    "mirrored latents": (
        {"encoder": PCAEncoder.fit(digits(), 3), "config": None, "flips": True}, "leave flips out",
    ),
    "a net on grids in latents": (
        {"encoder": PCAEncoder.fit(digits(), 3)}, "net 'unet' requires images.*net 'mlp'",
    ),
    "no encoder": ({"encoder": 5}, "an encoder needs methods encode and decode, int lacks them"),
    "a method that is none": ({"method": "otcfm"}, r"unknown method 'otcfm' \(did you mean"),
    "a config that is none": ({"config": "cifar"}, r"unknown config 'cifar'.*mnist"),
    "a bridge without noise": ({"path": "bridge"}, "path 'bridge' needs sigma over 0"),
    "no steps": ({"n_steps": 0}, "n_steps=0"),
    "a device that is none": ({"device": "abacus"}, "device 'abacus' is not available"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_does_not_go_together_is_refused_with_what_would(mistake, tmp_path):
    options, message = REFUSED[mistake]
    with pytest.raises(InputError, match=message):
        trained(**options, checkpoint=tmp_path / "c", pictures=tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [3, 4])
@pytest.mark.parametrize("options", [{}, {"conditional": True}, {"method": "i-cfm"}])
def test_a_resumed_training_ends_with_the_weights_of_one_that_was_not(
    step, options, monkeypatch, tmp_path
):
    stopped(monkeypatch, tmp_path, step, **options)
    again = {"n_steps": 6, "checkpoint": cf.Checkpoint(tmp_path / "c", resume=True), **options}
    resumed = trained(**again)
    whole = trained(n_steps=6, **options)
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.history == whole.history


def test_resuming_without_a_checkpoint_starts_anew(tmp_path):
    flow = trained(checkpoint=cf.Checkpoint(tmp_path / "c", resume=True))
    assert flow.fingerprint == trained().fingerprint


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"data": digits()[1:]}, "data"),
        ({"flips": True}, "flips"),
        ({"conditional": True}, "conditional"),
        ({"rng": 1}, "seed"),
        ({"n_steps": 7}, "recipe"),
        ({"sigma": 0.1}, "method"),
        ({"source": digits("test")}, "source"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(options, name, monkeypatch, tmp_path):
    stopped(monkeypatch, tmp_path, 4)
    again = {"n_steps": 6, "checkpoint": cf.Checkpoint(tmp_path / "c", resume=True), **options}
    with pytest.raises(InputError, match=rf"other settings \(.*{name}.*\); use those"):
        trained(**again)


def test_pictures_are_taken_on_the_way_and_change_nothing(tmp_path):
    folder = tmp_path / "some" / "pictures"
    flow = trained(n_steps=4, pictures=Pictures(folder, 2))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["step-0000002.png", "step-0000004.png"]
    first, last = (np.asarray(Image.open(folder / name)) for name in names)
    assert first.shape == last.shape
    assert first.shape[0] == first.shape[1] > 500
    assert (first != last).any()
    assert flow.fingerprint == trained(n_steps=4).fingerprint


def test_pictures_of_a_translation_show_the_source_moved(tmp_path):
    ends = {"data": digits().of_class(0), "source": digits().of_class(1)}
    trained(**ends, pictures=Pictures(tmp_path, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000003.png"]


def test_pictures_go_to_no_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file' is a file; name a folder"):
        trained(pictures=tmp_path / "file")
