"""Folders of StyleGAN and EDM, zip files, and the samples of OpenAI."""

import json
import zipfile

import numpy as np
import pytest

from cellflow import FileError, InputError
from cellflow.images._read import read, splits
from tests.image_files import save

NAMES = [f"0000{k // 3}/img{k:08d}.png" for k in range(6)]


@pytest.fixture(params=["folder", "zip"])
def packed(request, tmp_path, rgb):
    """Write images under names, and an index if there is one, as a folder or as a zip file."""

    def pack(names, index=None):
        folder = tmp_path / "data"
        for name, pixels in zip(names, rgb, strict=False):
            save(pixels, folder / name)
        if index is not None:
            (folder / "dataset.json").write_text(json.dumps(index))
        return folder if request.param == "folder" else _zip(folder, tmp_path / "data.zip")

    return pack


def _zip(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/._a.png", "not an image")
    return path


def test_labels_are_those_of_the_index_and_folders_are_not_classes(packed, rgb):
    labels = [[name, k % 3] for k, name in enumerate(NAMES)]
    images = read(packed(NAMES, {"labels": labels[::-1]}))
    np.testing.assert_array_equal(images.pixels, rgb)
    assert images.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert images.classes == ("0", "1", "2")


@pytest.mark.parametrize("index", [{"labels": None}, {}, None])
def test_folders_without_labels_are_not_classes(index, packed, rgb):
    images = read(packed(NAMES, index))
    np.testing.assert_array_equal(images.pixels, rgb)
    assert images.labels is None


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["cat", "eel", "cat", "ape", "ape", "eel"], ("ape", "cat", "eel"), [1, 2, 1, 0, 0, 2]),
        ([[0, 1], [1.0, 0.0], [0, 1], [0, 1], [1, 0], [0, 1]], ("0", "1"), [1, 0, 1, 1, 0, 1]),
    ],
    ids=["names", "one-hot"],
)
def test_labels_may_be_names_or_one_hot(labels, classes, expected, packed):
    images = read(packed(NAMES, {"labels": list(zip(NAMES, labels, strict=True))}))
    assert images.classes == classes
    assert images.labels.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[name, 0] for name in NAMES[1:]], "has no label of 00000/img00000000.png"),
        ([[name, 0.5] for name in NAMES], "pairs of a name and a class.*got 0.5"),
        ([[name, [0.2, 0.8]] for name in NAMES], r"got \[0.2, 0.8\]"),
        ([1, 2], "pairs of a name and a class"),
        (3, "pairs of a name and a class"),
    ],
)
def test_labels_that_are_not_classes_are_refused(labels, said, packed):
    with pytest.raises(InputError, match=said):
        read(packed(NAMES, {"labels": labels}))


def test_damaged_indices_and_archives_are_named(tmp_path, rgb):
    save(rgb[0], tmp_path / "data" / NAMES[0])
    (tmp_path / "data" / "dataset.json").write_text("{")
    with pytest.raises(FileError, match=r"dataset\.json cannot be read"):
        read(tmp_path / "data")
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(FileError, match=r"a\.zip cannot be read"):
        read(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("notes.txt", "no image")
    with pytest.raises(InputError, match=r"b\.zip has no images"):
        read(tmp_path / "b.zip")


@pytest.mark.parametrize("top", ["", "flowers/"])
def test_zips_are_read_as_folders_are(top, tmp_path, rgb):
    for inside in (["cat/1", "dog/2", "dog/3"], ["train/cat/1", "train/dog/2", "test/dog/3"]):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name, pixels in zip(inside, rgb, strict=False):
                save(pixels, tmp_path / "one.png")
                archive.write(tmp_path / "one.png", f"{top}{name}.png")
        images = read(tmp_path / "a.zip")
        assert images.classes == ("cat", "dog")
        assert images.labels.tolist() == [0, 1, 1]
        np.testing.assert_array_equal(images.pixels, rgb[:3])
    assert splits(tmp_path / "a.zip") == ("train", "test")
    assert len(read(tmp_path / "a.zip", split="test")) == 1


def test_images_beside_folders_in_a_zip_are_refused_and_flat_ones_have_no_classes(tmp_path, rgb):
    save(rgb[0], tmp_path / "one.png")
    for names, classes in ((["a", "b"], ()), (["a", "cat/b"], None)):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name in names:
                archive.write(tmp_path / "one.png", f"{name}.png")
        if classes is None:
            with pytest.raises(InputError, match="images beside them"):
                read(tmp_path / "a.zip")
        else:
            assert read(tmp_path / "a.zip").classes == classes


def test_a_size_applies_to_images_in_zips(packed):
    assert read(packed(NAMES), size=3).shape == (3, 3, 3)


def test_samples_of_openai_are_read_with_their_labels(tmp_path, rgb):
    np.savez(tmp_path / "a.npz", rgb)
    assert read(tmp_path / "a.npz").labels is None
    np.savez(tmp_path / "a.npz", rgb, np.arange(6) % 2)
    images = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(images.pixels, rgb)
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert splits(tmp_path / "a.npz") == ("all",)


def test_labels_that_are_identifiers_take_no_memory(tmp_path, rgb):
    ids = np.array([10**12, 7, 10**12 + 1, 7, 10**12, 7])
    np.savez(tmp_path / "a.npz", images=rgb, labels=ids)
    images = read(tmp_path / "a.npz")
    assert images.classes == ("1000000000000", "1000000000001", "7")
    assert [int(images.classes[label]) for label in images.labels] == ids.tolist()


def test_an_array_under_the_name_of_an_archive_is_refused(tmp_path, rgb):
    np.save(tmp_path / "a.npy", rgb)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz is a single array; name it a\.npy"):
        read(tmp_path / "a.npz")


def test_members_of_an_archive_that_are_no_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images", "text")
    with pytest.raises(InputError, match=r"a\.npz has no images: it has no arrays"):
        read(tmp_path / "a.npz")
