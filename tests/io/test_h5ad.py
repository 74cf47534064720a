"""Files in and out."""

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from anndata.io import write_elem

import cellflow as cf
from cellflow import FileError, InputError
from cellflow.io import open_cells, read_h5ad, read_scores, time_key_of, write_h5ad, write_scores
from cellflow.metrics import BASELINES


def test_round_trip(course, tmp_path):
    write_h5ad(course, tmp_path / "a.h5ad")
    again = read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.obsm["X_pca"], course.obsm["X_pca"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5ad"]


def test_missing_foreign_and_truncated_files_are_refused(course, tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        read_h5ad(tmp_path / "none.h5ad")
    with pytest.raises(FileError, match="is a folder, and neither a file of cells nor"):
        read_h5ad(tmp_path)
    text = tmp_path / "text.h5ad"
    text.write_text("these are no cells")
    with pytest.raises(FileError, match="not HDF5"):
        read_h5ad(text)
    whole = tmp_path / "whole.h5ad"
    write_h5ad(course, whole)
    for share in (0.3, 0.9):
        cut = tmp_path / "cut.h5ad"
        cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        with pytest.raises(FileError, match="cannot be read"):
            read_h5ad(cut)


def of_no_length(blob):
    """A heap of text whose first entry leads nowhere: HDF5 never comes back."""
    at = blob.index(b"GCOL") + 16
    return blob[:at] + bytes(16) + blob[at + 16 :]


def as_sequence(blob):
    """A text attribute that says to be a sequence of numbers: HDF5 crashes.

    A type message of version 1, class 9 (variable length), of type text in UTF-8, 16 bytes long.
    """
    text = bytes([0x19, 0x01, 0x01, 0x00, 0x10, 0, 0, 0])
    assert text in blob
    return blob.replace(text, bytes([0x19, 0x00]) + text[2:], 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_no_length, "a heap of text has an entry of invalid length"),
        (as_sequence, "an attribute of /.* has a type that AnnData does not write"),
    ],
)
def test_files_that_hang_or_crash_hdf5_are_refused(change, reason, course, tmp_path):
    write_h5ad(course, tmp_path / "a.h5ad")
    (tmp_path / "a.h5ad").write_bytes(change((tmp_path / "a.h5ad").read_bytes()))
    for reader in (read_h5ad, open_cells):
        with pytest.raises(FileError, match=f"a.h5ad cannot be read.*damaged .*{reason}"):
            reader(tmp_path / "a.h5ad")


def linked(file):
    file["obsm/X_more"] = h5py.ExternalLink("other.h5ad", "obsm/X_pca")


