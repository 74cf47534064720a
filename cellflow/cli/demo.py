"""`cellflow demo`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from cellflow.cli import options

#: Held-out time in hours; its neighbours are 24 and 48 h.
_HELD_OUT = 36.0


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
    The cells at 36 h are held out, predicted from the others, and compared with the measured ones.
    """
    from matplotlib import pyplot as plt

    from cellflow import datasets, pl, pp, tl
    from cellflow._errors import FileError
    from cellflow._files import atomic_folder, check_target
    from cellflow._keys import HOLDOUT, read_record, write_record
    from cellflow._log import log_info
    from cellflow.cli.terminal import print_scores
    from cellflow.io import write_h5ad, write_scores

    check_target(output, overwrite=force)
    if output.exists() and not (output / "scores.json").is_file():
        raise FileError(f"{output} is not the folder of an earlier demo; choose another --output")

    course = datasets.semrau2017()
    course = course[course.X.getnnz(axis=1) > 0].copy()
    pp.time_points(course, "time")
    kept = course[course.obs["time"] != _HELD_OUT].copy()
    pp.embed(kept, n_dims=5, whiten=True)
    flow = tl.fit(kept, rng=seed, device=device, progress=progress)
    predicted = tl.interpolate(kept, flow, _HELD_OUT)
    scores = tl.holdout(course, times=[_HELD_OUT], rng=seed, device=device, progress=progress)

    plt.switch_backend("agg")
    with atomic_folder(output, overwrite=force) as staged:
        write_record(kept.uns, HOLDOUT, read_record(course.uns, HOLDOUT))
        write_h5ad(kept, staged / "course.h5ad")
        write_h5ad(predicted, staged / "predicted.h5ad")
        flow.save(staged / "flow")
        write_scores(course, staged / "scores.json")
        figures = {
            "interpolation": pl.interpolation(course, predicted, show=False),
            "trajectories": pl.trajectories(kept, flow, show=False),
            "holdout": pl.holdout(scores, show=False),
            "loss": pl.loss(flow, show=False),
        }
        for name, axes in figures.items():
            pl.save(axes, staged / f"{name}.png")
    if progress:
        print_scores(scores)
    log_info(f"wrote {output}: course.h5ad, predicted.h5ad, flow, scores.json, four figures")
