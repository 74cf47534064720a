"""Read scTimeBench's database, and tabulate scores."""

from __future__ import annotations

import json
import math
import re
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


#: Metrics of a table, their headings, and the power of ten by which scores are multiplied.
GENES = {
    "WassersteinOTLoss": ("W", 0),
    "EnergyDistanceLoss": ("energy x 1000", 3),
    "HausdorffLoss": ("Hausdorff", 0),
    "MMDLoss": ("MMD x 10^6", 6),
}
GRAPHS = {
    "f1": ("F1", 0),
    "JaccardSimilarity": ("Jaccard", 0),
    "auc_roc": ("AUROC", 0),
    "auc_prc": ("AUPRC", 0),
    "precision": ("precision", 0),
    "recall": ("recall", 0),
}
EMBEDDINGS = {
    "ari_ground_truth": ("ARI, measured", 0),
    "ari_next_timepoint": ("ARI, predicted", 0),
    "avg_entropy": ("entropy, measured", 0),
    "pred_tp_avg_entropy": ("entropy, predicted", 0),
}


def tabulate(scores: pd.DataFrame) -> dict[str, str]:
    """Return tables in markdown by name: `genes COURSE`, `lineage CRITERION` and `embedding`."""
    means = scores[scores["time"].astype(str) == "mean"]
    genes, lineage, embedding = (
        means[means["task"] == task] for task in ("genes", "lineage", "embedding")
    )
    tables = {
        f"genes {course}": _table(each, GENES)
        for course, each in genes.groupby("course", sort=False)
    }
    tables |= {
        f"lineage {criterion}": _table(each, GRAPHS)
        for criterion, each in lineage.groupby("criterion", sort=False)
    }
    return tables | ({} if embedding.empty else {"embedding": _table(embedding, EMBEDDINGS)})


def replace_tables(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with new tables between `<!-- table NAME -->` and `<!-- end -->`."""
    for name, table in tables.items():
        mark = re.escape(f"<!-- table {name} -->")
        page = re.sub(
            f"({mark}\n).*?(<!-- end -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}",
            page,
            flags=re.DOTALL,
        )
    return page


def _table(scores: pd.DataFrame, metrics: Mapping[str, tuple[str, int]]) -> str:
    """Return methods by metrics and splits in markdown, three significant digits."""
    wide = scores.pivot_table("score", "method", ["metric", "split"], sort=False)
    columns = [each for metric in metrics for each in wide if each[0] == metric]
    heads = [
        metrics[metric][0] + ("" if split == "all" else f", {split}") for metric, split in columns
    ]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(columns) + 1) + "|"]
    for method, row in wide[columns].iterrows():
        cells = [_round(value * 10 ** metrics[each[0]][1]) for each, value in row.items()]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _round(value: float) -> str:
    """Return three significant digits without an exponent, blank for NaN."""
    if math.isnan(value):
        return ""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(max(digits, 0), 3)}f}"
