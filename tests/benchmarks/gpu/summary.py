"""Results as short tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from tests.benchmarks.gpu.results import WHOLE, Results, Row
from tests.benchmarks.gpu.settings import LIMITS


def summarise(results: Results, left_out: dict[str, str]) -> str:
    """Return what became of each part, then its numbers."""
    lines = ["| part | state |", "| --- | --- |"]
    lines += [f"| {part} | {state(results, part, left_out)} |" for part in LIMITS]
    for part, table in (("steps", _steps), ("methods", _methods), ("cells", _cells)):
        last = results.last(part).values()
        rows = [row for row in last if row["status"] == "done" and row["job"] != WHOLE]
        lines += ["", *table(rows)] if rows else []
    return "\n".join(lines) + "\n"


def state(results: Results, part: str, left_out: dict[str, str]) -> str:
    """Describe how far a part is."""
    last = results.last(part)
    whole = last.pop(WHOLE, None)
    if whole is None:
        return f"left out, {left_out[part]}" if part in left_out else "not begun"
    failed = [job for job, row in last.items() if row["status"] == "failed"]
    counts = sum(row["status"] in ("done", "passed") for row in last.values())
    text = f"{whole['status']}, {counts} rows"
    return f"{text}; failed: {', '.join(failed)}" if failed else text


def _steps(rows: Sequence[Row]) -> Iterator[str]:
    yield "| pairs | ours, images/s | TorchCFM, images/s | ratio | goal |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        columns = " | ".join(_spread(row[key]) for key in ("ours", "torchcfm", "ratio"))
        yield f"| {row['job']} | {columns} | 3 |"


def _methods(rows: Sequence[Row]) -> Iterator[str]:
    scores = [row for row in rows if "frechet" in row]
    solvers = list(dict.fromkeys(row["by"] for row in scores if "by" in row))
    flows = list(dict.fromkeys(row["flow"] for row in scores if "flow" in row))
    values = {(row.get("flow"), row.get("by")): row for row in scores}
    yield f"| {', '.join(sorted({row['measure'] for row in scores}))} | {' | '.join(solvers)} |"
    yield "| --- |" + " --- |" * len(solvers)
    for flow in flows:
        cells = [values.get((flow, by)) for by in solvers]
        text = " | ".join(
            "" if row is None else f"{row['frechet']:.2f} ({row['nfe']:.0f})" for row in cells
        )
        yield f"| {flow} | {text} |"
    for row in scores:
        if "flow" not in row:
            yield f"\ntest images: {row['frechet']:.2f}; in brackets: evaluations"


def _cells(rows: Sequence[Row]) -> Iterator[str]:
    goals = {row["seed"]: row for row in rows if row["name"] == "TorchCFM"}
    yield "| fit | seed | s | W1 | energy distance | TorchCFM over it (goal 30) | reached |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        goal = goals.get(row["seed"])
        numbers = f"{row['fit_seconds']:.2f} | {row['w1']:.3f} | {row['energy_distance']:.3f}"
        compared = " | "
        if goal is not None:
            reached = all(row[key] <= goal[key] for key in ("w1", "energy_distance"))
            compared = (
                f"{goal['fit_seconds'] / row['fit_seconds']:.1f} | {'yes' if reached else 'no'}"
            )
        yield f"| {row['name']} | {row['seed']} | {numbers} | {compared} |"


def _spread(values: Sequence[float] | None) -> str:
    if values is None:
        return "not measured"
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
