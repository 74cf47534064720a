"""Image sets: what they refuse, their parts, and files of them."""

import numpy as np
import pytest

from cellflow import FileError, InputError
from cellflow.images._read import read
from cellflow.images.data import ImageSet


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, size=(6, 4, 5, 3), dtype=np.uint8)


@pytest.fixture
def pets(pixels):
    return ImageSet(pixels, np.array([0, 1, 1, 0, 1, 0]), ("cat", "dog", "eel"), "pets")


def test_the_shape_is_that_of_one_image_channels_first(pets):
    assert pets.shape == (3, 4, 5)
    assert len(pets) == 6


def test_a_set_is_told_without_its_pixels(pets, pixels):
    assert (
        repr(pets) == "ImageSet 'pets': 6 images of 4 x 5 pixels, RGB\n    classes: cat, dog, eel"
    )
    assert repr(ImageSet(pixels[..., :1])) == "ImageSet 'images': 6 images of 4 x 5 pixels, grey"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((2, 4, 4, 3))}, "must be uint8.* got float64"),
        ({"pixels": np.zeros((2, 4, 4), np.uint8)}, r"axes \(images.*got the shape \(2, 4, 4\)"),
        ({"pixels": np.zeros((2, 4, 4, 4), np.uint8)}, "1 channel .* or 3"),
        ({"pixels": np.zeros((0, 4, 4, 3), np.uint8)}, "there are no images"),
        ({"labels": np.zeros(6)}, "labels must be int64.* got float64"),
        ({"labels": np.zeros(5, np.int64)}, r"6 images need as many labels; got .*\(5,\)"),
        ({"labels": np.array([0, 1, 2, 3, 0, 0])}, "label 3 of pets is not an index into 3 names"),
        ({"labels": np.array([0, 1, -1, 0, 0, 0])}, "label -1 of pets"),
        ({"labels": None}, "names of classes but no labels"),
        ({"classes": ("cat", "dog", "cat")}, "different names"),
    ],
)
def test_what_is_no_set_of_images_is_refused(pets, change, message):
    columns = {"pixels": pets.pixels, "labels": pets.labels, "classes": pets.classes}
    with pytest.raises(InputError, match=message):
        ImageSet(**(columns | change), name="pets")


def test_rows_are_taken_with_their_labels(pets):
    for rows in (slice(1, 4), np.array([5, 0]), pets.labels == 1):
        part = pets[rows]
        np.testing.assert_array_equal(part.pixels, pets.pixels[rows])
        np.testing.assert_array_equal(part.labels, pets.labels[rows])
        assert part.classes == pets.classes
    with pytest.raises(InputError, match="there are no images"):
        pets[:0]


def test_a_class_is_taken_by_name_or_index(pets):
    dogs = pets.of_class("dog")
    np.testing.assert_array_equal(dogs.pixels, pets.pixels[[1, 2, 4]])
    assert dogs.name == "pets/dog"
    assert dogs.fingerprint == pets.of_class(1).fingerprint


def test_classes_that_are_not_there_are_named(pets, pixels):
    with pytest.raises(InputError, match=r"unknown class of pets 'dgo' \(did you mean 'dog'"):
        pets.of_class("dgo")
    for index in (-1, 3):
        with pytest.raises(InputError, match=f"class {index} of pets is not from 0 to 2"):
            pets.of_class(index)
    with pytest.raises(InputError, match="pets has no image of class 'eel'"):
        pets.of_class("eel")
    with pytest.raises(InputError, match="has no labels"):
        ImageSet(pixels).of_class(0)


def test_the_fingerprint_tells_pixels_shape_and_labels_apart(pets, pixels):
    changed = pixels.copy()
    changed[3, 2, 1, 0] ^= 1
    others = [
        ImageSet(changed, pets.labels, pets.classes),
        ImageSet(pixels.reshape(6, 5, 4, 3), pets.labels, pets.classes),
        ImageSet(pixels, 1 - pets.labels, pets.classes),
        ImageSet(pixels),
    ]
    prints = {images.fingerprint for images in [pets, *others]}
    assert len(prints) == 5
    assert all(len(digits) == 16 and int(digits, 16) for digits in prints)


def test_the_fingerprint_does_not_depend_on_the_layout_in_memory(pixels):
    turned = pixels.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)
    assert not turned.flags["C_CONTIGUOUS"]
    assert ImageSet(turned).fingerprint == ImageSet(pixels).fingerprint


def test_a_saved_set_reads_back_the_same(pets, pixels, tmp_path):
    for images in (pets, ImageSet(pixels[..., :1])):
        images.save(tmp_path / "a.npz", overwrite=True)
        again = read(tmp_path / "a.npz")
        assert again.fingerprint == images.fingerprint
        assert again.classes == images.classes
        assert again.name == "a.npz"
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_saving_replaces_nothing_unless_told_and_writes_npz_only(pets, tmp_path):
    pets.save(tmp_path / "a.npz")
    with pytest.raises(FileError, match="exists already"):
        pets.save(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"images are written as \.npz"):
        pets.save(tmp_path / "a.png")
