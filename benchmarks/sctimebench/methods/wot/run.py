"""Run Waddington-OT as a method of scTimeBench, with the settings of its own wrapper."""

from __future__ import annotations

import numpy as np
import wot
from anndata import AnnData
from scTimeBench.method_utils.method_runner import main
from scTimeBench.method_utils.ot_method_runner import BaseOTMethod
from scTimeBench.shared.constants import ObservationColumns


class WaddingtonOT(BaseOTMethod):
    """Couple consecutive test times; growth is not given."""

    def get_transport_plan(
        self, ann_data: AnnData, source_tp: float, target_tp: float
    ) -> np.ndarray:
        """Return the plan, whose rows sum to about one."""
        day = ObservationColumns.TIMEPOINT.value
        model = wot.ot.OTModel(ann_data, day_field=day, epsilon=0.05, lambda1=1.0, lambda2=50.0)
        return model.compute_transport_map(source_tp, target_tp).X


if __name__ == "__main__":
    main(WaddingtonOT)
