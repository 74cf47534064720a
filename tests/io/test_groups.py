"""Groups are categories, text or numbers of clusters, and never a measurement."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cellflow as cf
from cellflow import InputError
from cellflow.io import groups_of, is_continuous


def _cells(values):
    index = [f"c{k}" for k in range(len(values))]
    return AnnData(obs=pd.DataFrame({"by": values}, index=index))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.arange(26) % 13, [str(k) for k in range(13)]),
        (np.array([2.0, np.nan, 0.0, 2.0]), ["0", "2"]),
        (np.repeat([0.5, 2.5, 10.0], 4), ["0.5", "2.5", "10"]),
        (np.array([True, False]), ["False", "True"]),
        (list("ba"), ["a", "b"]),
    ],
    ids=["clusters", "clusters with gaps", "doses", "truth", "text"],
)
def test_groups_have_names(values, names):
    assert list(groups_of(_cells(values), "by").cat.categories) == names


@pytest.mark.parametrize(
    "values",
    [np.linspace(0, 1, 12), np.tile(np.linspace(0, 1, 21), 9), np.arange(201), np.arange(400.0)],
    ids=["one cell each", "many", "counts", "counts as floats"],
)
def test_measurements_are_refused(values):
    with pytest.raises(InputError, match=r"obs\['by'\].*no groups.*pandas\.cut"):
        groups_of(_cells(values), "by")


def test_the_call_in_the_message_makes_groups():
    adata = _cells(np.linspace(0, 1, 50))
    adata.obs["by_group"] = pd.cut(adata.obs["by"], 5).astype(str)
    assert len(groups_of(adata, "by_group").cat.categories) == 5


def test_text_and_categories_of_many_numbers_are_groups():
    values = pd.Series(np.linspace(0, 1, 300))
    assert is_continuous(values)
    assert not is_continuous(values.astype(str))
    assert not is_continuous(values.astype("category"))


def test_verbs_refuse_a_measurement_for_groups(course, quick):
    course.obs["score"] = np.linspace(0, 1, 240)
    for key in ("label_key", "lineage_key"):
        with pytest.raises(InputError, match=r"obs\['score'\] has"):
            cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False, **{key: "score"})
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    for verb in (cf.tl.fates, cf.tl.transitions):
        with pytest.raises(InputError, match="240 different numbers"):
            verb(course, flow, "score")
