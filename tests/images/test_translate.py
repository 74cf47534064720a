"""From one set of images to another, and back."""

import json

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import InputError
from cellflow.images import ImageSet, PCAEncoder
from cellflow.images.pixels import to_pixels, to_points
from tests.small_images import digits, trained

ONES, ZEROS = digits().of_class(1), digits().of_class(0)
RK4 = {"solver": "rk4", "n_steps": 10}


@pytest.fixture(scope="module")
def flow():
    return trained(ZEROS, source=ONES, n_steps=60)


def change(a: ImageSet, b: ImageSet) -> float:
    """Mean absolute difference of pixels."""
    return np.abs(a.pixels.astype(int) - b.pixels).mean()


def test_ones_become_like_zeros(flow):
    """Sixty steps come four times nearer or more; twice is asked for."""
    moved = cf.images.translate(flow, ONES, **RK4).images
    before, after = (cf.images.score(each, ZEROS).scores[0].frechet for each in (ONES, moved))
    assert after < before / 2


def test_backward_undoes_forward(flow):
    """Up to rounding to grey values and clipping at black and white, a tenth of the way."""
    moved = cf.images.translate(flow, ONES, **RK4).images
    back = cf.images.translate(flow, moved, backward=True, **RK4).images
    assert change(ONES, back) < change(ONES, moved) / 4


def test_frames_go_from_the_images_to_what_becomes_of_them(flow):
    some = ONES[:3]
    made = cf.images.translate(flow, some, times=(1.0, 0.5, 0.0), solver="euler", n_steps=2)
    np.testing.assert_array_equal(made.frames[0], some.pixels)
    np.testing.assert_array_equal(made.frames[-1], made.images.pixels)
    assert made.nfe == 4
    back = cf.images.translate(flow, some, times=(0.0, 0.5, 1.0), backward=True, **RK4)
    np.testing.assert_array_equal(back.frames[0], some.pixels)
    assert made.images.name == "generated digits/train/0"


def test_half_the_way_may_be_asked_for(flow):
    half, whole = (
        cf.images.translate(flow, ONES[:20], times=(0.0, time), **RK4).images for time in (0.5, 1.0)
    )
    assert 0 < change(ONES[:20], half) < change(ONES[:20], whole)
    for backward, times in ((False, (0.5, 1.0)), (True, (0.0, 0.5)), (False, ())):
        with pytest.raises(InputError, match="times must begin at"):
            cf.images.translate(flow, ONES, times=times, backward=backward)


def test_what_cannot_be_translated_is_refused(flow, course, quick):
    with pytest.raises(InputError, match=r"from noise; to translate, train with a source"):
        cf.images.translate(trained(), ONES)
    small = ImageSet(np.zeros((4, 4, 4, 1), np.uint8), name="small")
    with pytest.raises(InputError, match=r"shape \(1, 8, 8\).*small has \(1, 4, 4\)"):
        cf.images.translate(flow, small)
    cells = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    with pytest.raises(InputError, match="not trained on images"):
        cf.images.translate(cells, ONES)


def test_a_flow_keeps_its_principal_components(tmp_path):
    encoder = PCAEncoder.fit(ZEROS, 12, ONES)
    flow = trained(ZEROS, source=ONES, config=None, encoder=encoder, n_steps=3)
    flow.save(tmp_path / "flow")
    settings = json.loads((tmp_path / "flow" / "flow.json").read_text())["context"]["images"]
    assert settings["encoder"] == "pca"
    first, second = (
        cf.images.translate(each, ONES[:4], **RK4).images
        for each in (flow, cf.Flow.load(tmp_path / "flow"))
    )
    np.testing.assert_array_equal(first.pixels, second.pixels)


class Halved:
    """A user's encoder: every other row of pixels, repeated on the way back."""

    def encode(self, pixels: np.ndarray) -> torch.Tensor:
        return to_points(pixels[:, ::2])

    def decode(self, points: torch.Tensor) -> np.ndarray:
        return to_pixels(points, (1, 4, 8)).repeat(2, axis=1)


def test_an_encoder_of_ones_own_works_and_has_to_be_given_again(tmp_path):
    flow = trained(ZEROS, source=ONES, config=None, encoder=Halved(), n_steps=3)
    flow.save(tmp_path / "flow")
    flow = cf.Flow.load(tmp_path / "flow")
    assert flow.dim == 32
    moved = cf.images.translate(flow, ONES[:4], encoder=Halved(), **RK4).images
    assert moved.shape == (1, 8, 8)
    with pytest.raises(InputError, match="your own encoder: give it as encoder"):
        cf.images.translate(flow, ONES[:4])


def test_a_flow_of_average_velocities_translates_in_one_step():
    flow = trained(ZEROS, source=ONES, method="mean-flow")
    assert cf.images.translate(flow, ONES[:3]).nfe == 1
