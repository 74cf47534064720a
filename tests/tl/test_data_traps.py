"""Data as they come: what is taken as it is, and what is refused with which sentence."""

import shutil

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import cellflow as cf
from cellflow import CellflowWarning, InputError

SMALL = cf.recipe("default", n_steps=3, batch_size=16, net={"width": 8, "depth": 2})


def course(n=(20, 20, 20), dim=3, times=(0.0, 1.0, 3.0), shift=1.0):
    rng = np.random.default_rng(0)
    x = 0.3 * rng.normal(size=(sum(n), dim))
    days = np.repeat(times, n)
    x[:, 0] += shift * days
    names = [f"cell{k}" for k in range(len(x))]
    return AnnData(obs=pd.DataFrame({"day": days}, index=names), obsm={"X_pca": x})


def counts(kind=np.asarray):
    rng = np.random.default_rng(0)
    adata = AnnData(rng.poisson(2.0, size=(60, 12)).astype(np.float32))
    adata.obs["day"] = np.repeat([0.0, 1.0, 3.0], 20)
    adata.X = kind(adata.X)
    return adata


def fitted(adata, **options):
    options = {"use_rep": "X_pca"} | options if "X_pca" in adata.obsm else options
    return cf.tl.fit(adata, recipe=SMALL, progress=False, **options)


def predicted(adata, time=0.5, **options):
    return cf.tl.interpolate(adata, fitted(adata, **options), time)


def with_points(adata, change):
    adata.obsm["X_pca"] = change(adata.obsm["X_pca"])
    return adata


def with_days(adata, days):
    adata.obs["day"] = days
    return adata


def at(row, column, value):
    def change(x):
        x = x.copy()
        x[row, column] = value
        return x

    return change


ORDERED = pd.CategoricalDtype(["late", "early", "noon"], ordered=True)
UNORDERED = pd.CategoricalDtype(["day 3", "day 0", "day 1"])

#: What works: cells of three times, and what they are predicted from half way to the second.
TAKEN = {
    "a constant dimension": lambda: with_points(course(), lambda x: np.c_[x, np.ones(len(x))]),
    "one dimension": lambda: course(dim=1),
    "2,000 dimensions": lambda: course(dim=2000),
    "more dimensions than cells": lambda: course((5, 5, 5), dim=40),
    "double precision": lambda: with_points(course(), np.float64),
    "half precision": lambda: with_points(course(), np.float16),
    "whole numbers": lambda: with_points(course(), lambda x: (10 * x).astype(np.int64)),
    "a sparse representation": lambda: with_points(course(), sparse.csr_matrix),
    "a table as representation": lambda: with_points(
        course(), lambda x: pd.DataFrame(x, index=course().obs_names, columns=list("abc"))
    ),
    "negative times": lambda: course(times=(-2.0, 1.0, 3.0)),
    "text for times": lambda: with_days(course(), np.repeat(["day 0", "day 1", "day 3"], 20)),
    "objects for times": lambda: with_days(
        course(), pd.Series(["0", "1", "3"], dtype=object).repeat(20).to_numpy()
    ),
    "nullable text for times": lambda: with_days(
        course(), pd.array(np.repeat(["0", "1", "3"], 20), dtype="string")
    ),
    "nullable numbers for times": lambda: with_days(
        course(), pd.array(np.repeat([0, 1, 3], 20), dtype="Int64")
    ),
    "categories in the wrong order": lambda: with_days(
        course(), pd.Categorical(np.repeat(["day 0", "day 1", "day 3"], 20), dtype=UNORDERED)
    ),
    "categories without cells": lambda: with_days(
        course(), pd.Categorical(np.repeat(["0", "1", "3"], 20), categories=list("01239"))
    ),
    "100 cells for one": lambda: course((300, 3, 300)),
    "two times only": lambda: course((20, 20), times=(0.0, 1.0)),
    "identical slices": lambda: with_points(course(shift=0.0), lambda x: np.tile(x[:20], (3, 1))),
    "all cells at one point": lambda: with_points(course(), np.zeros_like),
    "no overlap": lambda: course(shift=1e4),
    "sparse counts": lambda: counts(sparse.csr_matrix),
    "counts by columns": lambda: counts(sparse.csc_matrix),
    "whole counts": lambda: counts(lambda x: x.astype(np.int32)),
    "half precision counts": lambda: counts(np.float16),
    "a view": lambda: course((40, 20, 20))[20:],
    "a view of counts": lambda: counts(sparse.csr_matrix)[::-1],
}


