"""Read scTimeBench's database, and tabulate scores."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

QUERY = """
SELECT metrics.name, metrics.parameters, datasets.name, datasets.dataset_preprocessors, evals.result
FROM evals
JOIN metrics ON evals.metric_id = metrics.id
JOIN method_outputs ON evals.method_output_id = method_outputs.id
JOIN datasets ON method_outputs.dataset_id = datasets.id
ORDER BY evals.id
"""


def read_scores(
    database: Path, courses: Mapping[str, str], splits: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each score in a database of scTimeBench.

    Parameters
    ----------
    database
        The SQLite file.
    courses
        Course by the name of its loader.
    splits
        Name of a split by the text of its held-out times.

    Returns
    -------
    A table with `course`, `split` (`all` if no time is held out), `time` (`mean` of all times, or
    one time), `criterion` (of graphs: `simple` for edges, `all_paths` for ancestry), `metric` and
    `score`.
    """
    with sqlite3.connect(database) as connection:
        found = connection.execute(QUERY).fetchall()
    connection.close()
    rows = []
    for metric, parameters, loader, preprocessors, result in found:
        steps = {each["name"]: each["parameters"] for each in json.loads(preprocessors)}
        held_out = steps.get("TestTimepointSelection", {}).get("test_tps")
        about = {
            "course": courses[loader],
            "split": "all" if held_out is None else splits[str(held_out)],
            "time": json.loads(parameters).get("timepoint", "mean"),
        }
        rows += [
            {**about, "criterion": criterion, "metric": name, "score": score}
            for criterion, name, score in _unpack(metric, result)
        ]
    return pd.DataFrame(rows)


def _unpack(metric: str, result: str) -> Iterator[tuple[str, str, float]]:
    """Yield criterion, name and value of the scores in one stored result."""
    value = json.loads(result)
    if isinstance(value, float | int):
        yield "", metric, float(value)
        return
    criterion = value.pop("criteria", "")
    inner = value.pop("eval", value)
    inner = json.loads(inner) if isinstance(inner, str) else inner
    for name, score in inner.items() if isinstance(inner, dict) else [(metric, inner)]:
        yield criterion, name, float(score)


#: Metrics of a table, and their headings.
GENES = {
    "WassersteinOTLoss": "W",
    "EnergyDistanceLoss": "energy",
    "MMDLoss": "MMD",
    "HausdorffLoss": "Hausdorff",
}
GRAPHS = {
    "f1": "F1",
    "JaccardSimilarity": "Jaccard",
    "auc_roc": "AUROC",
    "auc_prc": "AUPRC",
    "precision": "precision",
    "recall": "recall",
}
EMBEDDINGS = {
    "ari_ground_truth": "ARI, measured",
    "ari_next_timepoint": "ARI, predicted",
    "avg_entropy": "entropy, measured",
    "pred_tp_avg_entropy": "entropy, predicted",
}


def tabulate(scores: pd.DataFrame) -> str:
    """Return all tables in markdown."""
    means = scores[scores["time"].astype(str) == "mean"]
    parts = []
    for (course, split), each in means[means["task"] == "genes"].groupby(
        ["course", "split"], sort=False
    ):
        parts.append(f"{course}, {split}\n\n{_table(each, GENES)}")
    for criterion, each in means[means["task"] == "lineage"].groupby("criterion", sort=False):
        parts.append(f"worm, lineage, {criterion}\n\n{_table(each, GRAPHS)}")
    each = means[means["task"] == "embedding"]
    parts.append(f"worm, embedding\n\n{_table(each, EMBEDDINGS)}")
    return "\n\n".join(parts) + "\n"


def _table(scores: pd.DataFrame, metrics: Mapping[str, str]) -> str:
    """Return methods by metrics in markdown, four significant digits."""
    if scores.empty:
        return "no scores"
    wide = scores.pivot_table("score", "method", "metric", sort=False)
    wide = wide[[each for each in metrics if each in wide]].rename(columns=metrics)
    lines = ["| | " + " | ".join(wide) + " |", "|---" * (wide.shape[1] + 1) + "|"]
    for method, row in wide.iterrows():
        lines.append(f"| {method} | " + " | ".join(f"{value:.4g}" for value in row) + " |")
    return "\n".join(lines)
