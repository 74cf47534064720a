"""The verb `tl.benchmark`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.evaluation.benchmark import run_benchmark
from cellflow.evaluation.benchmark_plan import BenchmarkPlan, DataSet
from cellflow.evaluation.held_out import make_held_out, show_held_out
from cellflow.evaluation.named_methods import name_methods
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe, recipe_of

#: Name of cells that have none.
_UNNAMED = "data"


@show_held_out
def benchmark(
    adata: AnnData | Mapping[str, AnnData | str | Path],
    *,
    methods: Sequence[str | Method | Mapping[str, Any]] = ("default",),
    seeds: Sequence[int] = (0,),
    recipe: str | Recipe = "default",
    each: Mapping[str, Mapping[str, Any]] | None = None,
    folder: str | Path | None = None,
    jobs: int = 1,
    part: tuple[int, int] | None = None,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
    **held_out: Any,
) -> pd.DataFrame:
    """Compare methods on held-out times of one data set or several.

    Every method is fitted and scored with every seed at every held-out time of every data set, as
    by `tl.holdout`, with the same splits, baselines and reference for all.

    Parameters
    ----------
    adata
        Cells of three times or more; or several data sets by name, as cells or as files: `.h5ad`,
        or the `.npz` of TrajectoryNet, of which `X_pca` is taken where `use_rep` is None.
    **held_out
        The settings of `HeldOut`.
    methods
        Names; or methods as `cellflow.method` makes them; or mappings with `method` (either) and,
        all optional, `name`, `recipe`, `prior_method` and any setting of a method or a recipe,
        `{"method": "ot-cfm", "sigma": 0.3, "n_steps": 500}`.
        `torchcfm:ot-cfm` and `torchcfm:i-cfm` run that package (extra `torchcfm`) on the same
        arrays, by the recipe of its single-cell runner.
    seeds
        Seeds of the fits.
    recipe
        Recipe of all methods without one in their entry; methods of other packages ignore it.
    each
        Settings of how times are held out that differ between data sets, by name of the data set.
    folder
        Folder of finished scores, made if it is missing. With the same folder a benchmark that
        was stopped is resumed, and methods, seeds, times and data can be added; None stores
        nothing.
    jobs
        Processes. With several, a script needs `if __name__ == "__main__":` around its work, and
        each takes the memory of an exact transport problem (4 GB at 8,000 cells against 16,000).
    part
        (k, n) computes only the k-th of n parts, counted from 1: every n-th held-out time with all
        its fits. Several machines share the work of one `folder` in this way; when all parts are
        done, a call without this returns the table at once.
    force
        Compute scores again that are in the folder.
    device
        As in `tl.fit`.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    A row for each fit and each baseline, in the order of data, times, methods and seeds.
    Distances are in the units of `tl.holdout`:

    `data`, `published`
        Name of the data set; whether its file is the one of published scores (`yes`; `no` where
        only its name is; empty for others).
    `protocol`, `start`, `time_axis`, `n_dims`, `whiten`, `max_cells`
        How its times were held out.
    `representation_may_have_seen_held_out`
        Whether an input of the predictions may depend on the held-out cells.
    `time_unit`, `time`, `method`, `role`, `seed`
        Unit of the times, empty if it is not known; the held-out time; name of a method or
        baseline; `model`, `external` or `baseline`; the seed.
    `w1`, `energy`, `mean_error`, `cov_error`, `var_ratio`, `w1_uniform`, `w2`, `mmd`
        Scores of all cells; the last three of methods only.
    `w1_error`, `w1_excess`
        With `max_cells`, how far `w1` may be from that of all cells, as in `tl.holdout`.
    `w1_reference`, `w1_reference_sd`
        W1 that as many fresh cells would have, to compare with `w1`, and its spread over random
        splits, as in `tl.holdout`.
    `w1_half`, `reference`, `gap_closed`
        At half size, as in `tl.holdout`: W1, that of one real half from the other, and the share
        of the gap from the midpoint to it that is closed.
    `w1_replicates`, `n_replicates`
        With `replicate_key`, as in `tl.holdout`: the distance between replicates of the held-out
        time at the size of `w1`, and their number; NaN otherwise.
    `rival`, `gap_closed_best`
        The baseline or external method of the lowest mean W1 on this data set, and the share of
        the gap from its `w1_half` at this time (mean over its seeds) to the reference; NaN where
        that is at the reference or below.
    `seconds`, `n_predicted`, `n_true`
        Wall time of fit and prediction; cells on both sides.
    `error`
        Why a fit failed and has no scores; empty otherwise. A failed fit is tried again in the
        next run.

    Written is, where `folder` is given:

    `folder/baselines`, `folder/fits`
        A small JSON file for each held-out time and each fit, named by a digest of all that
        decides it: cells, settings, seed, version and device.

    Raises
    ------
    InputError
        For unknown names and settings, data that cannot be read or held out, and a method whose
        package is missing, all before the first fit.
    FileError
        If the folder cannot be written to, or holds something else.
    CellflowError
        If a process is killed.
    """
    sources = {_UNNAMED: adata} if isinstance(adata, AnnData) else dict(adata)
    if not sources:
        raise InputError("there are no data to compare methods on")
    each = each or {}
    for name in each:
        check_choice(name, sources, "data set in each")
    data = tuple(
        DataSet(
            name,
            source if isinstance(source, AnnData) else Path(source),
            make_held_out({**held_out, **each.get(name, {})}, name),
        )
        for name, source in sources.items()
    )
    return run_benchmark(
        BenchmarkPlan(data, name_methods(methods, recipe_of(recipe)), tuple(seeds)),
        folder=folder,
        jobs=jobs,
        part=part,
        force=force,
        device=device,
        progress=progress,
    )
