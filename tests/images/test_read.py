"""Reading images: every format by hand-made files, damaged files, and what is refused."""

import gzip
import io
import json
import pickle
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cellflow import FileError, InputError
from cellflow.images._read import read


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, size=(6, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def grey(rgb):
    return rgb[..., :1]


def save(pixels, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **options)


def cut(path, share=0.55):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


# Digits


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


# Arrays


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
        ({"images": rgb, "labels": np.eye(6)}, "one number or name an image"),
        ({"images": rgb, "labels": np.zeros(6)}, "whole numbers, or names"),
        ({"images": rgb, "labels": np.zeros(5, int)}, "6 images need as many labels"),
        ({"images": rgb, "labels": np.arange(6), "classes": ["a"]}, "is no index into 1 names"),
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
    for name in ("cut.npz", "text.npz", "cut.npy", "objects.npz"):
        with pytest.raises(FileError, match=rf"{name} cannot be read"):
            read(tmp_path / name)


def test_an_array_that_announces_more_than_there_can_be_is_refused(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 8, 8, 3)}"
    header += b" " * (117 - len(header)) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    (tmp_path / "a.npy").write_bytes(start + header)
    with pytest.raises(FileError, match="cannot be read"):
        read(tmp_path / "a.npy")


# Folders of image files


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


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257 * 10], [257 * 200, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read(tmp_path).pixels.ravel().tolist() == [0, 10, 200, 255]


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


# idx


def write_idx(values, path, kind=8):
    header = bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wb") as stream:
        stream.write(header + values.tobytes())


@pytest.fixture(params=["", ".gz"])
def mnist(request, grey, tmp_path):
    labels = np.array([3, 0, 1, 1, 2, 9], dtype=np.uint8)
    for name, rows in (("train", slice(4)), ("t10k", slice(4, None))):
        write_idx(grey[rows, ..., 0], tmp_path / f"{name}-images-idx3-ubyte{request.param}")
        write_idx(labels[rows], tmp_path / f"{name}-labels-idx1-ubyte{request.param}")
    return tmp_path


def test_idx_files_are_read_zipped_or_not(mnist, grey):
    train, test = read(mnist, split="train"), read(mnist, split="test")
    np.testing.assert_array_equal(train.pixels, grey[:4])
    np.testing.assert_array_equal(read(mnist).pixels, grey)
    assert (train.labels.tolist(), test.labels.tolist()) == ([3, 0, 1, 1], [2, 9])
    assert train.classes == test.classes == tuple("0123456789")


def test_damaged_idx_files_are_refused(mnist, grey):
    images, labels = sorted(mnist.glob("train*"))
    cut(images)
    with pytest.raises(FileError, match=r"train-images.*(announces|cannot be read)"):
        read(mnist)
    write_idx(np.zeros((4, 5, 4, 2), np.uint8), images)
    with pytest.raises(FileError, match="no idx file of unsigned bytes on 3 axes"):
        read(mnist)
    write_idx(grey[:5, ..., 0], images)
    with pytest.raises(FileError, match="5 images need as many labels"):
        read(mnist)
    labels.write_bytes(b"")
    with pytest.raises(FileError, match=r"train-labels.* cannot be read"):
        read(mnist)
    labels.unlink()
    with pytest.raises(FileError, match="is incomplete: train-labels-idx1-ubyte is missing"):
        read(mnist)


def test_idx_files_with_bytes_too_many_are_refused(grey, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    write_idx(grey[..., 0], path)
    write_idx(np.zeros(6, np.uint8), tmp_path / "train-labels-idx1-ubyte")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FileError, match="does not hold the 120 values that it announces"):
        read(tmp_path)


# CIFAR


@pytest.fixture
def cifar(rng):
    """Twelve images, two a file, and their labels."""
    return rng.integers(0, 256, size=(12, 32, 32, 3), dtype=np.uint8), np.arange(12) % 10


def rows_of(pixels):
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)


FILES = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
NAMES = [f"class{k}" for k in range(10)]


