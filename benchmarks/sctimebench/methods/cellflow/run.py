"""Run cellflow as a method of scTimeBench.

The representation is scanpy's 50 principal components of what the benchmark hands over (log1p of
10,000 counts per cell), since these decode to all genes; the flow has the defaults of `tl.fit`.
Metadata of the YAML:

`predict`
    How expression of a held-out time is predicted. `interpolate` (default): the population of
    `tl.interpolate` from the training cells, drawn by weight; beyond the training times, the last
    training cells moved on by `tl.push`. `push`: each test cell moved to the next time by
    `tl.push`, which starts from real cells of held-out times where the benchmark offers them.
    Times that the flow was fitted to, and embeddings, are always pushed.
`lineage`
    `transitions` (default): the graph of cell types by `tl.transitions`, whose edges are
    probabilities. `cells`: the most probable type of each cell at the next time, by `tl.fates`,
    which scTimeBench counts as it does for transport plans. `genes`: predicted expression, for
    scTimeBench's classifier.
`seed`
    Seed of the fit, 0.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from convert import clip_expression, draw_rows, fill_next, to_dense, to_graph
from scTimeBench.method_utils.method_runner import BaseMethod, main
from scTimeBench.shared.constants import ObservationColumns, RequiredOutputFiles

import cellflow as cf

TIME = ObservationColumns.TIMEPOINT.value
CELL_TYPE = ObservationColumns.CELL_TYPE.value

#: Principal components, if there are as many; scanpy's default.
N_DIMS = 50

#: Output that each kind of `lineage` is scored by.
OUTPUTS = {
    "transitions": RequiredOutputFiles.PRED_GRAPH,
    "cells": RequiredOutputFiles.NEXT_CELLTYPE,
    "genes": RequiredOutputFiles.NEXT_TIMEPOINT_GENE_EXPRESSION,
}


class Cellflow(BaseMethod):
    """Fit with defaults; predict populations, cells and transitions."""

    def __init__(self, yaml_config: dict) -> None:
        super().__init__(yaml_config)
        metadata = self.config["method"].get("metadata") or {}
        self.predict = metadata.get("predict", "interpolate")
        self.seed = int(metadata.get("seed", 0))
        wanted = OUTPUTS[metadata.get("lineage", "transitions")]
        for option in self.required_outputs_options:
            if wanted in option:
                self.required_outputs = option

    def train(self, ann_data: AnnData, all_tps: list | None = None) -> None:  # noqa: ARG002
        """Embed the training cells and fit the flow, or read it."""
        sc.pp.pca(ann_data, n_comps=min(N_DIMS, min(ann_data.shape) - 1))
        self.mean = to_dense(ann_data.X).mean(axis=0)
        cf.pp.embed(ann_data, use_rep="X_pca")
        self.course, folder = ann_data, self._flow_folder(ann_data)
        if folder.exists():
            self.flow = cf.Flow.load(folder)
        else:
            self.flow = cf.tl.fit(ann_data, time_key=TIME, rng=self.seed, progress=False)
            folder.parent.mkdir(exist_ok=True)
            self.flow.save(folder)

    def generate_embedding(self, test_ann_data: AnnData) -> np.ndarray:
        """Return the components of the test cells."""
        return self._project(test_ann_data).obsm["X_pca"]

    def generate_next_tp_embedding(self, test_ann_data: AnnData) -> np.ndarray:
        """Return the components of each test cell at the next time."""
        cells = self._project(test_ann_data)

        def move(_time: float, following: float, at: np.ndarray) -> np.ndarray:
            return self._push(cells, at, following).obsm["X_cellflow"]

        return fill_next(cells.obs[TIME].to_numpy(float), cells.obsm["X_pca"].shape[1], move)

    def generate_next_tp_gex(self, test_ann_data: AnnData) -> np.ndarray:
        """Return predicted expression at the next time, a row for each test cell."""
        cells = self._project(test_ann_data)
        fitted = np.unique(self.course.obs[TIME].to_numpy(float))

        def predict(_time: float, following: float, at: np.ndarray) -> np.ndarray:
            if self.predict == "push" or following in fitted:
                return clip_expression(to_dense(self._push(cells, at, following).X))
            population = self._populate(following, fitted)
            weights = population.obs["cellflow_weight"].to_numpy(float)
            rows = draw_rows(weights, int(at.sum()), np.random.default_rng(self.seed))
            return clip_expression(to_dense(population.X)[rows])

        return fill_next(cells.obs[TIME].to_numpy(float), cells.n_vars, predict)

    def generate_pred_graph(self, test_ann_data: AnnData) -> np.ndarray:
        """Return the probabilities of transitions between cell types."""
        cells = self._project(test_ann_data)
        table = cf.tl.transitions(cells, self.flow, CELL_TYPE, time_key=TIME, rng=self.seed)
        return to_graph(table, sorted(cells.obs[CELL_TYPE].astype(str).unique()))

    def generate_next_cell_type(self, test_ann_data: AnnData) -> pd.DataFrame:
        """Return the most probable cell type of each cell at the next time."""
        cells, types = self._project(test_ann_data), np.full(test_ann_data.n_obs, "unknown", object)
        times = cells.obs[TIME].to_numpy(float)
        for time, following in pairwise(np.unique(times)):
            near = cells[(times == time) | (times == following)].copy()
            settings = {"time": following, "time_key": TIME, "rng": self.seed}
            cf.tl.fates(near, self.flow, CELL_TYPE, **settings)
            names = near.uns["cellflow"]["fate_probabilities"]["names"]
            best = np.argmax(near.obsm["fate_probabilities"][near.obs[TIME] == time], axis=1)
            types[times == time] = np.asarray(names, object)[best]
        return pd.DataFrame({CELL_TYPE: types})

    def _flow_folder(self, course: AnnData) -> Path:
        """Return the folder of the flow of these cells, beside the outputs of all metadata."""
        digest = hashlib.sha256(str(self.seed).encode())
        for each in (course.obsm["X_cellflow"], course.obs[TIME].to_numpy(float)):
            digest.update(np.ascontiguousarray(each).tobytes())
        return Path(self.output_path).parent / "flows" / digest.hexdigest()[:16]

    def _populate(self, time: float, fitted: np.ndarray) -> AnnData:
        """Return the population of a time that the flow was not fitted to."""
        if fitted[0] < time < fitted[-1]:
            return cf.tl.interpolate(self.course, self.flow, time, rng=self.seed)
        last = self.course.obs[TIME].to_numpy(float) == fitted[-1]
        return self._push(self.course, last, time)

    def _push(self, cells: AnnData, at: np.ndarray, time: float) -> AnnData:
        """Return the selected cells, moved to a time."""
        return cf.tl.push(cells, self.flow, at, time, time_key=TIME, extrapolate=True)

    def _project(self, adata: AnnData) -> AnnData:
        """Return test cells with the components of the training cells."""
        adata = adata.copy()
        adata.obsm["X_pca"] = (to_dense(adata.X) - self.mean) @ self.course.varm["PCs"]
        return adata


if __name__ == "__main__":
    main(Cellflow)
