"""Run moscot as a method of scTimeBench, with the settings of its own wrapper.

The wrapper multiplies expression by moscot's plan, whose rows sum to one over the number of cells,
so its predicted expression is near zero. With `rows: one` in the metadata rows are scaled to one
first; cell types, which scTimeBench reads from the largest entry, are the same.
"""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from moscot.problems.time import TemporalProblem
from scTimeBench.method_utils.method_runner import main
from scTimeBench.method_utils.ot_method_runner import BaseOTMethod
from scTimeBench.shared.constants import ObservationColumns


class Moscot(BaseOTMethod):
    """Couple consecutive test times; growth is not given."""

    def get_transport_plan(
        self, ann_data: AnnData, source_tp: float, target_tp: float
    ) -> np.ndarray:
        """Return the plan between two times."""
        key = ObservationColumns.TIMEPOINT.value
        cells = ann_data[ann_data.obs[key].isin([source_tp, target_tp])].copy()
        problem = TemporalProblem(cells).prepare(time_key=key)
        problem = problem.solve(epsilon=1e-3, scale_cost="mean", max_iterations=10_000_000)
        (solution,) = problem.solutions.values()
        plan = np.asarray(solution.transport_matrix, dtype=float)
        if (self.config["method"].get("metadata") or {}).get("rows") == "one":
            plan = plan / plan.sum(axis=1, keepdims=True)
        return plan


if __name__ == "__main__":
    main(Moscot)
