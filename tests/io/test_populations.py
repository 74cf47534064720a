"""Columns of an AnnData as covariates, labels, clones, features and rates."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellflow import InputError
from cellflow.io import Conditions, SideColumns, open_cells, populations
from cellflow.marginals import TimeAxis


@pytest.fixture
def cells():
    obs = pd.DataFrame(
        {
            "drug": pd.Categorical(["a", "b", "a", "c"]),
            "dose": [0.0, 1.0, 2.0, 3.0],
            "donor": ["x", "x", "y", "y"],
            "clone": ["k1", None, "k2", "k1"],
            "cellflow_growth": [0.5, 0.0, -0.5, 1.0],
        },
        index=[f"cell{k}" for k in range(4)],
    )
    clones = sparse.csr_matrix([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0]])
    return AnnData(obs=obs, obsm={"X_other": np.eye(4), "X_clone": clones})


def conditions_of(obs, keys, **options):
    return Conditions.fit(obs, keys, np.zeros(len(obs)), **options)


def batch(adata, conditions=(), **names):
    return SideColumns(**names).encode(adata, np.zeros((4, 2)), np.zeros(4), conditions, 1.0)[0]


def test_categories_are_one_hot_and_numbers_standardised_ranks(cells):
    condition = batch(cells, ["drug", "dose"]).condition
    assert condition[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert float(condition[:, 3].mean()) == pytest.approx(0, abs=1e-6)
    assert float(condition[:, 3].std(correction=0)) == pytest.approx(1)


def test_encoding_learned_on_some_cells_applies_to_others_and_survives_json(cells):
    conditions = conditions_of(cells.obs, ["drug", "dose"]).weigh(np.eye(4), np.zeros(4), 1.0)
    again = Conditions(tuple(dict(column) for column in conditions.columns))
    torch.testing.assert_close(again.transform(cells.obs[:2]), conditions.transform(cells.obs)[:2])


def test_labels_join_the_label_and_categorical_conditions(cells):
    assert batch(cells).label is None
    assert len(torch.unique(batch(cells, label_key="donor").label)) == 2
    assert len(torch.unique(batch(cells, ["drug"], label_key="donor").label)) == 4
    assert batch(cells, ["dose"]).label is None


def test_clones_come_from_a_column_or_a_matrix(cells):
    column = batch(cells, lineage_key="clone").clones
    assert column[0] == column[3] != column[2]
    assert column[1] == -1
    matrix = batch(cells, lineage_key="X_clone").clones
    assert matrix.tolist() == [[0, 2], [-1, -1], [1, -1], [0, -1]]


def test_rates_are_found_where_growth_was_told_to_write_them(cells):
    cells.obs["mine"] = [1.0, 2.0, 3.0, 4.0]
    cells.uns["cellflow"] = {"growth": {"key_added": "mine"}}
    assert batch(cells, growth=True).rate.tolist() == [1, 2, 3, 4]


def test_rates_are_those_of_a_column_if_it_is_named(cells):
    cells.obs["net"] = [1.0, 2.0, 3.0, 4.0]
    assert batch(cells, growth=True, growth_key="net").rate.tolist() == [1, 2, 3, 4]
    with pytest.raises(InputError, match="unknown obs column of growth rates 'nett'"):
        batch(cells, growth=True, growth_key="nett")
    cells.uns["cellflow"] = {"learned_growth": {"net": {}, "other": {}}}
    with pytest.raises(InputError, match="rates that a flow learned, which are no evidence"):
        batch(cells, growth=True, growth_key="net")


def test_rates_of_another_unit_are_refused(cells):
    """Per day, 1.4 is two doublings a day; per hour it is 48 of them."""
    cells.obs["net"] = 1.4 * np.ones(4)
    rows = batch(cells, growth=True, growth_key="net")
    elapsed = np.array([0.0, 0.0, 24.0, 24.0])
    with pytest.raises(InputError, match="48 doublings from time 0 to 24, at most 29"):
        populations(rows, elapsed, [0, 24], TimeAxis("real", (0.0, 24.0)))


def test_features_are_those_of_another_representation(cells):
    assert torch.equal(batch(cells, cost_rep="X_other").features, torch.eye(4))


@pytest.mark.parametrize(("kind", "factors"), [("real", (3.0, 3.0)), ("index", (2.0, 4.0))])
def test_rates_turn_into_rates_of_flow_time_by_the_interval_that_follows(kind, factors, cells):
    """Times 0, 2, 6: on the real axis a unit of flow time is 3, by index 2 and then 4."""
    rows = batch(cells, growth=True)
    elapsed = np.array([0.0, 0.0, 2.0, 6.0])
    marginals = populations(rows, elapsed, [0, 2, 6], TimeAxis(kind, (0.0, 2.0, 6.0)))
    first, second, _ = (population.cells.rate for population in marginals.populations)
    torch.testing.assert_close(first, torch.tensor([0.5, 0.0]) * factors[0])
    torch.testing.assert_close(second, torch.tensor([-0.5]) * factors[1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"label_key": "patient"}, "unknown obs column 'patient'"),
        ({"lineage_key": "barcode"}, "unknown obs or obsm key of clones 'barcode'"),
        ({"cost_rep": "X_pca"}, "unknown obsm key for costs 'X_pca'"),
        ({"label_key": "clone"}, "has no value for 1 cells"),
    ],
)
def test_missing_columns_are_named(names, message, cells):
    with pytest.raises(InputError, match=message):
        batch(cells, **names)


def test_conditions_that_say_nothing_or_are_unknown_are_refused(cells):
    cells.obs["same"] = "z"
    with pytest.raises(InputError, match="has a single value"):
        batch(cells, ["same"])
    conditions = conditions_of(cells.obs[:2], ["drug"])
    with pytest.raises(InputError, match="was not fitted to: c; known: a, b"):
        conditions.transform(cells.obs)
    cells.obs["dose"] = [0.0, np.inf, 1.0, 2.0]
    with pytest.raises(InputError, match="NaN or infinite"):
        conditions_of(cells.obs, ["dose"])
    cells.obs["cellflow_growth"] = ["fast", "0", "1", "2"]
    with pytest.raises(InputError, match="NaN or infinite values in 1 of 4 cells"):
        batch(cells, growth=True)
    del cells.obs["cellflow_growth"]
    with pytest.raises(InputError, match=r"run pp\.growth"):
        batch(cells, growth=True)


def test_cells_in_reverse_order_and_clones_on_disk_are_taken(cells, tmp_path):
    rows = SideColumns().batch(cells, np.arange(8.0).reshape(4, 2)[::-1], Conditions())
    assert rows.x.tolist() == [[6, 7], [4, 5], [2, 3], [0, 1]]
    cells.obsm["X_clone"] = cells.obsm["X_clone"].toarray()
    cells.write_h5ad(tmp_path / "a.h5ad")
    opened = open_cells(tmp_path / "a.h5ad")
    assert batch(opened, lineage_key="X_clone").clones.tolist() == [
        [0, 2], [-1, -1], [1, -1], [0, -1],
    ]  # fmt: skip
