"""Fixtures shared by all tests, and the check of tensor shapes in the engine."""

from __future__ import annotations

import logging
import os
import warnings
from copy import deepcopy
from pathlib import Path

# Tests run in as many processes as there are cores; threads of each would only wait for each other.
# What numba compiles for scanpy sets the threads of OpenMP, torch's with them, to its own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

import tests.shapes

mpl.use("agg")

settings.register_profile(
    "cellflow",
    deadline=None,
    max_examples=20,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("cellflow")

with install_import_hook(
    [
        "cellflow.transport",
        "cellflow.couplings",
        "cellflow.paths",
        "cellflow.nets",
        "cellflow.integrate",
        "cellflow.objectives",
        "cellflow.marginals",
        "cellflow.training",
    ],
    f"{tests.shapes.__name__}.check",
):
    import cellflow as cf
    import cellflow.training
    from cellflow import _log
    from cellflow.cli import main


@pytest.fixture(autouse=True)
def _log_as_imported():
    """Commands, and options of them that are only parsed, say where messages go from then on."""
    yield
    _log.show(logging.INFO, "stderr")


@pytest.fixture
def caplog(caplog):
    """Capture the messages of cellflow also by older pytests, which see the root logger only."""
    _log.logger.addHandler(caplog.handler)
    yield caplog
    _log.logger.removeHandler(caplog.handler)


@pytest.fixture
def generator() -> torch.Generator:
    """A fresh generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def quick() -> cf.Recipe:
    """A recipe that trains for a moment, where only the way matters."""
    return cf.recipe("default", n_steps=30, net={"width": 16}, batch_size=32)


@pytest.fixture(scope="session")
def _semrau() -> AnnData:
    adata = cf.datasets.semrau2017()
    return adata[adata.X.getnnz(axis=1) > 0].copy()


@pytest.fixture
def semrau(_semrau: AnnData) -> AnnData:
    """The embedded data set without its empty cells, as integer counts."""
    return _semrau.copy()


@pytest.fixture
def few_cells(monkeypatch):
    """Pages and commands that read the embedded data set get every sixth cell of it."""
    few = cf.datasets.semrau2017()[::6]
    monkeypatch.setattr("cellflow.datasets.semrau2017", few.copy)


@pytest.fixture
def few_points(monkeypatch):
    """What is watched and reported of a fine-tuning needs no hundreds of points."""
    monkeypatch.setattr("cellflow.training.comparison._POINTS", 24)
    monkeypatch.setattr("cellflow.training.comparison._FRAMES", 4)
    monkeypatch.setattr("cellflow.training.target_net._N_MOVED", 16)
    monkeypatch.setattr("cellflow.training.target_net._STEPS", 2)


@pytest.fixture(scope="session")
def course_of_all() -> AnnData:
    """What `course` copies; not to be changed."""
    days = np.array([0.0, 1.0, 2.0, 4.0])
    cells = np.random.default_rng(0).normal(size=(4, 60, 3)) * 0.3
    cells[:, :, 0] += days[:, None]
    return AnnData(
        obs=pd.DataFrame({"day": np.repeat(days, 60)}, index=[f"cell{k}" for k in range(240)]),
        obsm={"X_pca": cells.reshape(-1, 3)},
    )


@pytest.fixture
def course(course_of_all: AnnData) -> AnnData:
    """A population that moves at constant speed along the first axis, at days 0, 1, 2 and 4."""
    return course_of_all.copy()


@pytest.fixture(scope="session")
def fitted_of_all(course_of_all: AnnData, quick: cf.Recipe) -> tuple[AnnData, cf.Flow]:
    """What `fitted_course` copies; not to be changed."""
    adata = course_of_all.copy()
    return adata, cf.tl.fit(adata, use_rep="X_pca", recipe=quick, progress=False)


@pytest.fixture
def fitted_course(fitted_of_all: tuple[AnnData, cf.Flow]) -> tuple[AnnData, cf.Flow]:
    """The course and a flow that was fitted to it."""
    adata, flow = fitted_of_all
    return adata.copy(), deepcopy(flow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of larger real data sets."""
    folder = os.environ.get("CELLFLOW_DATA")
    if not folder:
        pytest.skip("CELLFLOW_DATA names no folder of larger data sets")
    return Path(folder)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with warnings.catch_warnings(), pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call
