"""Cells from strangers, embedded and fitted to: only our own errors come out, or finite numbers.

A whole file is changed inside, through HDF5 or in the files of a zarr store, so that it can be read
and says something else. Cases are few without CELLFLOW_FUZZ, and many by `make fuzz`.
"""

import json
import os
import shutil
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from anndata.io import write_elem
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from scipy import sparse

from cellflow._errors import CellflowError
from cellflow.io import write_h5ad
from cellflow.io.zarr_stores import index_store, new_zarr
from tests.elsewhere import Elsewhere
from tests.test_fuzz import PLACES, changed

CASES = int(os.environ.get("CELLFLOW_FUZZ", "0"))

#: Changed files, and changed stores: a fit takes its time.
FILES, STORES = (15 * CASES, 10 * CASES) if CASES else (12, 8)

#: Uses of a file, as in `Elsewhere.use`: expression of `X`, of a layer, of `raw`; an embedding.
USES = 4

#: What stands in the place of a number, as far as its type takes it, and of a text.
NUMBERS = (0, -1, 1, 2, 5, 24, 127, 255, 2**15, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, 0.5, 1e15,
           1e30, -1e30, 1e300, np.nan, np.inf, -np.inf)  # fmt: skip
TEXTS = ("", "nan", "1e400", "../../x", "<b>", "a" * 5000, "\x00", "csr_matrix", "array", "g0")

#: Types that an array may be given.
TYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u8", "c16", "S3", "?", ">f4", [("a", "f4")])

CHANGES = st.lists(
    st.tuples(st.sampled_from(["values", "type", "shape", "attribute", "drop", "swap", "link"]),
              st.integers(0, 10**6), st.integers(0, 10**6)),
    min_size=1, max_size=3,
)  # fmt: skip

ELSEWHERE = Elsewhere()


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    ELSEWHERE.close()


