"""Matrices whose entries are not where they say to be, wherever they enter."""

import shutil
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData
from scipy import sparse

import cellflow as cf
from cellflow import FileError, InputError
from cellflow.io import open_cells, read_h5ad, write_h5ad
from cellflow.io.matrices import check_matrix

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:anndata", "ignore::UserWarning:zarr")

GENES = [f"gene{k}" for k in range(5)]


def sums(matrix):
    matrix.indptr[3] = matrix.indptr[4] + 1


def start(matrix):
    matrix.indptr[0] = 1


def end(matrix):
    matrix.indptr[-1] = 10**6


def overflow(matrix):
    """Differences in 32 bits do not show it."""
    matrix.indptr[2:4] = 2**31 - 1, -(2**31)


def back_to_nothing(matrix):
    matrix.indptr[-1] = 0


def beyond(matrix):
    matrix.indices[3] = 2**30


def below(matrix):
    matrix.indices[3] = -1


def fractions(matrix):
    matrix.indices = matrix.indices.astype(float)


def short(matrix):
    matrix.indptr = matrix.indptr[:-1]


def fewer_values(matrix):
    matrix.data = matrix.data[:-1]


BROKEN = {
    sums: "the numbers of entries of its (row|column)s do not add up",
    start: "the numbers of entries of its (row|column)s do not add up",
    end: "the numbers of entries of its (row|column)s do not add up",
    overflow: "the numbers of entries of its (row|column)s do not add up",
    back_to_nothing: "the numbers of entries of its (row|column)s do not add up",
    beyond: r"it has an entry at (row|column) 1073741824, and there are \d+",
    below: r"it has an entry at (row|column) -1, and there are \d+",
    fractions: "positions of entries are not whole numbers",
    short: r"its arrays do not have the sizes of \d+ (row|column)s",
    fewer_values: r"its arrays do not have the sizes of \d+ (row|column)s",
}


def counts(n=24, d=5, as_format=sparse.csr_matrix):
    values = np.random.default_rng(0).poisson(1.0, (n, d)).astype(np.float32)
    values[0] += 1
    return as_format(values)


