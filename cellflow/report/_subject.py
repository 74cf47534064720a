"""What a report is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._keys import HOLDOUT, read_record
from cellflow.flow import Flow
from cellflow.io import TimePoints, flow_times_of, in_words, shared_times


@dataclass(frozen=True)
class Subject:
    """A time course, its flow, and what is known of the flow's errors.

    Attributes
    ----------
    adata, points
        The cells and their times.
    flow
        The fitted flow.
    scores
        Held-out scores, a row a fold, or None where none were measured.
    scoring
        How these were measured, where it was recorded with the cells.
    color
        Column of `obs` that groups of cells stand in, or None.
    asked_key
        Column of `obs` with the times; None for the one that the flow was fitted to.
    """

    adata: AnnData
    points: TimePoints
    flow: Flow
    scores: pd.DataFrame | None
    scoring: dict[str, Any]
    color: str | None
    asked_key: str | None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        flow: Flow,
        scores: pd.DataFrame | None,
        time_key: str | None,
        color: str | None,
    ) -> Subject:
        """Gather what the cells carry; given scores come before recorded ones.

        Raises
        ------
        InputError
            If times cannot be read, or there is no such column.
        """
        if color is not None:
            check_choice(color, [str(name) for name in adata.obs], "obs column")
        points = flow_times_of(adata, flow, time_key)
        entry = read_record(adata.uns, HOLDOUT)
        if scores is not None or entry is None:
            return cls(adata, points, flow, scores, {}, color, time_key)
        return cls(adata, points, flow, entry["scores"], dict(entry["settings"]), color, time_key)

    @property
    def time_key(self) -> str | None:
        """Column of `obs` with the times."""
        return self.asked_key or self.flow.time_key

    @property
    def times(self) -> tuple[float, ...]:
        """Times that have cells and that the flow was fitted to."""
        return shared_times(self.points, self.flow)

    @property
    def unit(self) -> str:
        """The unit of time, in brackets after a space; empty where it is not known."""
        return f" ({unit})" if (unit := in_words(self.points.unit)) else ""

    @property
    def numbers(self) -> dict[float, int]:
        """Cells at each time."""
        return dict(zip(self.points.times, self.points.counts, strict=True))