@pytest.mark.parametrize("trap", TAKEN)
@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_odd_but_right_data_are_taken(trap):
    adata = TAKEN[trap]()
    n, dtype = adata.n_obs, adata.obsm["X_pca"].dtype if trap == "half precision" else None
    made = predicted(adata)
    assert made.n_obs == np.isin(cf.io.time_points_of(adata, "day").elapsed, used(adata)).sum()
    assert np.isfinite(made.obsm["X_cellflow"]).all()
    assert made.obs["cellflow_weight"].sum() == pytest.approx(1)
    assert adata.n_obs == n
    assert dtype is None or adata.obsm["X_pca"].dtype == dtype


def used(adata):
    """The two times around the predicted one."""
    times = cf.io.time_points_of(adata, "day").times
    return [times[0], times[1]]


REFUSED = {
    "NaN": (
        lambda: with_points(course(), at(4, 1, np.nan)),
        r"obsm\['X_pca'\] has NaN or infinite values in 1 of 60 cells \(first: cell4\); remove or",
    ),
    "inf": (
        lambda: with_points(course(), at(slice(7, 9), 0, np.inf)),
        r"NaN or infinite values in 2 of 60 cells \(first: cell7\)",
    ),
    "NaN counts": (
        lambda: counts(at(3, 2, np.nan)),
        r"the expression matrix has NaN or infinite values in 1 of 60 cells \(first: 3\)",
    ),
    "text for points": (
        lambda: with_points(course(), lambda x: x.astype(str)),
        r"obsm\['X_pca'\] must have numbers, got values of type <U",
    ),
    "complex points": (
        lambda: with_points(course(), lambda x: x + 1j),
        r"obsm\['X_pca'\] must have numbers, got values of type complex128",
    ),
    "complex times": (
        lambda: with_days(course(), course().obs["day"].to_numpy() + 0j),
        r"obs\['day'\] is of type complex128; expected numbers",
    ),
    "numbers that single precision does not have": (
        lambda: with_points(course(), at(4, 1, 1e200)),
        r"obsm\['X_pca'\] has values beyond 1e\+15 in 1 of 60 cells \(first: cell4\)",
    ),
    "constant counts": (lambda: counts(np.ones_like), "the expression is the same in all cells"),
    "one cell at a time": (lambda: course((20, 1, 20)), r"fewer than 2 cells: 1.0 \(1 cell\)"),
    "one time": (lambda: course((20,), times=(2.0,)), r"obs\['day'\] has a single time \(2.0\)"),
    "missing times": (
        lambda: with_days(course(), np.r_[np.nan, course().obs["day"][1:]]),
        r"obs\['day'\] has no time for 1 of 60 cells \(first: cell0\)",
    ),
    "infinite times": (
        lambda: with_days(course(), np.r_[np.inf, np.inf, course().obs["day"][2:]]),
        r"obs\['day'\] has values that are not times: (np\.float64\()?inf",
    ),
    "truth values": (
        lambda: with_days(course(), np.repeat([True, False], 30)),
        r"obs\['day'\] is of type bool; expected numbers",
    ),
    "one date": (
        lambda: with_days(course(), pd.to_datetime(np.repeat(["2020-01-01"], 60))),
        r"obs\['day'\] has a single time \(2020-01-01\)",
    ),
    "words without an order": (
        lambda: with_days(course(), np.repeat(["early", "noon", "late"], 20)),
        r"obs\['day'\] has values that are not times: 'early', 'noon', 'late'; expected numbers",
    ),
    "one time by two names": (
        lambda: with_days(course(), np.repeat(["day 1", "d1", "day 3"], 20)),
        r"several labels for the time 1: 'day 1', 'd1'",
    ),
    "no cells": (lambda: course((0, 0, 0)), r"obs\['day'\] is empty: the data have no cells"),
}


def test_an_embedding_of_one_axis_is_refused(tmp_path):
    path = tmp_path / "a.h5ad"
    cf.io.write_h5ad(course(), path)
    with h5py.File(path, "r+") as file:
        attributes, line = dict(file["obsm/X_pca"].attrs), file["obsm/X_pca"][:, 0]
        del file["obsm/X_pca"]
        file["obsm"].create_dataset("X_pca", data=line).attrs.update(attributes)
    message = r"obsm\['X_pca'\] must be a matrix of cells by dimensions, got the shape \(60,\)"
    with pytest.raises(InputError, match=message):
        cf.tl.fit(cf.io.open_cells(path), use_rep="X_pca", recipe=SMALL, progress=False)


