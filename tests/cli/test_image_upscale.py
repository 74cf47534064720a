"""Super-resolution on the command line."""

import re

import numpy as np
import pytest
from PIL import Image

import cellflow as cf
from cellflow.images.low_res import enlarge, shrink
from tests.small_images import TINY_YAML, digits

EULER = ["--solver", "euler", "--n-steps", "3"]
TRAIN = ["image", "train", "--data", "digits", "--config", "tiny.yaml", "--quiet"]


@pytest.fixture
def here(run, tmp_path):
    """A flow from 4 x 4 to 8 x 8 pixels, and images of either size."""
    (tmp_path / "tiny.yaml").write_text(TINY_YAML)
    assert run(*TRAIN, "--low-res", "2", "--method", "sd-fm", "--output", "flow")[0] == 0
    shrink(digits("test")[:5], 2).save(tmp_path / "small.npz")
    np.savez(tmp_path / "other.npz", images=np.zeros((4, 6, 6), np.uint8))
    return tmp_path


def upscaled(*more):
    return ["image", "upscale", "--flow", "flow", *EULER, *more]


def test_full_images_are_pooled_and_held_against_what_is_made(run, here):
    words = upscaled("--data", "digits", "--split", "test", "--n", "6", "--seed", "4")
    code, out, _ = run(*words, "--output", "made.npz")
    assert code == 0
    test = digits("test")[:6]
    api = cf.images.upscale(cf.Flow.load(here / "flow"), test, solver="euler", n_steps=3, rng=4)
    assert cf.images.read(here / "made.npz").fingerprint == api.images.fingerprint
    near = cf.images.fidelity(api.images, test)
    bicubic = cf.images.fidelity(enlarge(shrink(test, 2), 2), test)
    assert "6 images; evaluations of the velocity for each: 3\n" in out
    assert f"flow: PSNR {near.psnr:.2f} dB, SSIM {near.ssim:.3f}\n" in out
    assert f"bicubic: PSNR {bicubic.psnr:.2f} dB, SSIM {bicubic.ssim:.3f}\n" in out


def test_low_resolutions_are_taken_as_they_are(run, here):
    code, out, _ = run(*upscaled("--data", "small.npz", "--output", "made.npz"))
    assert code == 0
    assert not re.search("PSNR", out)
    made = cf.images.read(here / "made.npz")
    assert made.shape == (1, 8, 8)
    np.testing.assert_array_equal(made.labels, digits("test").labels[:5])


@pytest.mark.parametrize(("data", "columns"), [("digits", 3), ("small.npz", 2)])
def test_a_picture_has_a_row_an_image(data, columns, run, here):
    assert run(*upscaled("--data", data, "--n", "4", "--output", "p.png"))[0] == 0
    with Image.open(here / "p.png") as picture:
        width, height = picture.size
    assert (width - 2) * 4 == (height - 2) * columns


def test_info_tells_of_the_low_resolution(run, here):
    _, out, _ = run("info", "flow")
    assert "of 4 x 4 pixels each" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (upscaled("--data", "other.npz", "--output", "new.png"), "which is neither"),
        (upscaled("--data", "digits", "--output", "new.gif"), "images are written as .png or .npz"),
        (["image", "sample", "--flow", "flow", "--output", "new.png"], "use images.upscale"),
        ([*TRAIN, "--output", "new", "--low-res", "1"], "1 is not in the range"),
        ([*TRAIN, "--output", "new", "--low-res", "3"], "not tiled by squares of 3 x 3"),
        ([*TRAIN, "--output", "new", "--low-res", "2", "--conditional"], "without classes"),
        ([*TRAIN, "--output", "new", "--low-res", "2", "--latents", "3"], "without latents"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words, message, run, here):
    code, _, err = run(*words)
    assert code == 2
    assert message in " ".join(err.split())
    assert not list(here.glob("new*"))
