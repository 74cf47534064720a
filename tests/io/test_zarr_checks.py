"""Zarr stores of strangers: nothing in them is decoded by a codec that may run code."""

import json
import os
import pickle
import shutil
import warnings
import zipfile

import anndata
import numcodecs
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData

from cellflow import FileError
from cellflow.io import open_cells, read_h5ad

#: Format of zarr, and the file of an array's metadata.
FORMATS = {2: ".zarray", 3: "zarr.json"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small store of each format."""
    folder = tmp_path_factory.mktemp("stores")
    obs = pd.DataFrame({"day": [0, 0, 1, 1]}, index=list("abcd"))
    adata = AnnData(np.ones((4, 2), np.float32), obs=obs, obsm={"X_pca": np.ones((4, 2))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in FORMATS:
            # Newer versions of AnnData store names as a group of two arrays, unless told not to.
            with anndata.settings.override(
                zarr_write_format=number, allow_write_nullable_strings=False
            ):
                adata.write_zarr(folder / f"{number}.zarr")
    return folder


@pytest.fixture(params=FORMATS, ids=["v2", "v3"])
def store(request, whole, tmp_path):
    return shutil.copytree(whole / f"{request.param}.zarr", tmp_path / "a.zarr")


@pytest.fixture
def old_store(whole, tmp_path):
    return shutil.copytree(whole / "2.zarr", tmp_path / "a.zarr")


def metadata(store):
    return next(
        file for file in (store / "obs" / "_index").iterdir() if file.name in FORMATS.values()
    )


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def zipped(store):
    shutil.make_archive(str(store), "zip", store)
    return store.with_suffix(".zarr.zip")


def refused(path, reason):
    for reader in (read_h5ad, open_cells):
        with pytest.raises(FileError, match=reason):
            reader(path)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_pickle_behind_text_is_never_opened(old_store, tmp_path, monkeypatch):
    """Also where numcodecs opens it, as its versions up to 0.16.5 do."""
    array, mark = old_store / "obs" / "_index", tmp_path / "ran"
    edit(array / ".zarray", lambda it: it.update(compressor={"id": "pickle", "protocol": 4}))
    (array / "0").write_bytes(pickle.dumps(Payload(mark), 4))
    (old_store / ".zmetadata").unlink()
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    for path in (old_store, zipped(old_store)):
        refused(path, "not read: array obs/_index is encoded by 'pickle', which may run code")
    assert not mark.exists()
    # AnnData opens it, and it runs, unless zarr is new enough to refuse it as well.
    refusal = getattr(zarr.errors, "PickleCodecDisabledError", None)
    with pytest.raises(refusal or TypeError):
        anndata.io.read_zarr(old_store)
    assert mark.exists() == (refusal is None)


FOREIGN = [
    {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]},
    {"compressor": {"id": "json2"}},
    {"codecs": [{"name": "numcodecs.pickle"}]},
    {"codecs": ["bytes", "theirs"]},
    {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "theirs"}]}}]},
    {"codecs": [{"name": "bytes"}, {"name": "sharding_indexed", "configuration":
                 {"index_codecs": [{"id": "bytes", "name": "theirs"}]}}]},
]  # fmt: skip


@pytest.mark.parametrize("entries", FOREIGN)
def test_codecs_that_are_not_known_are_refused_wherever_they_are_named(entries, store):
    edit(metadata(store), lambda it: it.update(entries))
    refused(store, r"array obs/_index is encoded by '(numcodecs\.)?(pickle|json2|theirs)'")


def test_the_index_of_a_store_is_checked_too(store):
    """A zip file is read by its index alone."""

    def change(document):
        index = document.get("consolidated_metadata", document)["metadata"]
        name = next(
            name for name in index if name.startswith("obs/_index") and "zattrs" not in name
        )
        index[name].update(filters=[{"id": "pickle"}])

    index = store / (".zmetadata" if metadata(store).name == ".zarray" else "zarr.json")
    edit(index, change)
    for path in (store, zipped(store)):
        refused(path, "array obs/_index is encoded by 'pickle'")


def test_an_index_inside_a_group_is_checked_too(old_store):
    """Whatever an array is called."""
    array = json.loads((old_store / "obs" / "_index" / ".zarray").read_text())
    array["filters"].append({"id": "pickle"})
    index = {"kind": "inline", "metadata": {"_index/.zattrs": array}}
    edit(old_store / "obs" / ".zgroup", lambda it: it.update(consolidated_metadata=index))
    refused(old_store, "array obs/_index/.zattrs is encoded by 'pickle'")


# Older versions of zarr say so of every text.
@pytest.mark.filterwarnings("ignore:The codec `vlen-utf8` is currently not part")
def test_attributes_may_have_names_of_codecs(store):
    document = metadata(store)
    attributes = document.with_name(".zattrs") if document.name == ".zarray" else document
    edit(attributes, lambda it: it.get("attributes", it).update(codecs=["mine"]))
    assert read_h5ad(store).n_obs == 4


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "\x00"])
def test_metadata_that_cannot_be_read_is_named(text, store):
    metadata(store).write_text(text)
    refused(store, r"obs/_index/\S+ in \S+a.zarr cannot be read")


def linked_file(store, outside):
    (store / "obs" / "more").symlink_to(outside)


def linked_folder(store, outside):
    (store / "layers" / "more").symlink_to(outside.parent)


def pipe(store, outside):
    os.mkfifo(store / "obs" / "pipe")


@pytest.mark.parametrize(
    ("add", "reason"),
    [
        (linked_file, "obs/more is a link, which a zarr store must not contain"),
        (linked_folder, "layers/more is a link, which a zarr store must not contain"),
        (pipe, "obs/pipe is a pipe, a socket or a device, not a file"),
    ],
)
def test_stores_that_lead_out_of_their_folder_are_refused(add, reason, store, tmp_path):
    (tmp_path / "outside").write_text("{}")
    add(store, tmp_path / "outside")
    refused(store, reason)


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("/etc/x", 0, "leads out of it"),
        ("obs/../../x", 0, "leads out of it"),
        ("..\\x", 0, "leads out of it"),
        ("obs/x", 0o120777, "is a link or no file"),
        ("obs/x", 0o010644, "is a link or no file"),
    ],
)
def test_zip_files_that_lead_out_of_themselves_are_refused(name, mode, reason, old_store):
    path = zipped(old_store)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "x")
    refused(path, reason)


def test_stores_that_other_programs_compressed_are_read(old_store):
    lossless = (
        numcodecs.BZ2(), numcodecs.CRC32(), numcodecs.LZ4(), numcodecs.LZMA(), numcodecs.Adler32(),
        numcodecs.Blosc(), numcodecs.Fletcher32(), numcodecs.GZip(), numcodecs.Zlib(),
        numcodecs.Zstd(),
    )  # fmt: skip
    filters = [numcodecs.Delta("f8"), numcodecs.Shuffle(8)]
    values = np.arange(8.0).reshape(4, 2)
    for codec in lossless:
        obsm = zarr.open_group(old_store / "obsm", mode="r+", use_consolidated=False)
        made = obsm.create_array(codec.codec_id, data=values, compressors=codec, filters=filters)
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    adata = read_h5ad(old_store)
    for codec in lossless:
        np.testing.assert_array_equal(adata.obsm[codec.codec_id], values)