@pytest.mark.parametrize("as_format", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("damage", BROKEN)
def test_each_fault_of_the_structure_is_named(damage, as_format):
    matrix = counts(as_format=as_format)
    check_matrix(matrix, "X")
    damage(matrix)
    with pytest.raises(InputError, match=f"^X is damaged: {BROKEN[damage]}; write it again$"):
        check_matrix(matrix, "X")


def test_empty_matrices_and_room_for_more_entries_are_no_faults():
    for shape in ((0, 5), (3, 0), (3, 5)):
        check_matrix(sparse.csr_matrix(shape), "X")
    roomy = counts()
    roomy.indices, roomy.data = np.append(roomy.indices, 0), np.append(roomy.data, 0)
    check_matrix(roomy, "X")


@pytest.mark.parametrize(
    "matrix",
    [
        np.ones((3, 2), complex),
        np.ones((3, 2), object),
        np.ones((3, 2), [("a", "f4"), ("b", "i4")]),
        np.ones((3, 2), "M8[s]"),
        np.ones((3, 2, 2)),
        counts(3, 2).astype(complex),
    ],
)
def test_matrices_without_numbers_are_named_with_their_type(matrix):
    with pytest.raises(InputError, match="layer 'a' must be a matrix of numbers, got values of"):
        check_matrix(matrix, "layer 'a'")
    adata = AnnData(np.ones(matrix.shape[:2]))
    with warnings.catch_warnings():
        # AnnData 0.13 warns of three axes.
        warnings.simplefilter("ignore")
        adata.layers["a"] = matrix
    with pytest.raises(InputError, match="layer 'a' must be a matrix of numbers"):
        cf.pp.embed(adata, layer="a")


def cells():
    obs = pd.DataFrame({"day": np.repeat([0, 1, 2], 8)}, index=[f"cell{k}" for k in range(24)])
    adata = AnnData(counts(), obs=obs, var=pd.DataFrame(index=GENES))
    adata.raw = AnnData(counts(), obs=obs, var=pd.DataFrame(index=GENES))
    adata.layers["more"] = counts()
    adata.obsm.update({"X_pca": counts(), "clones": counts(), "X_dense": counts().toarray()})
    return adata


SMALL = {"recipe": cf.recipe("default", n_steps=2, net={"width": 4}), "progress": False}

#: Where a matrix stands, and a verb that uses it.
USES = {
    "X": lambda adata: cf.pp.embed(adata, n_dims=2),
    "layers/more": lambda adata: cf.pp.embed(adata, layer="more", n_dims=2),
    "raw/X": lambda adata: cf.pp.embed(adata, layer="raw", n_dims=2),
    "obsm/X_pca": lambda adata: cf.tl.fit(adata, use_rep="X_pca", method="ot-cfm", **SMALL),
    "obsm/clones": lambda adata: cf.tl.fit(adata, use_rep="X_dense", lineage_key="clones", **SMALL),
}


def find(adata, place):
    slot, _, key = place.partition("/")
    found = getattr(adata, slot)
    return found if not key else found.X if key == "X" else found[key]


@pytest.mark.parametrize("damage", [sums, end, beyond])
@pytest.mark.parametrize("place", USES)
def test_cells_in_memory_are_refused_and_not_read_past_their_end(place, damage):
    adata = cells()
    damage(find(adata, place))
    with pytest.raises(InputError, match=f"is damaged: {BROKEN[damage]}"):
        USES[place](adata)
    if place == "raw/X":
        with pytest.raises(InputError, match="raw is damaged"):
            cf.tl.fit(adata, use_rep="X_dense", leave_out=[1], method="ot-cfm", **SMALL)


@pytest.mark.parametrize("place", ["X", "layers/more", "obsm/X_pca", "obsm/clones"])
def test_so_are_some_of_the_cells(place, monkeypatch):
    """No rows are taken from a matrix that is not checked: SciPy would write beyond its memory."""
    adata = cells()
    some = adata[adata.obs["day"] < 2]
    sums(find(adata, place))

    def fail(*_):
        raise AssertionError("rows are taken from a damaged matrix")

    monkeypatch.setattr(sparse.csr_matrix, "__getitem__", fail)
    with pytest.raises(InputError, match="do not add up"):
        USES[place](some)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for end in (".h5ad", ".zarr"):
        write_h5ad(cells(), folder / f"a{end}")
    return folder


@pytest.mark.parametrize("damage", [sums, beyond])
@pytest.mark.parametrize(
    ("place", "end"), [*((place, ".h5ad") for place in USES), ("X", ".zarr"), ("raw/X", ".zarr")]
)
def test_files_are_refused(place, damage, end, files, tmp_path):
    path, matrix = tmp_path / f"a{end}", sparse.csr_matrix((24, 5))
    if end == ".h5ad":
        shutil.copyfile(files / "a.h5ad", path)
        opened = h5py.File(path, "r+")
    else:
        shutil.copytree(files / "a.zarr", path)
        opened = zarr.open_group(path, mode="r+")
    for name in ("indptr", "indices", "data"):
        setattr(matrix, name, opened[place][name][:])
    damage(matrix)
    for name in ("indptr", "indices"):
        opened[place][name][:] = getattr(matrix, name)
    if end == ".h5ad":
        opened.close()
    reason = f"is damaged: {BROKEN[damage]}"
    with pytest.raises(FileError, match=f"a{end} cannot be read.* {reason}"):
        read_h5ad(path)
    # Entries of a matrix that stays on disk are checked when they are read.
    kind = InputError if damage is beyond and not place.startswith("obsm") else FileError
    with pytest.raises(kind, match=reason):
        USES[place](open_cells(path))
    if end == ".h5ad" and place in ("X", "layers/more"):
        backed = anndata.read_h5ad(path, backed="r")
        with pytest.raises(InputError, match=reason):
            USES[place](backed)
        backed.file.close()
