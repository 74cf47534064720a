"""Cells, flow and held-out scores that a report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellflow._checks import check_choice, check_columns
from cellflow._keys import FATE, HOLDOUT, PROBABILITIES, VELOCITY, read_record
from cellflow.flow import Flow
from cellflow.io import plural_unit
from cellflow.io.matrices import read_numbers
from cellflow.pl._compare import POPULATION_COLUMNS
from cellflow.pl._plane import USUAL_BASES
from cellflow.representation import write_map
from cellflow.tl._time_course import TimeCourse

#: Cells that a figure shows at most: more dots cannot be told apart.
MOST_DRAWN = 50_000

#: Key of the points of the flow among the cells that are shown.
_POINTS = "X_flow"


@dataclass(frozen=True)
class ReportInputs:
    """A time course with its flow, and what is known of the flow's errors.

    Attributes
    ----------
    course
        The cells, their times and the flow.
    scores
        Held-out scores, one row for each fold; None if none were measured.
    score_settings
        Settings that the scores were measured with; empty if they are not known.
    color
        Column of `obs` with groups of cells, or None.
    comparison
        Result of `tl.compare` of populations, or None.
    """

    course: TimeCourse
    scores: pd.DataFrame | None
    score_settings: dict[str, Any]
    color: str | None
    comparison: pd.DataFrame | None = None

    @classmethod
    def read(
        cls,
        adata: AnnData,
        flow: Flow,
        scores: pd.DataFrame | None,
        time_key: str | None,
        color: str | None,
        comparison: pd.DataFrame | None = None,
    ) -> ReportInputs:
        """Read times and recorded scores; scores that are given take precedence.

        Raises
        ------
        InputError
            If times cannot be read, there is no such column, or the comparison is not one of
            populations.
        """
        if comparison is not None:
            check_columns(comparison, POPULATION_COLUMNS, "cellflow.tl.compare of populations")
        if color is not None:
            check_choice(color, [str(name) for name in adata.obs], "obs column")
        course = TimeCourse.read(adata, flow, time_key)
        entry = read_record(adata.uns, HOLDOUT)
        if scores is not None:
            settings = dict(scores.attrs.get("settings", {}))
            return cls(course, scores, settings, color, comparison)
        if entry is None:
            return cls(course, None, {}, color, comparison)
        scores, settings = entry["scores"].copy(), dict(entry["settings"])
        # Files do not keep attrs, and arrays in them break pandas.concat.
        scores.attrs["settings"] = {"time_unit": settings.get("time_unit", "")}
        return cls(course, scores, settings, color, comparison)

    @cached_property
    def drawn(self) -> AnnData:
        """Cells that figures show, with embeddings: all, or 50,000 of them, drawn at random."""
        adata = self.course.adata
        if adata.n_obs <= MOST_DRAWN:
            return adata
        rows = np.random.default_rng(0).choice(adata.n_obs, MOST_DRAWN, replace=False)
        rows.sort()
        bases = (read_record(adata.uns, VELOCITY) or {}).get("bases", ())
        shown = {*USUAL_BASES, FATE + PROBABILITIES, *(f"X_{name}" for name in bases)}
        shown |= {f"{VELOCITY}_{name}" for name in bases}
        drawn = AnnData(
            obs=adata.obs.iloc[rows],
            obsm={key: read_numbers(adata, key)[rows] for key in adata.obsm if key in shown},
            uns=dict(adata.uns),
        )
        drawn.obsm[_POINTS] = self.course.cells.x[torch.as_tensor(rows)].cpu().numpy()
        write_map(drawn, self.course.representation, _POINTS)
        return drawn

    @property
    def unit(self) -> str:
        """The unit of time, in brackets after a space; empty if it is not known."""
        return f" ({unit})" if (unit := plural_unit(self.course.time_points.unit)) else ""

    @property
    def n_cells(self) -> dict[float, int]:
        """Number of cells at each time."""
        points = self.course.time_points
        return dict(zip(points.times, points.counts, strict=True))