@pytest.mark.parametrize("trap", REFUSED)
def test_data_that_no_answer_comes_from_are_refused_in_a_sentence(trap):
    make, message = REFUSED[trap]
    with pytest.raises(InputError, match=message) as caught:
        predicted(make())
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_of_one_name_are_cells_of_their_own():
    adata = course()
    adata.obs_names = ["cell"] * 60
    made = predicted(adata)
    assert made.n_obs == 40
    assert made.obs_names.is_unique
    assert set(made.obs["start_cell"]) == {"cell"}


def test_words_in_order_are_ranks_and_the_order_is_theirs():
    days = pd.Categorical(np.repeat(["late", "early", "noon"], 20), dtype=ORDERED)
    assert fitted(with_days(course(), days)).axis.times == (0.0, 1.0, 2.0)


def test_far_outliers_are_told_of_where_mass_is_left_behind():
    far = with_points(course(), at(3, 0, 1e6))
    with pytest.warns(CellflowWarning, match="have no partner within pi delta"):
        fitted(far, method=cf.method("wfr-fm", delta=0.5))
    assert np.isfinite(predicted(far, method="ot-cfm").obsm["X_cellflow"]).all()


def test_names_with_slashes_and_of_other_scripts_survive(tmp_path):
    adata = course()
    adata.obs_names = [f"細胞/{k}→é" for k in range(60)]
    adata.obs["Tag/день"] = adata.obs.pop("day")
    adata.obsm["X/pca"] = adata.obsm.pop("X_pca")
    flow = fitted(adata, use_rep="X/pca", time_key="Tag/день")
    flow.save(tmp_path / "flöw 流")
    again = cf.Flow.load(tmp_path / "flöw 流")
    made = cf.tl.interpolate(adata, again, 0.5)
    assert made.obs["start_cell"].iloc[0].startswith("細胞/")
    cf.io.write_h5ad(made, tmp_path / "ü.h5ad")
    assert cf.io.read_h5ad(tmp_path / "ü.h5ad").obs_names[0] == made.obs_names[0]


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_backed_counts_are_read_as_they_are_needed(kind, tmp_path):
    adata = counts(kind)
    adata.write_h5ad(tmp_path / "a.h5ad")
    whole = fitted(adata)
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    try:
        assert fitted(backed).fingerprint == whole.fingerprint
    finally:
        backed.file.close()


def test_files_that_may_only_be_read_stay_as_they_are(run, tmp_path):
    course().write_h5ad(tmp_path / "a.h5ad")
    (tmp_path / "a.h5ad").chmod(0o444)
    before = (tmp_path / "a.h5ad").read_bytes()
    words = ["--use-rep", "X_pca", "--n-steps", "2", "--method", "ot-cfm", "--quiet"]
    assert run("fit", "a.h5ad", "--output", "f", *words)[0] == 0
    assert (tmp_path / "a.h5ad").read_bytes() == before


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data")
def test_zarr_stores_are_read_whole(name, run, tmp_path):
    adata = course()
    adata.write_zarr(tmp_path / "a.zarr")
    if name.endswith(".zip"):
        shutil.make_archive(str(tmp_path / "a.zarr"), "zip", tmp_path / "a.zarr")
    words = ["--use-rep", "X_pca", "--n-steps", "2", "--method", "ot-cfm", "--quiet"]
    code, _, err = run("fit", name, "--output", "f", *words)
    assert code == 0, err
    recipe = cf.recipe("default", n_steps=2)
    same = cf.tl.fit(adata, use_rep="X_pca", method="ot-cfm", recipe=recipe, progress=False)
    assert cf.Flow.load(tmp_path / "f").fingerprint == same.fingerprint


TOLD = {
    "NaN": (lambda: with_points(course(), at(4, 1, np.nan)), "NaN or infinite values in 1 of 60"),
    "one cell": (lambda: course((20, 1, 20)), "times with fewer than 2 cells: 1.0 (1 cell)"),
    "far away": (lambda: with_points(course(), at(4, 1, -1e20)), "values beyond 1e+15 in 1 of 60"),
}


@pytest.mark.parametrize("trap", TOLD)
def test_the_command_line_says_the_same_on_one_line(trap, run, tmp_path):
    make, message = TOLD[trap]
    make().copy().write_h5ad(tmp_path / "a.h5ad")
    code, _, err = run("fit", "a.h5ad", "--output", "f", "--use-rep", "X_pca")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "f").exists()
