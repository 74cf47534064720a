"""Print the tables of docs/benchmarks/comparison.md from the scores of workflows/images.

    python scripts/comparison_table.py results/scores.tsv

A table for each kind of solver, with a row for each run: Frechet distances, means over the seeds,
by solver and number of evaluations, and how straight the paths of the flow are.
"""

from __future__ import annotations

import sys

import pandas as pd

STRAIGHTNESS = {"npe": "NPE", "straightness": "straightness"}


def describe_solver(by: str, nfe: pd.Series) -> str:
    """Return the head of the column of a solver: its name, rho, and evaluations if all agree."""
    name, *numbers = by.split(":")
    head = f"{name}, rho {numbers[1]}" if len(numbers) > 1 else name
    return f"{head}, {nfe.iloc[0]:.0f}" if nfe.nunique() == 1 else head


def make_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of the runs that have the same kind of solver."""
    solvers = rows.groupby("by", sort=False)["nfe"]
    names = {str(by): describe_solver(str(by), nfe) for by, nfe in solvers}
    means = rows.pivot_table(index="name", columns="by", values="frechet", sort=False)
    means = means[list(names)].rename(columns=names)
    straight = rows.groupby("name", sort=False)[list(STRAIGHTNESS)].mean()
    shown = {each: means[each].map("{:.3f}".format, na_action="ignore") for each in means}
    shown |= {head: straight[key].map("{:.3g}".format) for key, head in STRAIGHTNESS.items()}
    return pd.DataFrame(shown).fillna("")


def main(path: str) -> None:
    """Print the tables of all runs, at the largest number of images."""
    table = pd.read_csv(path, sep="\t")
    test = table[table["of"] == "test images"]
    made = table[table["of"] == "generated"]
    made = made[made["n"] == made["n"].max()]
    kind = made.groupby("name")["by"].transform("first").str.partition(":")[0]
    for _, rows in made.groupby(kind, sort=False):
        shown = make_table(rows)
        heads = [f"{rows['measure'].iloc[0]}", *shown]
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for name, cells in shown.iterrows():
            print("| " + " | ".join([f"`{name}`", *cells]) + " |")
        print()
    print(f"Test images: {test['measure'].iloc[0]} {test['frechet'].iloc[0]:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