def outside(file):
    external = [("other.bin", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("obsm/X_more", (240, 2), "f4", external=external)


def virtual(file):
    layout = h5py.VirtualLayout((240, 3), "f8")
    layout[:] = h5py.VirtualSource("other.h5ad", "obsm/X_pca", (240, 3))
    file.create_virtual_dataset("obsm/X_more", layout)


@pytest.mark.parametrize("add", [linked, outside, virtual])
def test_files_that_lead_into_others_are_refused(add, course, tmp_path):
    write_h5ad(course, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        add(file)
    with pytest.raises(FileError, match=r"obsm/X_more links to another file, other\."):
        read_h5ad(tmp_path / "a.h5ad")


def of_itself(file):
    layout = h5py.VirtualLayout((240, 3), "f8")
    layout[:] = h5py.VirtualSource(".", "layers/more", (240, 3))
    file.create_virtual_dataset("layers/more", layout)


def test_virtual_data_sets_are_refused(course, tmp_path):
    """One that is its own source crashes HDF5."""
    write_h5ad(course, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        of_itself(file)
        # Older versions of AnnData write an empty X.
        if "X" in file:
            del file["X"]
        file["X"] = h5py.SoftLink("/layers/more")
    for reader in (read_h5ad, open_cells):
        with pytest.raises(FileError, match=r"a\.h5ad cannot be read.*is made of other data sets"):
            reader(tmp_path / "a.h5ad")


def test_columns_that_hold_no_values_are_named(course, tmp_path):
    course.obs["note"] = "x"
    write_h5ad(course, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        write_elem(file["obs"], "note", AnnData(np.ones((240, 1))))
    for reader in (read_h5ad, open_cells):
        with pytest.raises(FileError, match=r"obs\['note'\] holds neither numbers nor text"):
            reader(tmp_path / "a.h5ad")


def test_a_matrix_that_is_damaged_on_disk_is_named_when_it_is_read(course, tmp_path):
    adata = AnnData(np.random.default_rng(0).random((240, 400)), obs=course.obs)
    write_h5ad(adata, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        chunk = file["X"].id.get_chunk_info(0)
    with (tmp_path / "a.h5ad").open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(64))
    opened = open_cells(tmp_path / "a.h5ad")
    with pytest.raises(FileError, match="the expression matrix cannot be read: "):
        cf.pp.embed(opened)


def test_a_group_inside_itself_is_looked_at_once(course, tmp_path):
    write_h5ad(course, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file["uns/again"] = file["uns"]
    with pytest.raises(FileError, match="cannot be read"):
        read_h5ad(tmp_path / "a.h5ad")


def test_writing_refuses_to_overwrite_unless_told(course, tmp_path):
    path = tmp_path / "a.h5ad"
    path.write_text("mine")
    with pytest.raises(FileError, match="exists already"):
        write_h5ad(course, path)
    assert path.read_text() == "mine"
    write_h5ad(course, path, overwrite=True)
    assert read_h5ad(path).n_obs == course.n_obs


def test_unwritable_places_are_named(course, tmp_path):
    with pytest.raises(FileError, match=r"the folder .* does not exist"):
        write_h5ad(course, tmp_path / "no" / "a.h5ad")
    (tmp_path / "folder.h5ad").mkdir()
    with pytest.raises(FileError, match="it exists and is not a file"):
        write_h5ad(course, tmp_path / "folder.h5ad", overwrite=True)


def test_a_write_that_fails_half_way_leaves_nothing(course, tmp_path):
    course.uns["unwritable"] = object()
    with pytest.raises(Exception, match=r"unwritable|No method registered"):
        write_h5ad(course, tmp_path / "a.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_time_column_is_the_given_the_recorded_or_a_usual_one(course):
    assert time_key_of(course) == "day"
    course.obs["other"] = 1
    assert time_key_of(course, "other") == "other"
    with pytest.raises(InputError, match="no obs column 'dya'; there are: day, other"):
        time_key_of(course, "dya")
    with pytest.raises(InputError, match=r"no obs column has a usual name of times.*there are: x"):
        time_key_of(type(course)(obs=pd.DataFrame({"x": [1, 2]}, index=["a", "b"])))


def test_without_a_usual_column_of_times_the_message_names_those_of_the_file(course, tmp_path):
    course.obs = course.obs.rename(columns={"day": "harvested"})
    write_h5ad(course, tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="there are: harvested"):
        time_key_of(open_cells(tmp_path / "a.h5ad", []))


def test_scores_as_json_and_back(tmp_path):
    row = {"time": 3.0, "n_true": 5, "w1": 0.5, "w1_half": 0.6, "reference": 0.4}
    for k, name in enumerate(BASELINES):
        row |= {f"w1_{name}": float(k), f"energy_{name}": k / 2}
    table = pd.DataFrame([row, {**row, "time": 4.0, "w1": 0.7, "reference": np.nan}])
    path = tmp_path / "scores.json"
    entry = {"scores": table, "settings": {"a": np.arange(2)}, "versions": {}}
    write_scores(AnnData(uns={"cellflow": {"holdout": entry}}), path)
    pd.testing.assert_frame_equal(read_scores(path), table, check_like=True)
    import json

    document = json.loads(path.read_text())
    assert document["mean_w1"] == pytest.approx(0.6)
    assert document["folds"][0]["baselines"]["next"] == 1.0
    assert document["settings"] == {"a": [0, 1]}
    assert document["folds"][1]["reference"] is None
    with pytest.raises(InputError, match="no held-out scores under 'other'"):
        write_scores(AnnData(), path, key="other", overwrite=True)


@pytest.mark.parametrize("text", ["[1, 2]", '{"folds": 3}', '{"folds": [{"time": 1}]}'])
def test_files_without_scores_are_refused(text, tmp_path):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(FileError, match="does not hold held-out scores"):
        read_scores(tmp_path / "s.json")
    with pytest.raises(FileError, match=r"none\.json does not exist"):
        read_scores(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "Expecting value"), ("[" * 10**5, "its values are nested too deeply")],
)
def test_files_that_are_no_json_are_refused(text, reason, tmp_path):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(FileError, match=rf"s\.json cannot be read: {reason}"):
        read_scores(tmp_path / "s.json")
