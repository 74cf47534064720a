"""Measure the table of docs/results.md: held-out W1 on real time courses, beside the baselines.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_results.py results

Each line is a call of `cellflow holdout`; its JSON stays in the given folder, and a call whose JSON
is there already is not made again, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

SEEDS = (0, 1, 2)
PAPER = ["--n-dims", "5", "--whiten", "--protocol", "paper", "--recipe", "torchcfm"]
CITE, BARGAJE, EMT = "cite_pca100", "bargaje2017_qpcr", "cook2020_emt_ae10"
SEMRAU = "semrau2017_ra41"

#: Name of the line, data set, options of `cellflow holdout`.
RUNS = {
    "OT-CFM, paper": (CITE, ["--use-rep", "X_pca", *PAPER, "--coupling", "ot"]),
    "I-CFM, paper": (CITE, ["--use-rep", "X_pca", *PAPER, "--coupling", "independent"]),
    "semrau, default": (SEMRAU, []),
    "bargaje, default": (BARGAJE, []),
    "EMT, default": (EMT, ["--use-rep", "X_latent"]),
}

COLUMNS = ("previous", "next", "midpoint", "midpoint_0.9")


def measure(name: str, folder: Path) -> pd.DataFrame:
    """Folds and seeds of one line, measured where they are not there yet."""
    data, options = RUNS[name]
    output = folder / f"{name.replace(', ', '_')}.json"
    if not output.exists():
        source = Path(os.environ["CELLFLOW_DATA"]) / f"{data}.h5ad"
        seeds = [word for seed in SEEDS for word in ("--seed", str(seed))]
        words = ["holdout", str(source), "--time-key", "time", *options, *seeds]
        command = [sys.executable, "-m", "cellflow", *words, "--output", str(output), "--quiet"]
        subprocess.run(command, check=True)
    return pd.DataFrame(json.loads(output.read_text())["folds"])


def table(name: str, folds: pd.DataFrame) -> list[str]:
    """Lines of Markdown: each fold, mean and standard deviation over the seeds."""
    lines = []
    for time, runs in folds.groupby("time"):
        first = runs.iloc[0]
        others = " | ".join(f"{first['baselines'][column]:.3f}" for column in COLUMNS)
        lines.append(
            f"| {name} | {time:g} | {runs['w1'].mean():.3f} ± {runs['w1'].std():.3f} | {others} "
            f"| {runs['w1_half'].mean():.3f} | {first['reference']:.3f} "
            f"| {runs['gap_closed'].mean():+.2f} | {runs['seconds'].mean():.0f} |"
        )
    return lines


def main(folder: str) -> None:
    """Measure every line and print the table."""
    target = Path(folder)
    target.mkdir(exist_ok=True)
    heads = ["run", "time", "cellflow", *COLUMNS, "at half", "real half", "gap closed", "fit s"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name in RUNS:
        print("\n".join(table(name, measure(name, target))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
