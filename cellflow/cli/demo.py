"""`cellflow demo`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options

#: Times in hours that are left out side by side; their neighbours are 36 and 72 h. Of the six such
#: pairs a flow gains most here (docs/benchmarks/accuracy.md).
_LEFT_OUT = (48.0, 60.0)

#: A quarter of the default: the score is as good, and a first look takes seconds.
_N_STEPS = 500


@click.command(panel=options.START)
@click.option(
    "--output",
    type=options.PATH,
    default="cellflow-demo",
    show_default=True,
    metavar="FOLDER",
    panel=options.DATA,
    help="Folder for the results.",
)
@click.option(
    "--force", is_flag=True, panel=options.DATA, help="Replace the results of an earlier demo."
)
@options.seed
@options.device
@options.run_options
def demo(output: Path, force: bool, seed: int, device: str, progress: bool) -> None:
    """Fit, predict and score on the data set that comes with cellflow.

    Mouse embryonic stem cells under retinoic acid were measured at nine time points (Semrau 2017).
    Those of 48 and 60 h are left out, predicted from the others, and compared with the measured
    ones, beside predictions that need no model. The fit takes 500 steps.
    """
    from time import perf_counter

    from matplotlib import pyplot as plt

    from cellflow import datasets, pl, pp, recipe, tl
    from cellflow._errors import FileError
    from cellflow._files import atomic_folder, check_folder_target
    from cellflow._keys import HOLDOUT, write_record
    from cellflow._log import log_info
    from cellflow.cli.outputs import reserve
    from cellflow.cli.terminal import print_scores
    from cellflow.evaluation.left_out import score_left_out
    from cellflow.io import write_h5ad, write_scores

    check_folder_target(output, overwrite=force, what="a demo")
    reserve(output)
    if output.exists() and not (output / "scores.json").is_file():
        raise FileError(f"{output} is not the folder of an earlier demo; choose another --output")

    course = datasets.semrau2017()
    course = course[course.X.getnnz(axis=1) > 0].copy()
    pp.time_points(course, "time", unit="hour")
    kept = course[~course.obs["time"].isin(_LEFT_OUT)].copy()
    pp.embed(kept, n_dims=5, whiten=True)
    started = perf_counter()
    short = recipe("default", n_steps=_N_STEPS)
    flow = tl.fit(kept, recipe=short, rng=seed, device=device, progress=progress)
    predicted = {time: tl.interpolate(kept, flow, time, rng=seed) for time in _LEFT_OUT}
    record = score_left_out(course, flow, predicted, seconds=perf_counter() - started)
    first, *others = _LEFT_OUT
    shown = course[~course.obs["time"].isin(others)].copy()

    plt.switch_backend("agg")
    with atomic_folder(output, overwrite=force) as staged:
        write_record(kept.uns, HOLDOUT, record)
        write_h5ad(kept, staged / "course.h5ad")
        write_h5ad(predicted[first], staged / "predicted.h5ad")
        flow.save(staged / "flow")
        write_scores(kept, staged / "scores.json")
        figures = {
            "interpolation": pl.interpolation(shown, predicted[first], show=False),
            "trajectories": pl.trajectories(kept, flow, show=False),
            "holdout": pl.holdout(record["scores"], show=False),
            "loss": pl.loss(flow, show=False),
        }
        for name, axes in figures.items():
            pl.save(axes, staged / f"{name}.png")
    if progress:
        print_scores(record["scores"])
    log_info(f"wrote {output}: course.h5ad, predicted.h5ad, flow, scores.json, four figures")
