"""What can be read, by name or path, and what is answered where nothing can."""

import sys

import numpy as np
import pytest

from cellflow import FileError, InputError
from cellflow.images._read import read
from tests.image_files import save


def test_digits_are_split_by_class_in_a_fixed_way():
    train, test = read("digits", split="train"), read("digits", split="test")
    assert (len(train), len(test)) == (1437, 360)
    assert (train.shape, train.name) == ((1, 8, 8), "digits/train")
    assert train.classes == tuple("0123456789")
    share = np.bincount(test.labels) / np.bincount(read("digits").labels)
    np.testing.assert_allclose(share, 0.2, atol=0.006)
    assert test.fingerprint == "c5caa8f867de92e6"


def test_digits_keep_their_seventeen_shades_and_all_images():
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = read("digits")
    shades = np.rint(images.pixels.reshape(-1, 64) / 255 * 16)
    order, expected = (
        np.lexsort(np.c_[x, y].T) for x, y in [(shades, images.labels), (values, labels)]
    )
    np.testing.assert_array_equal(shades[order], values[expected])
    np.testing.assert_array_equal(images.labels[order], labels[expected])
    assert (images.pixels.min(), images.pixels.max()) == (0, 255)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        read("digits")


def test_what_cannot_be_read_is_answered_with_what_can(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    for source in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(
            InputError, match=r"has no known format; readable are: 'digits'; a \.npz"
        ):
            read(source)
    with pytest.raises(FileError, match=r"digitz does not exist; readable are: 'digits'"):
        read("digitz")


def test_unknown_splits_are_refused(rgb, tmp_path):
    with pytest.raises(InputError, match=r"unknown split 'tset' .*valid: train, test, all"):
        read("digits", split="tset")
    save(rgb[0], tmp_path / "a.png")
    with pytest.raises(InputError, match="has no split 'test'; it has: all"):
        read(tmp_path, split="test")


def test_the_folder_one_stands_in_has_its_own_name(rgb, tmp_path, monkeypatch):
    save(rgb[0], tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert read(".").name == tmp_path.name
