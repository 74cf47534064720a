"""The verb `report.write`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from anndata import AnnData

from cellflow._files import atomic_file, check_file_target
from cellflow._versions import versions
from cellflow.flow import Flow
from cellflow.report._inputs import ReportInputs
from cellflow.report._page import render
from cellflow.report._sections import SECTIONS


def write(
    adata: AnnData,
    flow: Flow,
    path: str | Path,
    *,
    scores: pd.DataFrame | None = None,
    color: str | None = None,
    time_key: str | None = None,
    title: str = "Time course",
    overwrite: bool = False,
) -> None:
    """Write one HTML page that tells what was measured, fitted and predicted.

    The page holds its figures and tables, runs no script and fetches nothing, so it opens
    anywhere and stays as it is.

    Parameters
    ----------
    adata
        The time course. What verbs wrote into it is shown too: held-out scores, fates, growth.
    flow
        The fitted flow.
    path
        File to write, whole or not at all.
    scores
        What `tl.holdout` returned; None takes what it recorded in `adata`. Without either the page
        says that errors were not measured.
    color
        Column of `obs` with groups of cells to draw.
    time_key
        Column of `obs` with the times; None takes the one that the flow was fitted to.
    title
        Heading of the page.
    overwrite
        Replace what stands at `path`.

    Raises
    ------
    InputError
        If the cells have not what the flow needs.
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    path = Path(path)
    check_file_target(path, overwrite=overwrite)
    inputs = ReportInputs.read(adata, flow, scores, time_key, color)
    sections = [section for make in SECTIONS if (section := make(inputs)) is not None]
    facts = [
        ("cells", f"{adata.n_obs:,}"),
        ("times", inputs.course.time_points.describe()),
        ("made with", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]
    page = render(title, facts, sections)
    with atomic_file(path, overwrite=overwrite) as staged:
        staged.write_text(page, encoding="utf-8")
