"""Run trivial rivals as methods of scTimeBench: no model, training cells alone.

Metadata `rule`, for expression at a held-out time:

`previous`, `next`
    The cells of the nearest training time before or after, drawn at random; beyond the training
    times, those of the last, for every rule.
`midpoint`
    Pairs of these two by exact optimal transport, each at its share of the time between them; in
    50 principal components of the training cells, decoded to genes. `previous components` are the
    cells of the time before, decoded from the same components: the gain of decoding alone.
`mean`
    The mean of `midpoint` in every row.

Embeddings: components; every cell stays where it is.

Metadata `graph`, for the graph of cell types:

`stay`
    Each type becomes itself, so no edge is left.
`all`
    Each type becomes each other one: the base rate.
`centroid`
    The cells of a type become the type of the next time with the nearest mean.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import ot
from anndata import AnnData
from scipy import sparse
from scTimeBench.method_utils.method_runner import BaseMethod, main
from scTimeBench.shared.constants import ObservationColumns, RequiredOutputFiles
from sklearn.decomposition import PCA

TIME = ObservationColumns.TIMEPOINT.value
CELL_TYPE = ObservationColumns.CELL_TYPE.value


class Rivals(BaseMethod):
    """Copy, average or stay."""

    def __init__(self, yaml_config: dict) -> None:
        super().__init__(yaml_config)
        metadata = self.config["method"].get("metadata") or {}
        self.rule, self.graph = metadata.get("rule", "previous"), metadata.get("graph", "stay")
        self.rng = np.random.default_rng(0)
        graph = [o for o in self.required_outputs_options if RequiredOutputFiles.PRED_GRAPH in o]
        self.required_outputs = graph[0] if graph else self.required_outputs

    def train(self, ann_data: AnnData, all_tps: list | None = None) -> None:  # noqa: ARG002
        """Keep the training cells and their components."""
        self.x, self.times = _dense(ann_data.X), ann_data.obs[TIME].to_numpy(float)
        self.pca = PCA(min(50, min(self.x.shape) - 1), random_state=0).fit(self.x)

    def generate_embedding(self, test_ann_data: AnnData) -> np.ndarray:
        """Return the components of the test cells."""
        return self.pca.transform(_dense(test_ann_data.X))

    def generate_next_tp_embedding(self, test_ann_data: AnnData) -> np.ndarray:
        """Return the components of the test cells again, NaN at the last time."""
        times = test_ann_data.obs[TIME].to_numpy(float)
        last = times == times.max()
        return np.where(last[:, None], np.nan, self.generate_embedding(test_ann_data))

    def generate_next_tp_gex(self, test_ann_data: AnnData) -> np.ndarray:
        """Return predicted expression at the next time, a row for each test cell."""
        times = test_ann_data.obs[TIME].to_numpy(float)
        result = np.full(test_ann_data.shape, np.nan, dtype=np.float32)
        for time, following in pairwise(np.unique(times)):
            at = times == time
            population = self._predict(float(following))
            result[at] = population[_draw(len(population), int(at.sum()), self.rng)]
        return result

    def generate_pred_graph(self, test_ann_data: AnnData) -> np.ndarray:
        """Return the graph of cell types by the rule."""
        types = sorted(test_ann_data.obs[CELL_TYPE].astype(str).unique())
        if self.graph == "stay":
            return np.eye(len(types))
        if self.graph == "all":
            return np.full((len(types), len(types)), 1 / len(types))
        return self._join_centroids(test_ann_data, types)

    def _predict(self, time: float) -> np.ndarray:
        """Return the population of a time by the rule, shape (n, genes)."""
        kept = np.unique(self.times)
        before, after = kept[kept < time].max(), kept[kept > time].min(initial=np.inf)
        cells = self.x[self.times == before]
        if np.isfinite(after) and self.rule in ("next", "midpoint", "mean"):
            later = self.x[self.times == after]
            share = (time - before) / (after - before)
            cells = later if self.rule == "next" else self._join(cells, later, share)
        elif self.rule in ("previous components", "midpoint"):
            cells = self._decode(self.pca.transform(cells))
        if self.rule == "mean":
            cells = np.repeat(cells.mean(axis=0, keepdims=True), len(cells), axis=0)
        return cells

    def _join(self, before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
        """Return points between the pairs of an exact plan, drawn by its masses and decoded."""
        ends = self.pca.transform(before), self.pca.transform(after)
        plan = ot.emd([], [], ot.dist(*ends))
        mass = plan.ravel()
        pairs = self.rng.choice(mass.size, size=max(len(before), len(after)), p=mass / mass.sum())
        rows, columns = np.unravel_index(pairs, plan.shape)
        points = (1 - share) * ends[0][rows] + share * ends[1][columns]
        return self._decode(points)

    def _decode(self, points: np.ndarray) -> np.ndarray:
        """Return expression, not negative, from components."""
        return np.maximum(self.pca.inverse_transform(points), 0.0)

    def _join_centroids(self, adata: AnnData, types: list[str]) -> np.ndarray:
        """Return the graph in which a type becomes the nearest one of the next time."""
        points, times = self.generate_embedding(adata), adata.obs[TIME].to_numpy(float)
        labels = adata.obs[CELL_TYPE].astype(str).to_numpy()
        graph = np.zeros((len(types), len(types)))
        for time, following in pairwise(np.unique(times)):
            there = {t: points[(times == following) & (labels == t)] for t in types}
            means = {t: each.mean(axis=0) for t, each in there.items() if len(each)}
            for source, cell_type in enumerate(types):
                here = points[(times == time) & (labels == cell_type)]
                if len(here):
                    mean = here.mean(axis=0)
                    near = min(means, key=lambda t: float(np.linalg.norm(means[t] - mean)))
                    graph[source, types.index(near)] += len(here)
        sums = graph.sum(axis=1, keepdims=True)
        return np.divide(graph, sums, out=np.zeros_like(graph), where=sums > 0)


def _draw(available: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `n` rows, each as often as the others up to one."""
    order = rng.permutation(available)
    return np.resize(order, n)


def _dense(x: np.ndarray | sparse.spmatrix) -> np.ndarray:
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


if __name__ == "__main__":
    main(Rivals)
