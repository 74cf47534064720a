"""Files that papers published for benchmarks."""

import numpy as np
import pytest

from cellflow import FileError
from cellflow.io import courses, published, read_course, time_points_of, write_h5ad


def test_components_and_labels_become_cells(tmp_path, rng):
    points = rng.normal(size=(9, 4))
    np.savez(tmp_path / "eb.npz", pcs=points, sample_labels=np.repeat([2, 0, 1], 3), other=[1])
    adata = read_course(tmp_path / "eb.npz")
    np.testing.assert_array_equal(adata.obsm["X_pca"], points)
    assert time_points_of(adata).times == (0, 1, 2)
    assert time_points_of(adata).elapsed.tolist() == [2, 2, 2, 0, 0, 0, 1, 1, 1]


def test_h5ad_files_are_read_as_ever(course, tmp_path):
    write_h5ad(course, tmp_path / "a.h5ad")
    assert read_course(tmp_path / "a.h5ad").n_obs == course.n_obs


def test_bad_archives_are_named(tmp_path):
    path = tmp_path / "eb.npz"
    with pytest.raises(FileError, match="does not exist"):
        read_course(path)
    path.write_text("no archive")
    with pytest.raises(FileError, match=r"cannot be read as \.npz|is pickled"):
        read_course(path)
    np.savez(path, pcs=np.zeros((3, 2)))
    with pytest.raises(FileError, match="has no array 'sample_labels'"):
        read_course(path)
    np.savez(path, pcs=np.zeros((3, 2)), sample_labels=np.zeros(2))
    with pytest.raises(FileError, match=r"got \(3, 2\) and \(2,\)"):
        read_course(path)
    np.savez(path, pcs=np.zeros((300, 20)), sample_labels=np.zeros(300))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FileError, match=r"cannot be read as \.npz"):
        read_course(path)


def test_what_is_pickled_is_never_opened(tmp_path):
    labels = np.array(["a", 1, None], dtype=object)
    np.savez(tmp_path / "eb.npz", pcs=np.zeros((3, 2)), sample_labels=labels, allow_pickle=True)
    with pytest.raises(FileError, match="'sample_labels' is pickled, and opening it would run"):
        read_course(tmp_path / "eb.npz")


def test_published_files_are_known_by_digest(tmp_path, monkeypatch):
    path = tmp_path / "eb_velocity_v5.npz"
    path.write_bytes(b"cells")
    assert published(path) == "no"
    digest = "4c40a02d74c5a9c8dbf8d6e2"  # not that of these bytes
    monkeypatch.setitem(courses.PUBLISHED, "x.npz", digest)
    assert published(path) == "no"
    import hashlib

    monkeypatch.setitem(courses.PUBLISHED, "x.npz", hashlib.sha256(b"cells").hexdigest()[:8])
    assert published(path) == "yes"
    other = tmp_path / "mine.h5ad"
    other.write_bytes(b"others")
    assert published(other) == ""
