"""MNIST and its like in files of the kind idx."""

import gzip
import struct

import numpy as np
import pytest

from cellflow import FileError
from cellflow.images._read import read
from tests.image_files import cut


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
    with pytest.raises(FileError, match=r"train-images.*(of its header|cannot be read)"):
        read(mnist)
    write_idx(np.zeros((4, 5, 4, 2), np.uint8), images)
    with pytest.raises(FileError, match="not an idx file of unsigned bytes on 3 axes"):
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
    with pytest.raises(FileError, match="does not hold the 120 values of its header"):
        read(tmp_path)
