"""The verb `report.write`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from anndata import AnnData

from cellflow._files import atomic_file, check_ending, check_file_target
from cellflow._log import log_info
from cellflow._versions import versions
from cellflow.flow import Flow
from cellflow.report._cautions import compare_settings
from cellflow.report._inputs import ReportInputs
from cellflow.report._page import render
from cellflow.report._sections import SECTIONS

#: Ending of a report.
PAGES = (".html",)


def write(
    adata: AnnData,
    flow: Flow,
    path: str | Path,
    *,
    scores: pd.DataFrame | None = None,
    comparison: pd.DataFrame | None = None,
    color: str | None = None,
    time_key: str | None = None,
    title: str = "Time course",
    overwrite: bool = False,
) -> None:
    """Write one HTML page on the data, the fit, the predictions and their accuracy.

    The page contains its figures and tables, and neither scripts nor external resources.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course. Results stored in it are shown too: held-out
        scores, velocities, fates, growth, uncertainty.
    flow
        The fitted flow.
    path
        File to write, `.html`; it is complete, or not there at all.
    scores
        Result of `tl.holdout`; None uses the scores that it recorded in `adata`. Without either,
        the page says that errors were not measured.
    comparison
        Result of `tl.compare` of populations, for a section on conditions.
    color
        Column of `obs` with groups that cells are coloured by.
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    title
        Heading of the page.
    overwrite
        Replace an existing file.

    Raises
    ------
    InputError
        If the cells lack genes, keys or times that the flow requires, or the comparison is not one
        of populations.
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    path = Path(path)
    check_ending(path, PAGES, "reports")
    check_file_target(path, overwrite=overwrite)
    inputs = ReportInputs.read(adata, flow, scores, time_key, color, comparison)
    for caution in compare_settings(inputs):
        log_info(f"caution: {caution}")
    sections = [section for make in SECTIONS if (section := make(inputs)) is not None]
    facts = [
        ("cells", f"{adata.n_obs:,}"),
        ("times", inputs.course.time_points.describe()),
        ("made with", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]
    page = render(title, facts, sections)
    with atomic_file(path, overwrite=overwrite) as staged:
        staged.write_text(page, encoding="utf-8")
