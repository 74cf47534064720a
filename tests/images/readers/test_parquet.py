"""Parquet files as on Hugging Face."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from cellflow import FileError, InputError
from cellflow.images._read import read
from tests.image_files import cut


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


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'cellflow-snapshots\[images\]'"):
        read(tmp_path / "a.parquet")
