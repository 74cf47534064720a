"""Images in files of NumPy, as they are, damaged, and of no images."""

import struct

import numpy as np
import pytest

from cellflow import FileError, InputError
from cellflow.images._read import read
from tests.image_files import cut


def test_arrays_with_labels_and_names_of_classes(rgb, tmp_path):
    labels = np.array([1, 0, 1, 1, 0, 0], dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=rgb, labels=labels, classes=["cat", "dog"])
    images = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(images.pixels, rgb)
    assert images.labels.tolist() == labels.tolist()
    assert images.classes == ("cat", "dog")
    with pytest.raises(InputError, match=r"a\.npz has no split 'test'; it has: all"):
        read(tmp_path / "a.npz", split="test")


@pytest.mark.parametrize(
    "keys",
    [
        ("images", "labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_arrays_of_both_splits_share_their_classes(rgb, keys, tmp_path):
    parts = [rgb[:4], np.array([[0], [1], [1], [0]]), rgb[4:], np.array([[2], [0]])]
    np.savez(tmp_path / "a.npz", **dict(zip(keys, parts, strict=True)))
    train, test, both = (read(tmp_path / "a.npz", split=s) for s in ("train", "test", "all"))
    assert train.classes == test.classes == both.classes == ("0", "1", "2")
    assert test.labels.tolist() == [2, 0]
    assert test.name == "a.npz/test"
    np.testing.assert_array_equal(both.pixels, rgb)
    assert both.labels.tolist() == [0, 1, 1, 0, 2, 0]


def test_only_one_split_is_named_as_such(rgb, tmp_path):
    np.savez(tmp_path / "a.npz", x_test=rgb)
    assert (
        read(tmp_path / "a.npz").fingerprint == read(tmp_path / "a.npz", split="test").fingerprint
    )
    with pytest.raises(InputError, match="has no split 'train'; it has: test, all"):
        read(tmp_path / "a.npz", split="train")


def test_labels_that_are_names_become_classes_in_order(grey, tmp_path):
    names = np.array(["eel", "cat", "eel", "dog", "cat", "cat"])
    np.savez(tmp_path / "a.npz", images=grey, labels=names)
    images = read(tmp_path / "a.npz")
    assert images.classes == ("cat", "dog", "eel")
    assert [images.classes[label] for label in images.labels] == names.tolist()


def test_axes_are_put_in_order(rgb, grey, tmp_path):
    for array, expected in [
        (rgb, rgb),
        (rgb.transpose(0, 3, 1, 2), rgb),
        (grey[..., 0], grey),
        (grey.transpose(0, 3, 1, 2), grey),
        (rgb[:, :3], rgb[:, :3]),
    ]:
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(read(tmp_path / "a.npy").pixels, expected)


def test_arrays_that_are_no_images_are_refused(rgb, tmp_path):
    path = tmp_path / "a.npz"
    for arrays, message in [
        ({"pictures": rgb}, "has no images: it has pictures; expected images, train_images"),
        ({"images": rgb / 255}, "must be uint8.* got float64"),
        ({"images": rgb[0, 0]}, r"\(n, c, h, w\); got the shape \(4, 3\)"),
        ({"images": rgb, "labels": np.eye(6)}, "one number or name per image"),
        ({"images": rgb, "labels": np.zeros(6)}, "whole numbers, or names"),
        ({"images": rgb, "labels": np.zeros(5, int)}, "6 images need as many labels"),
        ({"images": rgb, "labels": np.arange(6), "classes": ["a"]}, "is not an index into 1 names"),
        ({"x_train": rgb, "x_test": rgb, "y_test": np.arange(6)}, "only one split .* has labels"),
        ({"x_train": rgb, "x_test": rgb[:, :4]}, r"different sizes, \[\(4, 4\), \(5, 4\)\]"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=message):
            read(path)


def test_damaged_arrays_and_arrays_of_objects_are_refused(rgb, tmp_path):
    np.savez_compressed(tmp_path / "cut.npz", images=rgb)
    cut(tmp_path / "cut.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    np.save(tmp_path / "cut.npy", rgb)
    cut(tmp_path / "cut.npy")
    np.savez(tmp_path / "objects.npz", images=np.array([print], dtype=object))
    for name in ("cut.npz", "text.npz", "cut.npy"):
        with pytest.raises(FileError, match=rf"{name} cannot be read"):
            read(tmp_path / name)
    with pytest.raises(FileError, match=r"objects\.npz: array 'images' is pickled"):
        read(tmp_path / "objects.npz")


def test_an_array_that_announces_more_than_there_can_be_is_refused(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 8, 8, 3)}"
    header += b" " * (117 - len(header)) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    (tmp_path / "a.npy").write_bytes(start + header)
    with pytest.raises(InputError, match=r"a\.npy would take .* of memory"):
        read(tmp_path / "a.npy")
