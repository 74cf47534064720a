"""Wrong options are told before the work: no matrix is read, no net is evaluated."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import cellflow as cf
from tests.linear_flows import linear_flow

WAY = ["cells.h5ad", "--flow", "flow"]

#: Commands with all that they need, and with options that are wrong: option, value, message.
TIME_KEY = ("--time-key", "nope", "'nope'")
DEVICE = ("--device", "cuda:77", "cuda:77")
LAYER = ("--layer", "nope", "no layer 'nope'")
CELLS = [
    ("--cells", "nope=1", "'nope'"),
    ("--cells", "fate=nope", "'nope'"),
]
TIME = [("--time", "soon", "soon"), ("--time", "77", "77")]
DESCENT = [("--n-samples", "2", "has no score")]
PREDICTED = [
    ("--obs-key", "nope", "'nope'"),
    ("--basis", "nope", "'nope'"),
]
SIDES = [
    ("--condition-key", "nope", "'nope'"),
    ("--label-key", "nope", "'nope'"),
    ("--lineage-key", "nope", "'nope'"),
    ("--cost-rep", "nope", "'nope'"),
    ("--group-key", "nope", "go together"),
    ("--group-key fate --allowed-transitions", "nope.csv", "nope.csv does not exist"),
]
REPRESENTATION = [
    ("--use-rep", "nope", "'nope'"),
    ("--use-rep X_pca --n-dims", "9", "n_dims 9 is more than the 3 dimensions"),
    ("--kind other --n-dims", "999", "n_dims 999 is more than the 29 dimensions"),
    LAYER,
]
MISTAKES = {
    "embed": ([], ".h5ad", [TIME_KEY, *REPRESENTATION]),
    "growth": ([], ".h5ad", [TIME_KEY, LAYER, ("--per", "fortnight", "fortnight")]),
    "fit": (
        [],
        "",
        [
            TIME_KEY,
            DEVICE,
            *REPRESENTATION,
            *SIDES,
            ("--growth rates --growth-key", "nope", "'nope'"),
            ("--n-dims 2 --time-key", "nope", "'nope'"),
            ("--n-dims 2 --label-key", "nope", "'nope'"),
            ("--n-dims 2 --cost-rep", "nope", "'nope'"),
            ("--n-dims 2 --prior", "nope", "nope does not exist"),
            ("--n-dims 2 --config", "nope.yaml", "nope.yaml"),
            ("--n-dims 2 --coupling", "nope", "'nope'"),
            ("--n-dims 2 --coupling", "acceleration", "give it as prior"),
            ("--n-dims 2 --method default --lineage-key", "number", "number"),
        ],
    ),
    "finetune": (["--flow", "flow"], "", [TIME_KEY, DEVICE]),
    "interpolate": (
        ["--flow", "flow", "--time", "1"], ".h5ad", [TIME_KEY, DEVICE, *TIME, *PREDICTED]
    ),
    "push": (
        ["--flow", "flow", "--time", "1", "--cells", "day=0"],
        ".h5ad",
        [TIME_KEY, DEVICE, *TIME, *CELLS, *PREDICTED, *DESCENT],
    ),
    "pull": (
        ["--flow", "flow", "--time", "0", "--cells", "day=1"],
        ".h5ad",
        [TIME_KEY, DEVICE, *TIME, *CELLS, *PREDICTED, *DESCENT],
    ),
    "trajectories": (
        ["--flow", "flow"], ".h5ad", [TIME_KEY, DEVICE, *TIME, *CELLS, *PREDICTED, *DESCENT]
    ),
    "ancestors": (
        ["--flow", "flow", "--time", "0", "--cells", "day=1"],
        ".h5ad",
        [TIME_KEY, DEVICE, *TIME, *CELLS, ("--by flow --n-samples", "2", "has no score")],
    ),
    "descendants": (
        ["--flow", "flow", "--time", "1", "--cells", "day=0"],
        ".h5ad",
        [TIME_KEY, DEVICE, *TIME, *CELLS, ("--by flow --n-samples", "2", "has no score")],
    ),
    "fates": (
        ["--flow", "flow"],
        ".h5ad",
        [
            TIME_KEY,
            DEVICE,
            *CELLS,
            *TIME,
            ("--groups", "nope", "'nope'"),
            ("--groups fate --cells", "fate=nope", "'nope'"),
            ("--groups fate --time", "up=77", "77"),
            ("--by flow --n-samples", "2", "has no score"),
        ],
    ),
    "transitions": (
        ["--flow", "flow", "--groups", "fate"],
        ".csv",
        [TIME_KEY, DEVICE, ("--groups", "nope", "'nope'"),
         ("--by flow --n-samples", "2", "has no score")],
    ),
    "velocity": (
        ["--flow", "flow"],
        ".h5ad",
        [TIME_KEY, DEVICE, ("--basis", "nope", "'X_nope'")],
    ),
    "landscape": (["--flow", "flow"], ".h5ad", [TIME_KEY, DEVICE]),
    "pseudotime": (
        ["--flow", "flow"],
        ".h5ad",
        [TIME_KEY, DEVICE, ("--course", "nope.h5ad", "nope.h5ad does not exist"),
         ("--n-neighbors", "99999", "n_neighbors must be under")],
    ),
    "uncertainty": (
        ["--flow", "flow"],
        ".h5ad",
        [TIME_KEY, DEVICE, *TIME, ("--n-neighbors", "999", "n_neighbors must be under"),
         ("--flow", "other", "another representation")],
    ),
    "drivers": (
        ["--by", "weights"],
        ".csv",
        [
            LAYER,
            *TIME,
            ("--gene", "nope", "nope"),
            ("--by", "nope", "'nope'"),
            ("--method", "velocity", "requires a flow"),
            ("--flow flow --method velocity --gene", "nope", "nope"),
            ("--flow flow --method jacobian --by", "nope", "'nope'"),
            ("--flow flow --method velocity --time-key", "nope", "'nope'"),
            DEVICE,
        ],
    ),
    "compare": (
        ["--condition-key", "fate"],
        ".csv",
        [
            TIME_KEY,
            ("--condition-key", "nope", "'nope'"),
            ("--reference", "nope", "'nope'"),
            ("--replicate-key", "nope", "'nope'"),
            ("--n-permutations", "3", "n_permutations must be"),
            ("--of fates --by", "nope", "'nope'"),
            ("--of growth --by", "nope", "'nope'"),
            ("--of genes --gene", "nope", "nope"),
            ("--of genes --layer", "nope", "no layer 'nope'"),
        ],
    ),
    "gene-trends": (
        ["--flow", "flow"],
        ".csv",
        [TIME_KEY, DEVICE, ("--gene", "nope", "nope"), ("--by", "nope", "'nope'")],
    ),
    "holdout": (
        [],
        ".json",
        [
            TIME_KEY,
            DEVICE,
            *TIME,
            *REPRESENTATION,
            *SIDES,
            ("--time", "0", "0"),
            ("--replicate-key", "nope", "'nope'"),
            ("--growth rates --growth-key", "nope", "'nope'"),
            ("--coupling", "acceleration --prior-method oat-fm", "prior_method"),
            ("--flow", "nope", "nope does not exist"),
        ],
    ),
    "benchmark": (
        ["second.h5ad"],
        "",
        [
            TIME_KEY,
            DEVICE,
            *TIME,
            *REPRESENTATION,
            *SIDES,
            ("--replicate-key", "nope", "'nope'"),
            ("--replicate-key", "donor", "'donor'"),
            ("--method", "nope", "'nope'"),
            ("--part", "3/2", "part 3 of 2"),
        ],
    ),
    "report": (
        ["--flow", "flow"],
        ".html",
        [TIME_KEY, ("--color", "nope", "'nope'"), ("--scores", "nope.json", "nope.json"),
         ("--comparison", "nope.csv", "nope.csv")],
    ),
    "explore": (
        ["--flow", "flow"],
        ".html",
        [TIME_KEY, DEVICE, ("--groups", "nope", "'nope'"), ("--basis", "nope", "'nope'"),
         ("--gene", "nope", "nope"), ("--scores", "nope.json", "nope.json"),
         ("--cells", "nope=1", "nope"), ("--obs-key", "nope", "'nope'")],
    ),
    "plot trajectories": (
        ["--flow", "flow"],
        ".png",
        [TIME_KEY, ("--basis", "nope", "'nope'"), ("--groups", "nope", "'nope'"),
         ("--groups-at", "end", "requires groups")],
    ),
    "plot interpolation": (
        ["--predicted", "predicted.h5ad"],
        ".png",
        [TIME_KEY, ("--basis", "nope", "'nope'"), ("--predicted", "nope.h5ad", "nope.h5ad")],
    ),
    "plot velocity": ([], ".png", [("--basis", "nope", "nope")]),
    "plot growth": ([], ".png", [("--color", "nope", "'nope'"), TIME_KEY]),
    "plot fates": ([], ".png", [("--basis", "nope", "fates"), ("--fate", "nope", "fate")]),
    "plot landscape": ([], ".png", [("--basis", "nope", "landscape")]),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Cells with counts, groups and embeddings, a flow without a score, and one on another map."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    n = 150
    adata = AnnData(
        rng.poisson(3.0, (n, 30)).astype(np.float32),
        obs=pd.DataFrame(
            {
                "day": np.repeat([0.0, 1.0, 2.0], n // 3),
                "fate": np.where(np.arange(n) % 2, "up", "down"),
                "number": np.linspace(0, 1, n),
            },
            index=[f"cell{k}" for k in range(n)],
        ),
        var=pd.DataFrame(index=[f"GENE{k}" for k in range(30)]),
        obsm={"X_pca": rng.normal(size=(n, 3)), "X_umap": rng.normal(size=(n, 2))},
    )
    adata.obsm["weights"] = pd.DataFrame({"a": rng.uniform(size=n)}, index=adata.obs_names)
    adata.write_h5ad(folder / "second.h5ad")
    cf.pp.embed(adata, n_dims=3)
    adata.obs["donor"] = np.where(np.arange(n) % 2, "a", "b")
    cf.pp.embed(adata, use_rep="X_pca", key_added="X_other")
    adata.write_h5ad(folder / "cells.h5ad")
    adata.obs["cellflow_growth"] = 0.1
    adata.write_h5ad(folder / "rated.h5ad")
    for name, key in (("flow", "X_cellflow"), ("other", "X_other")):
        linear_flow(adata, torch.zeros(3, 3), torch.ones(3), [0, 1, 2], use_rep=key).save(
            folder / name
        )
    flow = cf.Flow.load(folder / "flow")
    cf.tl.interpolate(adata, flow, 0.5).write_h5ad(folder / "predicted.h5ad")
    return folder


@pytest.fixture
def idle(monkeypatch):
    """Fail where expression or embeddings are read, or a net is evaluated."""
    read = h5py.Dataset.__getitem__

    def refuse(self, *given, **more):
        if self.name.startswith(("/X", "/layers/", "/obsm/X", "/raw/X")):
            raise AssertionError(f"read {self.name}")
        return read(self, *given, **more)

    def evaluate(*_):
        raise AssertionError("evaluated a net")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    monkeypatch.setattr(h5py.Dataset, "__array__", lambda self, *_, **__: refuse(self))
    monkeypatch.setattr(h5py.Dataset, "read_direct", refuse)
    monkeypatch.setattr(torch.nn.Linear, "forward", evaluate)


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [
        pytest.param(command, *mistake, id=f"{command} {mistake[0]} {mistake[1]}")
        for command, (_, _, mistakes) in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_wrong_options_are_told_before_the_work(
    run, idle, folder, monkeypatch, command, option, value, message
):
    words, ending, _ = MISTAKES[command]
    monkeypatch.chdir(folder)
    output = f"output{ending}"
    cells = "rated.h5ad" if command == "plot growth" else "cells.h5ad"
    code, _, err = run(
        *command.split(), cells, *words, *option.split(), *value.split(), "--output", output
    )
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert not (folder / output).exists()