def cells():
    """24 cells of three days, with all that a file of cells may hold."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.5, (24, 6)).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame({"day": np.repeat([0, 1, 2], 8)}, index=[f"c{k}" for k in range(24)])
    obs["kind"] = pd.Categorical(["a", "b"] * 12)
    obs["note"] = "x"
    obs["share"] = rng.random(24)
    adata = AnnData(sparse.csr_matrix(counts), obs=obs)
    adata.var_names = [f"g{k}" for k in range(6)]
    adata.raw = adata.copy()
    adata.layers["more"] = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    adata.obsm["X_pca"] = rng.normal(size=(24, 2))
    adata.obsm["X_cost"] = pd.DataFrame(rng.normal(size=(24, 2)), obs.index, ["u", "v"])
    adata.obsm["clones"] = sparse.csr_matrix(np.eye(4)[np.arange(24) % 4])
    adata.varm["PCs"] = rng.normal(size=(6, 2))
    adata.obsp["near"] = sparse.csr_matrix(np.eye(24))
    adata.uns["list"] = {"words": np.array(["a", "b"], dtype=object), "number": 1.5}
    return adata


@cache
def home():
    """A folder with the file, and the store in both formats with plain bytes in its chunks."""
    folder = Path(tempfile.mkdtemp(prefix="cellflow-fuzz-"))
    write_h5ad(cells(), folder / "a.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form, option in ((2, "compressor"), (3, "compressors")):
            with anndata.settings.override(zarr_write_format=form):
                store = folder / f"{form}.zarr"
                write_elem(new_zarr(store), "/", cells(), dataset_kwargs={option: None})
                index_store(store, new=True)
    return folder


def use(path):
    """Errors of ours are an answer."""
    try:
        ELSEWHERE.use(path)
    except CellflowError:
        event("refused")
    else:
        event("used")


# HDF5


def change_hdf5(file, kind, at, how):
    """Change one member of a file."""
    names = []
    file.visit(names.append)
    name = sorted(names)[at % len(names)]
    item, other = file[name], file[sorted(names)[how % len(names)]]
    if kind == "attribute":
        change_attribute(item, at, how)
    elif kind == "drop":
        del file[name]
    elif kind == "swap" and not name.startswith(other.name[1:]):
        del file[name]
        file.copy(other, name)
    elif kind == "link":
        del file[name]
        file[name] = h5py.SoftLink(other.name) if how % 2 else other
    elif isinstance(item, h5py.Dataset):
        values, attributes = item[()], dict(item.attrs)
        values = {"values": with_values, "type": with_type, "shape": with_shape}[kind](
            np.asarray(values), at, how
        )
        del file[name]
        made = file.create_dataset(name, data=values)
        made.attrs.update(attributes)


def change_attribute(item, at, how):
    names = sorted(item.attrs)
    if not names:
        return
    name = names[at % len(names)]
    if how % 3 == 0:
        del item.attrs[name]
    elif isinstance(item.attrs[name], str):
        item.attrs[name] = TEXTS[how % len(TEXTS)]
    else:
        item.attrs[name] = with_values(np.asarray(item.attrs[name]), at, how)


def with_values(values, at, how):
    """An array of which some are other values."""
    flat = values.reshape(-1).copy()
    for place in {at % flat.size, how % flat.size} if flat.size else ():
        if flat.dtype.kind in "biuf":
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                flat[place] = np.array(NUMBERS[how % len(NUMBERS)]).astype(flat.dtype)
        else:
            flat[place] = TEXTS[how % len(TEXTS)].replace("\x00", "")
    return flat.reshape(values.shape)


def with_type(values, at, how):
    """An array of another type, or of texts."""
    if values.dtype.kind not in "biuf" or how % 7 == 0:
        return np.array(values.astype(str), dtype=h5py.string_dtype())
    return values.astype(TYPES[at % len(TYPES)])


def with_shape(values, at, how):
    """An array of another shape."""
    flat = values.reshape(-1)
    shapes = (flat, flat[:-1], flat[:0], values[None], values.T, np.append(flat, flat[:1]),
              np.repeat(flat, 3), flat[:1].reshape(()) if flat.size else flat)  # fmt: skip
    return shapes[(at + how) % len(shapes)]


@pytest.mark.parametrize("number", range(USES))
def test_the_whole_file_and_stores_are_used(number):
    for name in ("a.h5ad", "2.zarr", "3.zarr") if number == 0 else ("a.h5ad",):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{number}{Path(name).suffix}"
            copy = shutil.copytree if path.suffix == ".zarr" else shutil.copyfile
            ELSEWHERE.use(copy(home() / name, path))


# Each case is a fit, so a failure is shown as it was found.
@settings(max_examples=FILES, phases=[Phase.generate], derandomize=not CASES)
@given(changes=CHANGES, number=st.integers(0, USES - 1))
@pytest.mark.slow
def test_files_that_a_stranger_changed_are_refused_or_give_finite_cells(changes, number):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{number}.h5ad"
        shutil.copyfile(home() / "a.h5ad", path)
        with h5py.File(path, "r+") as file:
            for change in changes:
                # Not every change can be made.
                with suppress(KeyError, TypeError, ValueError, OSError, RuntimeError):
                    change_hdf5(file, *change)
        use(path)


# Zarr


def change_chunk(file, at, how):
    """Put other numbers or bytes into a chunk."""
    description = next(
        parent / name
        for parent in file.parents
        for name in (".zarray", "zarr.json")
        if (parent / name).exists()
    )
    document = json.loads(description.read_text())
    blob = file.read_bytes()
    try:
        kind = np.dtype(document.get("dtype", document.get("data_type")))
        values = np.frombuffer(blob, kind)
    except (TypeError, ValueError):
        values = np.frombuffer(blob, np.uint8)
    changed_values = with_values(values, at, how) if at % 3 else with_shape(values, at, how)
    file.write_bytes(changed_values.tobytes())


@settings(max_examples=STORES, phases=[Phase.generate], derandomize=not CASES)
@given(
    places=PLACES,
    chunks=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=2),
    number=st.integers(0, USES - 1),
    form=st.sampled_from([2, 3]),
)
def test_stores_that_a_stranger_changed_are_refused_or_give_finite_cells(
    places, chunks, number, form
):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{number}.zarr"
        shutil.copytree(home() / f"{form}.zarr", path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        described = [file for file in files if file.name in (".zarray", ".zattrs", "zarr.json")]
        others = [file for file in files if not file.name.startswith((".z", "zarr"))]
        for at, how in chunks:
            change_chunk(others[at % len(others)], at, how)
        if not chunks or places[0][0] % 2:
            file = described[places[0][0] % len(described)]
            file.write_text(json.dumps(changed(json.loads(file.read_text()), places)))
        use(path)
