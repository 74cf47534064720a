"""Measure the table of docs/methods.md: held-out W1 of every method on three time courses.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_methods.py results/methods [DATA ...]

Each cell of the table is a call of `cellflow holdout` in 5 whitened dimensions: protocol strict,
three seeds, 1,000 training steps, scored on 2,000 fixed cells a side at most. Its JSON stays in the
given folder, and a call whose JSON is there already is not made again. With names of data sets
only those are measured and nothing is printed, so that several can run side by side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from cellflow.methods.presets import PRESETS

SEEDS = (0, 1, 2)
MAX_CELLS, N_STEPS = 2000, 1000
DATA = {
    "cite": ("cite_pca100", ["--use-rep", "X_pca", "--n-dims", "5"]),
    "bargaje": ("bargaje2017_qpcr", []),
    "semrau": ("semrau2017_ra41", ["--time", "12", "--time", "36", "--time", "60"]),
}

#: File and test file of each method that carries cells, beside those of all,
#: `tests/training/test_every_method.py`.
FILES = {
    "ot-cfm": ("couplings/minibatch.py", "couplings/test_couplings.py"),
    "i-cfm": ("couplings/independent.py", "couplings/test_couplings.py"),
    "fm": ("paths/target.py", "paths/test_paths.py"),
    "vp": ("paths/variance_preserving.py", "paths/test_paths.py"),
    "sb-cfm": ("paths/bridge.py", "paths/test_paths.py"),
    "sf2m": ("paths/bridge.py", "paths/test_paths.py"),
    "ot-mfm": ("paths/geodesic.py", "paths/test_geodesic.py"),
    "wfr-fm": ("couplings/wfr.py", "couplings/test_wfr_coupling.py"),
    "sd-fm": ("couplings/semidiscrete.py", "couplings/test_semidiscrete.py"),
    "uot-fm": ("transport/unbalanced.py", "transport/test_unbalanced.py"),
    "oat-fm": ("objectives/acceleration.py", "objectives/test_acceleration.py"),
    "mean-flow": ("objectives/mean_flow.py", "objectives/test_mean_flow.py"),
    "spline-cfm": ("paths/spline.py", "paths/test_spline.py"),
}


def measure(method: str, data: str, folder: Path) -> pd.DataFrame:
    """Folds and seeds of one method on one data set, measured where they are not there yet."""
    output = folder / f"{data}-{method}.json"
    if not output.exists():
        name, options = DATA[data]
        source = Path(os.environ["CELLFLOW_DATA"]) / f"{name}.h5ad"
        seeds = [word for seed in SEEDS for word in ("--seed", str(seed))]
        words = ["holdout", str(source), "--time-key", "time", "--method", method, *options]
        command = [sys.executable, "-m", "cellflow", *words, *seeds]
        command += ["--max-cells", str(MAX_CELLS), "--n-steps", str(N_STEPS)]
        command += ["--output", str(output), "--quiet"]
        subprocess.run(command, check=True)
    return pd.DataFrame(json.loads(output.read_text())["folds"])


def cell(folds: pd.DataFrame) -> str:
    """Mean over folds, with the standard deviation over seeds, and the seconds of a fit."""
    by_seed = folds.groupby("seed")["w1"].mean()
    return f"{by_seed.mean():.3f} ± {by_seed.std():.3f} ({folds['seconds'].mean():.0f})"


def main(folder: str, *names: str) -> None:
    """Measure every cell, and print the table where no data sets are named."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    tables = {}
    # One data set after the other, so that what is there so far compares.
    for data in names or ("bargaje", "semrau", "cite"):
        for method in FILES:
            print(f"{data} {method}", file=sys.stderr, flush=True)
            tables[data, method] = measure(method, data, target)
    if names:
        return
    heads = ["method", "source", "file", "tests", *DATA]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for method, (file, test) in FILES.items():
        scores = " | ".join(cell(tables[data, method]) for data in DATA)
        print(f"| `{method}` | {PRESETS[method].source} | `{file}` | `{test}` | {scores} |")
    for baseline in ("midpoint", "previous", "next"):
        means = []
        for data in DATA:
            folds = tables[data, "ot-cfm"]
            folds = folds[folds["seed"] == SEEDS[0]]
            means.append(f"{folds['baselines'].map(lambda each: each[baseline]).mean():.3f}")  # noqa: B023
        print(f"| *{baseline}* | no model | | | " + " | ".join(means) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
