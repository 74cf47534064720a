"""Score cellflow, scTimeBench's transport wrappers and trivial rivals by scTimeBench's metrics.

    CELLFLOW_DATA=/path/to/data PYTHON benchmarks/sctimebench/compare.py FOLDER
        [--methods cellflow WOT ...] [--refresh cellflow ...]
        [--page docs/benchmarks/sctimebench.md]

PYTHON is that of an environment of `requirements.txt` in which cellflow can be imported. Every
score comes from the command `scTimeBench`, run once for each method and task. What is in FOLDER
already is kept, so a stopped run goes on; `--refresh` runs all methods of a folder of `methods/`
again. Writes FOLDER/scores.csv and FOLDER/tables.md, and the tables into a page given by `--page`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import pandas as pd  # noqa: E402
import yaml  # noqa: E402
from prepare import FILES  # noqa: E402
from results import read_scores, replace_tables, tabulate  # noqa: E402

HERE = Path(__file__).resolve().parent

#: Name in the tables: folder of the method, its metadata, and its tasks.
METHODS: dict[str, tuple[str, dict[str, object], tuple[str, ...]]] = {
    "cellflow": ("cellflow", {}, ("genes", "lineage")),
    "cellflow, most probable type": ("cellflow", {"lineage": "cells"}, ("lineage",)),
    "cellflow, cells pushed": (
        "cellflow",
        {"predict": "push", "lineage": "genes"},
        ("genes", "lineage", "embedding"),
    ),
    "WOT": ("wot", {}, ("genes", "lineage", "embedding")),
    "moscot": ("moscot", {}, ("lineage", "embedding")),
    "moscot, rows of one": ("moscot", {"rows": "one"}, ("genes", "embedding")),
    "midpoint": ("rivals", {"rule": "midpoint"}, ("genes",)),
    "copy of the previous": ("rivals", {"rule": "previous"}, ("genes",)),
    "copy of the previous, components": (
        "rivals",
        {"rule": "previous components"},
        ("genes",),
    ),
    "copy of the next": ("rivals", {"rule": "next"}, ("genes",)),
    "mean cell": ("rivals", {"rule": "mean"}, ("genes",)),
    "stay": ("rivals", {"graph": "stay"}, ("lineage", "embedding")),
    "all edges": ("rivals", {"graph": "all"}, ("lineage",)),
    "nearest centroid": ("rivals", {"graph": "centroid"}, ("lineage",)),
}

METRICS: dict[str, list[dict[str, object]]] = {
    "genes": [
        {"name": "WassersteinOTLoss"},
        {"name": "EnergyDistanceLoss"},
        {"name": "MMDLoss"},
        {"name": "HausdorffLoss"},
    ],
    "lineage": [
        {"name": name, "trajectory_infer_model": {"name": "CellTypist", "n_jobs": 1}}
        for name in ("GraphClassificationReport", "JaccardSimilarity")
    ],
    "embedding": [{"name": "ARI"}, {"name": "ClassificationEntropy"}],
}

#: Held-out times of each course, by the rule of scTimeBench's own data sets: `easy` between other
#: times, `medium` the last two; `hard`, which mixes these, is left out. The first time is always
#: among the test times, to start from.
HELD_OUT = {
    "semrau": {"easy": [12, 36, 60], "medium": [72, 96]},
    "worm": {"easy": [360, 480, 615], "medium": [615, 680]},
}

#: Loaders of scTimeBench that take columns named as ours; it has none to be named by the user.
LOADERS = {"semrau": "OlaniruDataset", "worm": "MaDataset"}


def main() -> None:
    """Prepare the courses, run what is missing, and write the tables."""
    options = _arguments()
    folder = Path(options.folder).resolve()
    data = folder / "data"
    if not all((data / f"{name}.h5ad").exists() for name in FILES):
        subprocess.run([sys.executable, HERE / "prepare.py", data], check=True)
    for each in options.refresh:
        shutil.rmtree(folder / each, ignore_errors=True)
    scores = []
    for name in options.methods:
        method, _, tasks = METHODS[name]
        home = folder / method / name.replace(", ", "-").replace(" ", "-")
        for task in tasks:
            if not (home / f"{task}.csv").exists():
                run_task(name, task, home, data)
            scores.append(pd.read_csv(home / f"{task}.csv"))
    table = pd.concat(scores, ignore_index=True)
    table.to_csv(folder / "scores.csv", index=False)
    tables = tabulate(table)
    text = "\n\n".join(f"{name}\n\n{each}" for name, each in tables.items()) + "\n"
    (folder / "tables.md").write_text(text)
    print(text)
    if options.page is not None:
        options.page.write_text(replace_tables(options.page.read_text(), tables))


def run_task(name: str, task: str, home: Path, data: Path) -> None:
    """Run `scTimeBench` for a method on the data sets of a task, and write their scores."""
    home.mkdir(parents=True, exist_ok=True)
    config, database = home / f"{task}.yaml", home / f"{task}.db"
    config.write_text(yaml.safe_dump(configure(name, task, data)))
    # Outputs of several runs into one database would be scored twice.
    database.unlink(missing_ok=True)
    command = [Path(sys.executable).with_name("scTimeBench"), "--config", config,
               "--database_path", database, "--output_dir", home.parent / "outputs",
               "--log_level", "DEBUG", "--log_file", home / f"{task}.log"]  # fmt: skip
    # JAX takes every core by default.
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "JAX_PLATFORMS": "cpu",
        "MPLBACKEND": "agg",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    }
    begin = time.time()
    done = subprocess.run(
        command, check=False, env=environment, cwd=home, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{name}, {task}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    seconds = time.time() - begin
    splits = {str(times): split for course in HELD_OUT.values() for split, times in course.items()}
    scores = read_scores(database, {v: k for k, v in LOADERS.items()}, splits)
    scores.insert(0, "method", name)
    scores.insert(1, "task", task)
    scores.assign(seconds=round(seconds, 1)).to_csv(home / f"{task}.csv", index=False)
    print(f"{name}, {task}: {seconds:.0f} s", flush=True)


def configure(name: str, task: str, data: Path) -> dict[str, object]:
    """Return the configuration of a run of `scTimeBench`."""
    method, metadata, _ = METHODS[name]
    script = HERE / "methods" / method / "train_and_test.sh"
    return {
        "method": {"name": name, "train_and_test_script": str(script), "metadata": metadata},
        "metrics": METRICS[task],
        "datasets": split_by_time(data) if task == "genes" else [keep_all_times(data)],
    }


def split_by_time(data: Path) -> list[dict[str, object]]:
    """Return the data sets with held-out times."""
    return [
        {
            "name": LOADERS[course],
            "data_path": str(data / f"{course}.h5ad"),
            "data_preprocessing_steps": [
                {"name": "LogNormPreprocessor"},
                {"name": "TestTimepointSelection", "test_tps": times},
            ],
        }
        for course, splits in HELD_OUT.items()
        for times in splits.values()
    ]


def keep_all_times(data: Path) -> dict[str, object]:
    """Return the data set with a known lineage, all cells for training and for testing."""
    return {
        "name": LOADERS["worm"],
        "data_path": str(data / "worm.h5ad"),
        "data_preprocessing_steps": [
            {
                "name": "LineageDatasetFilter",
                "cell_lineage_file": str(data / "worm_lineage.txt"),
            },
            {"name": "LogNormPreprocessor"},
            {"name": "CopyTrainTest"},
        ],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", help="where to write")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    folders = sorted({folder for folder, _, _ in METHODS.values()})
    parser.add_argument(
        "--refresh", nargs="+", default=[], choices=folders, help="folders of methods to run again"
    )
    parser.add_argument("--page", type=Path, help="page with marks of tables, to bring up to date")
    return parser.parse_args()


if __name__ == "__main__":
    main()