def binary_cifar10(folder, pixels, labels):
    for k, name in enumerate(FILES):
        records = np.c_[labels, rows_of(pixels)][2 * k : 2 * k + 2]
        (folder / f"{name}.bin").write_bytes(records.astype(np.uint8).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")


def pickled_cifar10(folder, pixels, labels):
    for k, name in enumerate(FILES):
        rows = slice(2 * k, 2 * k + 2)
        batch = {b"data": rows_of(pixels)[rows], b"labels": labels[rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"label_names": [name.encode() for name in NAMES]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def binary_cifar100(folder, pixels, labels):
    records = np.c_[labels * 0 + 77, labels, rows_of(pixels)].astype(np.uint8)
    (folder / "train.bin").write_bytes(records[:10].tobytes())
    (folder / "test.bin").write_bytes(records[10:].tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES))


def pickled_cifar100(folder, pixels, labels):
    for name, rows in (("train", slice(10)), ("test", slice(10, None))):
        batch = {b"data": rows_of(pixels)[rows], b"fine_labels": labels[rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"fine_label_names": [name.encode() for name in NAMES]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))


EDITIONS = [binary_cifar10, pickled_cifar10, binary_cifar100, pickled_cifar100]


@pytest.mark.parametrize("write", EDITIONS)
def test_cifar_is_read_in_every_edition(write, cifar, tmp_path):
    pixels, labels = cifar
    write(tmp_path, pixels, labels)
    train, test = read(tmp_path, split="train"), read(tmp_path, split="test")
    np.testing.assert_array_equal(train.pixels, pixels[:10])
    np.testing.assert_array_equal(test.pixels, pixels[10:])
    np.testing.assert_array_equal(read(tmp_path).labels, labels)
    assert train.classes == test.classes == tuple(NAMES)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", range(6))
def test_pickled_arrays_of_every_protocol_are_read(protocol, order, cifar, tmp_path):
    pickled_cifar100(tmp_path, *cifar)
    rows = np.array(rows_of(cifar[0][10:]), order=order)
    batch = {b"data": rows, b"fine_labels": [1, 2]}
    (tmp_path / "test").write_bytes(pickle.dumps(batch, protocol=protocol))
    np.testing.assert_array_equal(read(tmp_path, split="test").pixels, cifar[0][10:])


def test_pickles_as_python_2_wrote_them_are_read(cifar, tmp_path):
    """The files on the authors' page: strings of bytes, and NumPy by its old name."""
    pickled_cifar100(tmp_path, *cifar)
    raw = rows_of(cifar[0][:1]).tobytes()
    dtype = (
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ"
        + b"\xff" * 4
        + b"J"
        + b"\xff" * 4
        + b"K\x00tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(K\x01M\x00\x0ct" + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    )
    batch = b"\x80\x02}(U\x0bfine_labels](K\x04eU\x04data" + array + b"u."
    (tmp_path / "test").write_bytes(batch)
    images = read(tmp_path, split="test")
    np.testing.assert_array_equal(images.pixels, cifar[0][:1])
    assert images.labels.tolist() == [4]


class Malice:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("name", ["train", "meta"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_before_it_runs(name, protocol, cifar, tmp_path):
    pickled_cifar100(tmp_path, *cifar)
    target = tmp_path / "written"
    for evil in (Malice(open, str(target), "w"), Malice(eval, f"open({str(target)!r}, 'w')")):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": evil}, protocol=protocol))
        with pytest.raises(
            FileError, match=rf"{name} cannot .* the pickle asks for \w+\.\w+: refused"
        ):
            read(tmp_path)
    assert not target.exists()


def test_a_pickle_reaches_nothing_through_what_is_admitted(cifar, tmp_path):
    """Dotted names, other codecs and arrays read from a file are doors that must stay shut."""
    pickled_cifar100(tmp_path, *cifar)
    for text in (
        b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.tofile\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x08fromfile\x93.",
        b"cnumpy\ndtype\n(X\x01\x00\x00\x00OtR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
    ):
        (tmp_path / "test").write_bytes(text)
        with pytest.raises(FileError, match="test cannot be read"):
            read(tmp_path)


@pytest.mark.parametrize("write", EDITIONS)
def test_damaged_and_incomplete_cifar_is_refused(write, cifar, tmp_path):
    write(tmp_path, *cifar)
    first = next(
        file
        for file in sorted(tmp_path.iterdir())
        if "data_batch_1" in file.name or file.stem == "train"
    )
    cut(first)
    with pytest.raises(FileError, match=rf"{first.name} (cannot be read|is cut short)"):
        read(tmp_path)
    names = next(file for file in tmp_path.iterdir() if "meta" in file.name or "names" in file.name)
    names.unlink()
    with pytest.raises(FileError, match=rf"is incomplete: {names.name} is missing"):
        read(tmp_path)


def test_a_missing_batch_and_a_label_out_of_range_are_refused(cifar, tmp_path):
    pixels, labels = cifar
    binary_cifar10(tmp_path, pixels, labels + 3)
    with pytest.raises(FileError, match=r"label 10 of .* is no index into 10 names"):
        read(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(FileError, match=r"is incomplete: data_batch_3\.bin is missing"):
        read(tmp_path)


@pytest.mark.parametrize(
    "batch",
    [
        [1, 2],
        {b"data": [1]},
        {b"data": np.zeros((1, 3072)), b"fine_labels": [1]},
        {b"data": np.zeros((1, 3000), np.uint8), b"fine_labels": [1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": ["cat"]},
        {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [1, 2]},
        {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": 1},
    ],
)
def test_pickles_of_other_things_are_refused(batch, cifar, tmp_path):
    pickled_cifar100(tmp_path, *cifar)
    (tmp_path / "train").write_bytes(pickle.dumps(batch))
    with pytest.raises(FileError):
        read(tmp_path, split="train")


# Parquet


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def write_parquet(path, images, metadata=None, **columns):
    pa = pytest.importorskip("pyarrow", reason="parquet files need pyarrow")
    from pyarrow import parquet

    table = pa.table({"id": ["x"] * len(images), "img": images, **columns})
    parquet.write_table(table.replace_schema_metadata(metadata), path)


def hub(*names):
    features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def test_a_parquet_file_as_on_hugging_face(rgb, tmp_path):
    images = [{"bytes": png(pixels), "path": None} for pixels in rgb]
    path = tmp_path / "a.parquet"
    write_parquet(path, images, hub("cat", "dog"), label=[0, 1, 1, 0, 0, 0])
    found = read(path)
    np.testing.assert_array_equal(found.pixels, rgb)
    assert found.labels.tolist() == [0, 1, 1, 0, 0, 0]
    assert found.classes == ("cat", "dog")
    assert read(path, size=2).shape == (3, 2, 2)


def test_a_folder_of_parquet_files_has_splits(rgb, tmp_path):
    for name, rows in (("train-0", slice(2)), ("train-1", slice(2, 4)), ("test-0", slice(4, 6))):
        images = [png(pixels) for pixels in rgb[rows]]
        write_parquet(tmp_path / f"{name}.parquet", images, fine_label=[0, rows.stop])
    train, test = read(tmp_path, split="train"), read(tmp_path, split="test")
    np.testing.assert_array_equal(train.pixels, rgb[:4])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2, 0, 4], [0, 6])
    assert train.classes == test.classes == tuple("0123456")


def test_parquet_without_labels_has_no_classes(rgb, tmp_path):
    write_parquet(tmp_path / "a.parquet", [png(pixels) for pixels in rgb], hub("cat"))
    assert read(tmp_path / "a.parquet").labels is None


def test_parquet_files_that_hold_no_images_or_damaged_ones_are_refused(rgb, tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, [1, 2])
    with pytest.raises(InputError, match="no column of encoded images; it has id, img"):
        read(path)
    write_parquet(path, [png(rgb[0]), png(rgb[1])[:-30]])
    with pytest.raises(FileError, match=r"a\.parquet, row 1 cannot be read"):
        read(path)
    write_parquet(path, [png(rgb[0]), None])
    with pytest.raises(FileError, match=r"a\.parquet, row 1 has no image inside the file"):
        read(path)
    write_parquet(path, [{"bytes": png(rgb[0])}], {"huggingface": "{"}, label=[0])
    with pytest.raises(FileError, match="cannot be read"):
        read(path)
    write_parquet(path, [png(rgb[0])] * 2, label=[0, None])
    with pytest.raises(InputError, match="whole numbers"):
        read(path)
    cut(path)
    with pytest.raises(FileError, match=r"a\.parquet cannot be read"):
        read(path)


# Sources and packages that are not there


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'cellflow-snapshots\[images\]'"):
        read(tmp_path / "a.parquet")


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        read("digits")


def test_what_cannot_be_read_is_answered_with_what_can(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    for source in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(
            InputError, match=r"nothing that can be read; what can be: 'digits'; a \.npz"
        ):
            read(source)
    with pytest.raises(FileError, match=r"digitz does not exist; what can be read: 'digits'"):
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
