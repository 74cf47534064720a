"""Folders of image files: order, classes, splits, and every kind of file."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cellflow import FileError, InputError
from cellflow.images._read import read
from tests.image_files import cut, save


def test_a_folder_of_images_is_read_in_the_order_of_names(rgb, tmp_path):
    for name, pixels in zip("badcfe", rgb, strict=True):
        save(pixels, tmp_path / f"{name}.PNG")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("not an image either")
    images = read(tmp_path)
    np.testing.assert_array_equal(images.pixels, rgb[[1, 0, 3, 2, 5, 4]])
    assert images.labels is None
    assert images.name == tmp_path.name


def test_subfolders_are_classes(rgb, tmp_path):
    for name, pixels in zip(["dog/1", "cat/2", "cat/1", "dog/more/2"], rgb, strict=False):
        save(pixels, tmp_path / f"{name}.png")
    (tmp_path / "empty").mkdir()
    images = read(tmp_path)
    np.testing.assert_array_equal(images.pixels, rgb[[2, 1, 0, 3]])
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.classes == ("cat", "dog")


def test_folders_train_and_test_are_splits_with_the_same_classes(rgb, tmp_path):
    for name, pixels in zip(["train/dog/1", "train/cat/1", "test/eel/1"], rgb, strict=False):
        save(pixels, tmp_path / f"{name}.png")
    train, test, both = (read(tmp_path, split=split) for split in ("train", "test", "all"))
    assert train.classes == test.classes == both.classes == ("cat", "dog", "eel")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1], [2])
    np.testing.assert_array_equal(both.pixels, rgb[[1, 0, 2]])


def test_train_may_also_be_the_name_of_a_class(rgb, tmp_path):
    for name, pixels in zip(["bus/1", "train/1"], rgb, strict=False):
        save(pixels, tmp_path / f"{name}.png")
    assert read(tmp_path).classes == ("bus", "train")


def test_images_beside_folders_of_classes_are_refused(rgb, tmp_path):
    save(rgb[0], tmp_path / "cat" / "1.png")
    save(rgb[1], tmp_path / "stray.png")
    with pytest.raises(InputError, match=r"images beside them, as stray\.png"):
        read(tmp_path)


def test_grey_images_are_grey_unless_one_has_colours(rgb, grey, tmp_path):
    save(grey[0], tmp_path / "a.png")
    save(grey[1], tmp_path / "b.gif")
    save(grey[2], tmp_path / "c.bmp")
    np.testing.assert_array_equal(read(tmp_path).pixels, grey[:3])
    save(rgb[3], tmp_path / "d.webp", lossless=True)
    images = read(tmp_path)
    np.testing.assert_array_equal(images.pixels[:3], grey[:3].repeat(3, axis=-1))
    np.testing.assert_array_equal(images.pixels[3], rgb[3])


def test_all_common_kinds_are_read_and_only_the_first_frame(rgb, tmp_path):
    plain = [np.full_like(pixels, 40 * (k + 1)) for k, pixels in enumerate(rgb)]
    for name, pixels in zip(["a.png", "b.jpg", "c.jpeg", "d.webp", "e.bmp"], plain, strict=False):
        save(pixels, tmp_path / name)
    later = Image.fromarray(plain[0])
    save(plain[5], tmp_path / "f.gif", save_all=True, append_images=[later])
    difference = read(tmp_path).pixels.astype(int) - np.stack(plain)
    assert np.abs(difference).max() <= 1


def test_what_is_transparent_lies_on_white(rgb, tmp_path):
    alpha = np.array([0, 255], dtype=np.uint8).repeat(10).reshape(5, 4, 1)
    shown = np.where(alpha == 255, rgb[0], 255)
    save(np.concatenate([rgb[0], alpha], axis=-1), tmp_path / "colour" / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "colour").pixels[0], shown)
    save(np.concatenate([rgb[0][..., :1], alpha], axis=-1), tmp_path / "grey" / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "grey").pixels[0], shown[..., :1])


def test_photographs_are_turned_upright(rgb, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(rgb[0], tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path).pixels[0], np.rot90(rgb[0], -1))


def test_images_of_other_sizes_are_named_and_a_size_makes_them_alike(rgb, tmp_path):
    save(rgb[0], tmp_path / "a.png")
    save(rgb[1], tmp_path / "b.png")
    save(rgb[2][:4], tmp_path / "c.png")
    with pytest.raises(
        InputError, match=r"c\.png has 4 x 4 pixels and .*a\.png 5 x 4; give a size"
    ):
        read(tmp_path)
    assert read(tmp_path, size=4).shape == (3, 4, 4)
    with pytest.raises(InputError, match="size must be at least one pixel, got 0"):
        read(tmp_path, size=0)


def test_a_size_scales_the_shorter_side_and_crops_around_the_centre(tmp_path):
    wide = np.zeros((10, 40, 1), np.uint8)
    wide[:, 10:30] = 200
    save(wide, tmp_path / "images" / "a.png")
    np.savez(tmp_path / "a.npz", images=wide[None])
    for source in (tmp_path / "images", tmp_path / "a.npz"):
        assert (read(source, size=10).pixels == 200).all()
        assert (read(source, size=5).pixels == 200).all()
    colours = np.tile(np.uint8([10, 20, 30]), (1, 6, 4, 1))
    np.savez(tmp_path / "b.npz", images=colours)
    assert (read(tmp_path / "b.npz", size=2).pixels == [10, 20, 30]).all()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_images_that_swell_beyond_reason_are_refused(side, tmp_path):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(FileError, match=r"bomb\.png cannot be read.*decompression bomb"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif"])
def test_damaged_image_files_are_named(rng, name, tmp_path):
    save(rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8), tmp_path / name)
    cut(tmp_path / name)
    with pytest.raises(FileError, match=rf"{name} cannot be read"):
        read(tmp_path)
    (tmp_path / name).write_bytes(b"no image at all")
    with pytest.raises(FileError, match=rf"{name} cannot be read"):
        read(tmp_path)
