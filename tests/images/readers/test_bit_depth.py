"""16-bit pictures are scaled by the range that holds them, and the log says so."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cellflow import FileError, InputError
from cellflow.images._read import read
from cellflow.images.readers.bit_depth import to_eight_bits
from tests.image_files import save


def _deep(values, path):
    Image.fromarray(np.asarray(values, dtype=np.uint16)).save(path)


def test_full_range_is_scaled_and_not_clipped(tmp_path, capsys):
    _deep([[0, 257 * 10], [257 * 200, 65535]], tmp_path / "a.png")
    assert read(tmp_path).pixels.ravel().tolist() == [0, 10, 200, 255]
    err = capsys.readouterr().err
    assert "up to 65,535, are read as 16-bit: 0 to 65,535 become 0 to 255" in err


@pytest.mark.parametrize(("top", "range_"), [(255, 255), (1000, 1023), (4095, 4095), (9e3, 16383)])
def test_one_range_holds_all_pictures(top, range_, tmp_path, capsys):
    _deep([[0, top], [top // 2, 1]], tmp_path / "a.png")
    _deep([[0, 0], [top // 4, 1]], tmp_path / "b.png")
    found = read(tmp_path).pixels[..., 0]
    expected = np.array([[[0, top], [top // 2, 1]], [[0, 0], [top // 4, 1]]]) * 255 / range_
    assert np.abs(found - expected).max() <= 0.5
    assert capsys.readouterr().err.count("16-bit pixels") == 1


def test_sixteen_bits_are_scaled_to_a_size(tmp_path):
    _deep(np.full((6, 4), 257 * 80), tmp_path / "a.png")
    _deep(np.full((4, 4), 65535), tmp_path / "b.png")
    assert read(tmp_path, size=2).pixels[:, 0, 0, 0].tolist() == [80, 255]


def test_scaling_to_a_size_does_not_leave_the_range(tmp_path, capsys, rng):
    _deep(rng.choice([0, 4095], size=(30, 30)), tmp_path / "a.png")
    assert read(tmp_path, size=32).pixels.max() == 255
    assert "up to 4,095, are read as 12-bit" in capsys.readouterr().err


def test_sixteen_bit_colours_are_read(tmp_path, capsys):
    """Written by hand, since Pillow writes none."""
    values = np.array([[[65535, 257 * 9, 0]]], dtype=">u2")
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + values.tobytes())), (b"IEND", b"")]
    whole = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + whole)
    assert read(tmp_path).pixels.ravel().tolist() == [255, 9, 0]
    assert "read as 16-bit" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_arrays_of_sixteen_bits_are_scaled(kind, tmp_path):
    values = np.array([0, 4095, 2048], dtype=kind).reshape(3, 1, 1)
    np.savez(tmp_path / "a.npz", images=values)
    np.save(tmp_path / "a.npy", values)
    for name in ("a.npz", "a.npy"):
        assert read(tmp_path / name).pixels.ravel().tolist() == [0, 255, 128]


def test_other_types_are_left_and_negative_pixels_refused(tmp_path):
    for array in (np.zeros(3, np.uint8), np.zeros(3), np.zeros(3, np.int32), np.zeros(3, np.half)):
        assert to_eight_bits(array, "x") is array
    np.save(tmp_path / "a.npy", np.full((1, 2, 2), -7, np.int16))
    with pytest.raises(InputError, match=r"a\.npy has negative pixels, down to -7"):
        read(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((1, 2, 2)))
    with pytest.raises(FileError, match="must be uint8"):
        read(tmp_path / "a.npy")


def test_pictures_of_both_depths_are_refused(grey, tmp_path):
    _deep(np.full(grey.shape[1:3], 4000), tmp_path / "a.png")
    save(grey[0], tmp_path / "b.png")
    with pytest.raises(InputError, match=r"a\.png has 16-bit pixels and .*b\.png 8-bit"):
        read(tmp_path)
