"""The script that prints the tables of the comparison of methods for images."""

import importlib.util
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]


def test_runs_are_in_one_table_by_kind_of_solver(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("tables", ROOT / "scripts/comparison_table.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = [
        ("flow", "euler:2", 2, 1.0), ("flow", "euler:2", 2, 2.0), ("flow", "dopri5", 105.0, 0.1),
        ("edm", "edm-heun:4", 7, 3.0), ("edm", "edm-heun:4:30", 7, 4.0),
        ("other", "euler:2", 2, 5.0), ("other", "dopri5", 110.0, 0.2),
    ]  # fmt: skip
    made = pd.DataFrame(rows, columns=["name", "by", "nfe", "frechet"])
    made = made.assign(of="generated", n=10, measure="Frechet-10", npe=0.5, straightness=2.25)
    test = {"name": "", "of": "test images", "n": 4, "measure": "Frechet-4", "frechet": 0.04}
    path = tmp_path / "scores.tsv"
    pd.concat([made, pd.DataFrame([test])]).to_csv(path, sep="\t", index=False)
    script.main(str(path))
    assert capsys.readouterr().out.split("\n\n") == [
        "| Frechet-10 | euler, 2 | dopri5 | NPE | straightness |\n|---|---|---|---|---|\n"
        "| `flow` | 1.500 | 0.100 | 0.5 | 2.25 |\n| `other` | 5.000 | 0.200 | 0.5 | 2.25 |",
        "| Frechet-10 | edm-heun, 7 | edm-heun, rho 30, 7 | NPE | straightness |\n"
        "|---|---|---|---|---|\n| `edm` | 3.000 | 4.000 | 0.5 | 2.25 |",
        "Test images: Frechet-4 0.040\n",
    ]
