"""Time and score cellflow beside moscot, CellRank, WOT and TorchCFM on the same cells.

    python benchmarks/peers/compare.py FOLDER --cells 10000 100000 --moscot PYTHON --wot PYTHON
        --torchcfm PYTHON [--cores 0 1] [--repeats 3] [--limit 1200]

Courses are simulated: ten times, 200 genes, 50 dimensions, two fates that are known in part from
the start. Each tool has an environment of its own, given as its Python, and runs as one process on
the same cores, one tool after the other, `--repeats` times in turns; those that are not given are
left out. Imports and files are not counted. Up to 20,000 cells each process does everything twice,
and the second pass counts, so that compilation is left out. A process that passes the limit, in CPU
seconds, or the memory of the machine is recorded as such, with the stages it finished. What is in
FOLDER is not run again. Writes FOLDER/table.md.

Quality: the Brier score of fate probabilities against those of the simulation, over the cells
before the last time, beside that of the shares of the last time; the area under the ROC curve of
the genes in the programs of fates, ranked by the absolute correlation with a fate; the Wasserstein
distance of predicted cells to the held-out ones in the representation (3,000 a side at most),
beside that of the midpoint of the optimal transport between the neighbouring times.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import cellflow as cf
from cellflow.metrics import Cloud, midpoint, wasserstein

HERE = Path(__file__).parent
TIMES, HELD_OUT, SCORED = tuple(range(10)), 4.0, 3_000
WARM_UP_TO = 20_000

#: Name, script and variants.
TOOLS = {
    "cellflow": ("run_cellflow.py", ("default",)),
    "moscot": ("run_moscot.py", ("default", "0.05", "low-rank")),
    "wot": ("run_wot.py", ("default",)),
    "torchcfm": ("run_torchcfm.py", ("1000", "3000")),
}


def main() -> None:
    """Run what is missing, score and print."""
    options = _arguments()
    pythons = {"cellflow": sys.executable, "moscot": options.moscot, "wot": options.wot}
    pythons["torchcfm"] = options.torchcfm
    rows: list[dict[str, object]] = []
    for n in options.cells:
        course = make_course(options.folder / f"{n}", n, options.seed)
        for repeat in range(options.repeats):
            for tool, variant in _each_variant(pythons):
                if f"{tool}-{variant}" in options.skip:
                    continue
                output = course.parent / f"{tool}-{variant}-{repeat}"
                run(str(pythons[tool]), tool, variant, course, output, options)
        rows += score(course, pythons, options.repeats)
    table = pd.DataFrame(rows)
    table.to_csv(options.folder / "table.csv", index=False)
    (options.folder / "table.md").write_text(tabulate(table))
    print(tabulate(table))


def _each_variant(pythons: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    for tool, (_, variants) in TOOLS.items():
        if pythons[tool]:
            yield from ((tool, variant) for variant in variants)


def make_course(folder: Path, n: int, seed: int) -> Path:
    """Simulate and embed a course, unless it is there."""
    path = folder / "course.h5ad"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        adata = cf.datasets.simulate_course(n, 200, times=TIMES, predictability=0.6, rng=seed)
        cf.pp.embed(adata)
        # Other tools correlate what X holds.
        counts = adata.X.tocsr().astype(np.float32)
        sums = np.asarray(counts.sum(axis=1)).ravel()
        counts.data *= np.repeat(np.median(sums) / np.maximum(sums, 1), np.diff(counts.indptr))
        adata.X = counts.log1p()
        adata.write_h5ad(path)
    return path


def run(
    python: str, tool: str, variant: str, course: Path, output: Path, options: argparse.Namespace
) -> None:
    """Run a tool once and write how it ended to `output/end.txt`."""
    end = output / "end.txt"
    if end.exists():
        return
    n_cells = int(course.parent.name)
    threads = str(len(options.cores))
    # The environments must not see the packages of this one.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if tool == "cellflow":
        environment["PYTHONPATH"] = str(HERE.parents[1])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        environment[name] = threads
    command = [
        *("taskset", "--cpu-list", ",".join(map(str, options.cores))),
        *("prlimit", f"--cpu={options.limit}:{options.limit + 60}"),
        *(python, str(HERE / TOOLS[tool][0]), str(course), str(output), "--variant", variant),
        *("--held-out", str(HELD_OUT), "--passes", "2" if n_cells <= WARM_UP_TO else "1"),
    ]
    output.mkdir(parents=True, exist_ok=True)
    print(tool, variant, output, flush=True)
    with (output / "log.txt").open("w") as log:
        ended = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
    how = {
        0: "finished",
        -signal.SIGXCPU: f"not finished in {options.limit} CPU seconds",
        -signal.SIGKILL: "killed, out of memory",
    }.get(ended.returncode, f"ended with an error ({ended.returncode})")
    end.write_text(how)


def score(course: Path, pythons: dict[str, str | None], repeats: int) -> list[dict[str, object]]:
    """Return a row for each tool and stage, with the median seconds over the repeats."""
    adata = anndata.read_h5ad(course)
    rows: list[dict[str, object]] = []
    for tool, variant in _each_variant(pythons):
        outputs = [course.parent / f"{tool}-{variant}-{k}" for k in range(repeats)]
        outputs = [each for each in outputs if (each / "end.txt").exists()]
        # A run that was stopped for its memory or time may have written nothing.
        written = [each / "stages.json" for each in outputs if (each / "stages.json").exists()]
        found = [pd.DataFrame(json.loads(each.read_text())).assign(run=each) for each in written]
        about = {"cells": adata.n_obs, "tool": f"{tool} {variant}".replace(" default", "")}
        ends = {(each / "end.txt").read_text() for each in outputs}
        if found:
            grouped = pd.concat(found).groupby("stage", sort=False)
            quality = measure_quality(adata, outputs[0])
            for stage, group in grouped:
                rows.append(
                    {
                        **about,
                        "stage": stage,
                        **group[["seconds", "cpu_seconds", "peak_mb"]].median().to_dict(),
                        "fastest": group["cpu_seconds"].min(),
                        "slowest": group["cpu_seconds"].max(),
                        "quality": quality.get(str(stage)),
                    }
                )
        if ends - {"finished"}:
            rows.append({**about, "stage": ", ".join(sorted(ends - {"finished"}))})
    rows += [{"cells": adata.n_obs, **row} for row in measure_rivals(adata)]
    return rows


def measure_quality(adata: anndata.AnnData, output: Path) -> dict[str, float]:
    """Return the score of each stage that has one."""
    with np.load(output / "arrays.npz") as arrays:
        quality: dict[str, float] = {}
        if "fates" in arrays:
            quality["fates"] = brier(adata, arrays["fates"], list(arrays["groups"]))
        if "drivers" in arrays:
            of_fate = adata.var["program"].isin(list(arrays["groups"]))
            strength = np.abs(np.nan_to_num(arrays["drivers"])).max(axis=1)
            quality["drivers"] = float(roc_auc_score(of_fate, strength))
        if "predicted" in arrays:
            cloud = Cloud.of(arrays["predicted"], arrays.get("predicted_weights"))
            quality["predict"] = distance(adata, cloud)
    return quality


def brier(adata: anndata.AnnData, probabilities: np.ndarray, groups: list[str]) -> float:
    """Return the expected Brier score of the first fate, over cells before the last time.

    Cells without an estimate have the mean one.
    """
    before = adata.obs["time"].to_numpy() < max(TIMES)
    fates = [str(each) for each in adata.uns["cellflow"]["simulation"]["fates"]]
    truth = adata.obsm["true_fate_probabilities"][before, 0]
    given = probabilities[before]
    given = given[:, groups.index(fates[0])] / given.sum(axis=1)
    given = np.where(np.isfinite(given), given, np.nanmean(given))
    return float(np.mean((given - truth) ** 2 + truth * (1 - truth)))


def distance(adata: anndata.AnnData, predicted: Cloud) -> float:
    """Return the Wasserstein distance to the held-out cells, both of the same number.

    The distance falls with the number of cells on either side.
    """
    rng = np.random.default_rng(0)
    cells = take_time(adata, HELD_OUT, rng)
    return wasserstein(predicted.resample(len(cells), rng), cells)


def take_time(adata: anndata.AnnData, time: float, rng: np.random.Generator) -> Cloud:
    """Return the cells of a time, at most 3,000."""
    cells = adata.obsm["X_cellflow"][adata.obs["time"].to_numpy() == time]
    return Cloud.of(rng.permutation(cells)[:SCORED])


def measure_rivals(adata: anndata.AnnData) -> list[dict[str, object]]:
    """Return the scores of the shares of the last time, and of the midpoint."""
    last = adata.obs["fate"].dropna().astype(str)
    groups = sorted(set(last))
    shares = np.tile([(last == each).mean() for each in groups], (adata.n_obs, 1))
    truth = adata.obsm["true_fate_probabilities"]
    fates = [str(each) for each in adata.uns["cellflow"]["simulation"]["fates"]]
    rng = np.random.default_rng(0)
    sides = [take_time(adata, HELD_OUT + step, rng) for step in (-1, 1)]
    middle = midpoint(*sides, 0.5)
    return [
        {
            "tool": "shares of the last time",
            "stage": "fates",
            "quality": brier(adata, shares, groups),
        },
        {"tool": "the truth", "stage": "fates", "quality": brier(adata, truth, fates)},
        {"tool": "midpoint", "stage": "predict", "quality": distance(adata, middle)},
    ]


def tabulate(table: pd.DataFrame) -> str:
    """Return the table in Markdown."""
    forms = {"seconds": 1, "cpu_seconds": 1, "peak_mb": 0, "fastest": 1, "slowest": 1, "quality": 3}
    shown = table.fillna("").astype(object)
    for column, digits in forms.items():
        shown[column] = [each if each == "" else f"{each:,.{digits}f}" for each in shown[column]]
    head = "| " + " | ".join(shown.columns) + " |\n|" + " --- |" * len(shown.columns)
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in shown.to_numpy()]
    return "\n".join([head, *lines]) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--moscot", help="Python with moscot and CellRank")
    parser.add_argument("--wot", help="Python with WOT")
    parser.add_argument("--torchcfm", help="Python with TorchCFM")
    parser.add_argument("--cores", type=int, nargs="+", default=[0, 1], help="numbers of the cores")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, default=1200, help="CPU seconds of a process")
    parser.add_argument("--skip", nargs="+", default=[], help="TOOL-VARIANT to leave for later")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
