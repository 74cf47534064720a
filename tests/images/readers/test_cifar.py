"""CIFAR in its four editions, and pickles that would run code."""

import pickle
import struct

import numpy as np
import pytest

from cellflow import FileError
from cellflow.images._read import read
from tests.image_files import cut


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
            FileError, match=rf"{name} cannot .* the pickle names \w+\.\w+, which is refused"
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
    with pytest.raises(FileError, match=r"label 10 of .* is not an index into 10 names"):
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
