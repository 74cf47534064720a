"""Print the table of docs/benchmarks/comparison.md from the scores of workflows/images.

    python scripts/comparison_table.py results/scores.tsv

A row a run and family of solvers, means over the seeds; columns are the distance by evaluations of
the velocity, how straight the flow is, and what its training cost.
"""

from __future__ import annotations

import sys

import pandas as pd

COSTS = {
    "npe": "NPE",
    "straightness": "straightness",
    "train_seconds": "training, s",
    "pairing_seconds": "of it pairing",
    "setup_seconds": "and set-up",
    "peak_memory_mb": "peak MB",
}


def family(by: str) -> str:
    """Return the solver without its steps: euler, edm-heun rho 30."""
    name, *numbers = by.split(":")
    return f"{name} rho {numbers[1]}" if len(numbers) > 1 else name


def scores_by_nfe(rows: pd.DataFrame) -> list[str]:
    """Format the distances of one run, a line for each family of solvers."""
    lines = []
    for solver, part in rows.groupby(rows["by"].map(family), sort=False):
        means = part.groupby("nfe")["frechet"].mean()
        cells = ", ".join(f"{nfe:.0f}: {frechet:.3f}" for nfe, frechet in means.items())
        lines.append(f"{solver} {cells}")
    return lines


def main(path: str) -> None:
    """Print the rows of all runs at the largest number of images."""
    table = pd.read_csv(path, sep="\t")
    test = table[table["of"] == "test images"]
    made = table[table["of"] == "generated"]
    made = made[made["n"] == made["n"].max()]
    heads = ["run", f"{made['measure'].iloc[0]} by evaluations", *COSTS.values()]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name, rows in made.groupby("name", sort=False):
        means = rows[list(COSTS)].mean()
        costs = [f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in means]
        print("| " + " | ".join([f"`{name}`", "; ".join(scores_by_nfe(rows)), *costs]) + " |")
    print(f"| test images | {test['measure'].iloc[0]} {test['frechet'].iloc[0]:.3f} |" + " |" * 6)


if __name__ == "__main__":
    main(*sys.argv[1:])
