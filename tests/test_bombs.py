"""Small files that say to hold more than memory does are refused before it is asked for."""

import gzip
import io
import json
import pickle
import shutil
import struct
import zipfile

import h5py
import numpy as np
import pytest
from numpy.lib.format import write_array_header_1_0
from PIL import Image

from cellflow import FileError, InputError, images
from cellflow.io import open_cells, read_course, read_h5ad, write_h5ad
from cellflow.io.zarr_stores import zip_store

MEMORY = 2**28


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch):
    """A machine whose half of memory is 128 MiB, so that a test that fails does no harm."""
    monkeypatch.setattr("cellflow._checks._total_memory", lambda: MEMORY)


def npy(shape, kind, values=b""):
    """Write a NumPy file whose header may say more than there is."""
    stream = io.BytesIO()
    write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue() + values


def npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, blob in members.items():
            archive.writestr(f"{name}.npy", blob)


PIXELS = npy((2, 4, 4), "|u1", bytes(32))
ARRAYS = {
    "pixels": ({"images": npy((10**9, 10, 10), "|u1")}, "array 'images' would take 93.1 GiB"),
    "text": (
        {"images": PIXELS, "labels": npy((10**8,), "<U1")},
        "array 'labels' would take 6.3 GiB of memory; at most 0.1 GiB",
    ),
    "empty text": (
        {"images": PIXELS, "labels": npy((2,), "<U0")},
        "array 'labels' has values of zero bytes",
    ),
    "names of classes": (
        {"images": PIXELS, "labels": npy((2,), "<i8", bytes(16)), "classes": npy((10**8,), "<U1")},
        "array 'classes' would take",
    ),
    "a pickle": ({"images": npy((2,), "|O", b".")}, "array 'images' is pickled, and opening it"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_arrays_of_numpy(what, tmp_path):
    members, message = ARRAYS[what]
    npz(tmp_path / "a.npz", **members)
    with pytest.raises(InputError, match=message):
        images.read(tmp_path / "a.npz")


def test_points_of_a_course(tmp_path):
    npz(tmp_path / "a.npz", pcs=npy((10**9, 5), "<f8"), sample_labels=npy((2,), "<i8", bytes(16)))
    with pytest.raises(InputError, match=r"array 'pcs' would take 37\.3 GiB"):
        read_course(tmp_path / "a.npz")


def test_values_of_idx_files(tmp_path):
    head = struct.pack(">HBB3I", 0, 8, 3, 10**6, 1000, 1000)
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(head)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 1) + b"\0")
    with pytest.raises(InputError, match=r"images-idx3-ubyte\.gz would take 1,862\.6 GiB"):
        images.read(tmp_path)


def pickled_batch(tmp_path, blob):
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(blob)
    names = {b"label_names": [b"%d" % k for k in range(10)]}
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(names, 2))


def test_a_pickle_that_numbers_its_values_by_the_million(tmp_path):
    # An empty dictionary under the number 2^28 - 1.
    pickled_batch(tmp_path, b"\x80\x02}r\xff\xff\xff\x0f.")
    with pytest.raises(FileError, match="value 3 has the number 268435455"):
        images.read(tmp_path)


def test_labels_that_are_lists_of_the_same_lists(tmp_path):
    labels = [0] * 10
    for _ in range(9):
        labels = [labels] * 10
    batch = {b"data": np.zeros((10, 3072), np.uint8), b"labels": labels}
    pickled_batch(tmp_path, pickle.dumps(batch, 2))
    with pytest.raises(FileError, match="labels that are not a list of whole numbers"):
        images.read(tmp_path)


def test_images_whose_stack_memory_does_not_hold(tmp_path):
    for k in range(9):
        Image.new("L", (3000, 3000)).save(tmp_path / f"{k}.png")
    with pytest.raises(InputError, match=r"9 images such as .*0.png, of 3000 x 3000 pixels, would"):
        images.read(tmp_path)
    assert images.read(tmp_path, size=8).pixels.shape == (9, 8, 8, 1)


def test_rows_of_parquet_that_repeat(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="parquet files need pyarrow")
    from pyarrow import parquet

    table = pa.table({"image": pa.nulls(300_000, pa.binary())})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="300,000 rows, would take"):
        images.read(tmp_path / "a.parquet")
    parquet.write_table(table[:0], tmp_path / "a.parquet")
    with pytest.raises(FileError, match="has no rows"):
        images.read(tmp_path / "a.parquet")


def text(group, name):
    return group.create_dataset(
        name, shape=(3 * 10**8,), dtype=h5py.string_dtype(), chunks=(2**16,), compression="gzip"
    )


def numbers(group, name):
    return group.create_dataset(name, shape=(240, 10**9), dtype="f4", chunks=(1, 2**16))


HDF5 = {
    "a column of empty text": ("obs", "day", text, "/obs/day says to have 300,000,000 values"),
    "an embedding without values": ("obsm", "X_pca", numbers, "X_pca says to .* of 894.1 GiB, and"),
    "unstructured data": ("uns", "x", numbers, "/uns/x says to have .* and 0 bytes are stored"),
}


@pytest.mark.parametrize("read", [read_h5ad, open_cells])
@pytest.mark.parametrize("what", HDF5)
def test_arrays_of_hdf5_of_which_chunks_are_missing(what, read, course, tmp_path):
    group, name, create, message = HDF5[what]
    path = tmp_path / "a.h5ad"
    write_h5ad(course, path)
    with h5py.File(path, "r+") as file:
        attributes = dict(file[group][name].attrs) if name in file[group] else {}
        file[group].pop(name, None)
        create(file[group], name).attrs.update(attributes)
    with pytest.raises(FileError, match=message):
        read(path)


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
@pytest.mark.parametrize(
    ("array", "kind", "shape"),
    [("obsm/X_pca", "f4", (240, 10**9)), ("uns/x", str, (3 * 10**8,)), ("uns/y", "O", (10**9,))],
)
def test_arrays_of_zarr_of_which_chunks_are_missing(array, kind, shape, name, course, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr stores need zarr")
    write_h5ad(course, tmp_path / "b.zarr")
    folder = tmp_path / "b.zarr"
    shutil.rmtree(folder / array, ignore_errors=True)
    if kind == "O":
        text = {"zarr_format": 2, "shape": shape, "chunks": [2**16], "dtype": "|O", "order": "C",
                "fill_value": "", "filters": [{"id": "vlen-utf8"}], "compressor": None}  # fmt: skip
        (folder / array).mkdir(parents=True)
        (folder / array / ".zarray").write_text(json.dumps(text))
    else:
        chunks = (*shape[:-1], 2**16)
        zarr.open_group(folder).create_array(array, shape=shape, chunks=chunks, dtype=kind)
    if name.endswith("zip"):
        zip_store(folder, tmp_path / name)
    else:
        folder.rename(tmp_path / name)
    with pytest.raises(FileError, match=rf"array {array} of .* values, of .* \d+ bytes are stored"):
        read_h5ad(tmp_path / name)
