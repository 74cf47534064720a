"""Images as points of a flow: what is drawn, and what a flow remembers."""

import json

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import InputError
from cellflow.images import ImageSet, PCAEncoder
from cellflow.images.encoders import PixelEncoder
from cellflow.images.pixels import to_points
from cellflow.images.space import ImageSpace, description, space_for
from tests.small_images import digits, trained


class Blank:
    """A user's encoder."""

    def encode(self, pixels):
        return torch.zeros(len(pixels), 2)

    def decode(self, points):
        return np.zeros((len(points), 8, 8, 1), np.uint8)


def test_draws_are_images_with_their_class(generator):
    space = space_for(digits(), None, None, conditional=True)
    population = space.population(digits(), flips=False)
    batch = population.sample(200, generator)
    rows = {tuple(row): label for row, label in zip(
        to_points(digits().pixels).tolist(), digits().labels, strict=True)}  # fmt: skip
    assert [rows[tuple(row)] for row in batch.x.tolist()] == batch.label.tolist()
    torch.testing.assert_close(batch.condition, torch.eye(10)[batch.label])


def test_without_classes_nothing_is_known_of_them(generator):
    space = space_for(digits(), None, None, conditional=False)
    batch = space.population(digits(), flips=False).sample(5, generator)
    assert batch.condition is None
    assert batch.label is None
    assert space.condition(space.labels(None, 3)) is None


def test_mirrored_draws_are_mirror_images(generator):
    images = digits()[:1]
    space = space_for(images, None, None, conditional=False)
    drawn = space.population(images, flips=True).sample(50, generator).x
    kept, mirrored = to_points(images.pixels), to_points(images.pixels[:, :, ::-1])
    is_kept, is_mirrored = ((drawn == each).all(dim=1) for each in (kept, mirrored))
    assert (is_kept | is_mirrored).all()
    assert 10 < int(is_kept.sum()) < 40


def test_latents_are_drawn_where_an_encoder_makes_them(generator):
    encoder = PCAEncoder.fit(digits(), 3)
    space = space_for(digits(), None, encoder, conditional=True)
    population = space.population(digits(), flips=False)
    assert space.grid is None
    assert population.dim == 3
    torch.testing.assert_close(population.points, encoder.encode(digits().pixels))


@pytest.mark.parametrize(
    ("encoder", "kind"),
    [(None, "pixels"), (PCAEncoder.fit(digits(), 3), "pca"), (Blank(), "custom")],
)
def test_a_space_is_made_again_from_json_and_tensors(encoder, kind):
    space = space_for(digits(), None, encoder, conditional=True)
    context = space.context
    settings = json.loads(json.dumps(context.settings))
    assert settings["images"]["encoder"] == kind
    flow = cf.Flow(
        None, None, cf.method("ot-cfm"), cf.recipe("default"),
        context=type(context)(settings, context.arrays),
    )  # fmt: skip
    given = encoder if kind == "custom" else None
    again = ImageSpace.of(flow, given)
    assert (again.shape, again.classes, again.target, again.source) == (
        (1, 8, 8), digits().classes, "digits/train", "noise",
    )  # fmt: skip
    assert again.kind == kind
    if kind == "custom":
        with pytest.raises(InputError, match="your own encoder: give it as encoder"):
            ImageSpace.of(flow)


def test_labels_are_all_in_turn_or_one():
    space = ImageSpace((1, 2, 2), PixelEncoder((1, 2, 2)), ("cat", "dog"), "pets", "noise")
    assert space.labels(None, 5).tolist() == [0, 1, 0, 1, 0]
    assert space.labels("dog", 2).tolist() == space.labels(1, 2).tolist() == [1, 1]
    with pytest.raises(InputError, match=r"unknown class 'dig' \(did you mean 'dog'\?\)"):
        space.labels("dig", 1)
    for index in (-1, 2):
        with pytest.raises(InputError, match=f"class {index} is not one of 0 to 1"):
            space.labels(index, 1)


def test_a_flow_says_what_it_moves():
    words = description(trained(conditional=True))
    assert words == (
        "digits/train from noise; 8 x 8 pixels, grey; classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    )
    rgb = ImageSet(digits().pixels[:20].repeat(3, axis=3), name="colours")
    words = description(
        trained(rgb, source=rgb, config=None, encoder=PCAEncoder.fit(rgb, 7), n_steps=2)
    )
    assert words == "colours from colours; 8 x 8 pixels, RGB; in 7 latents (pca)"
    assert "(custom)" in description(trained(config=None, encoder=Blank(), n_steps=2))


def test_flows_of_cells_are_none_of_images(course, quick):
    cells = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    assert description(cells) is None
    with pytest.raises(InputError, match="not trained on images"):
        ImageSpace.of(cells)
