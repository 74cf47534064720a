"""Messages of files without expression offer embeddings, and no results that are none."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cellflow as cf
from cellflow import InputError


@pytest.fixture
def without_expression(course):
    course.X = None
    course.obsm["fate_probabilities"] = np.full((course.n_obs, 2), 0.5)
    course.obsm["velocity_umap"] = np.zeros((course.n_obs, 2))
    return course


def embed(adata):
    cf.pp.embed(adata)


def holdout(adata):
    cf.tl.holdout(adata, progress=False)


def compare(adata):
    adata.obs["arm"] = np.where(np.arange(adata.n_obs) % 2, "treated", "control")
    cf.tl.compare(adata, "arm")


def holdout_of_an_unknown_key(adata):
    cf.tl.holdout(adata, use_rep="X_nope", progress=False)


@pytest.mark.parametrize("verb", [embed, holdout, compare, holdout_of_an_unknown_key])
def test_fate_probabilities_and_velocities_are_not_offered(verb, without_expression):
    with pytest.raises(InputError, match="there are: X_pca") as raised:
        verb(without_expression)
    assert "fate_probabilities" not in str(raised.value)
    assert "velocity_umap" not in str(raised.value)


@pytest.mark.parametrize("n_genes", [0, 5])
def test_growth_without_expression_does_not_blame_the_species(n_genes):
    obs = pd.DataFrame({"day": [0, 1] * 10}, index=[f"c{k}" for k in range(20)])
    var = pd.DataFrame(index=[f"gene{k}" for k in range(n_genes)])
    with pytest.raises(InputError, match="X is empty") as raised:
        cf.pp.growth(AnnData(obs=obs, var=var))
    assert "species" not in str(raised.value)
    assert "use_rep" not in str(raised.value)
