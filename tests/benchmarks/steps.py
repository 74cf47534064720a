"""Steps of moved cells: evaluations and error, of fixed numbers and chosen by error.

CELLFLOW_DATA=/folder/of/data OMP_NUM_THREADS=1 python -m tests.benchmarks.steps [NAME ...]

Up to 300 cells of each time are moved to the time after and to the one before, those of the first
time to the last, and those of the last to the first. Errors are 99th percentiles, in units of the
spread of the cells, the largest of all moves, against 120 steps of rk4 per unit of flow time; those
of stochastic paths are of each along its own noise, extrapolated from twice as many steps.
Evaluations are means over the moves, per unit of flow time and of each field. The rule was chosen
on the first two data sets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import torch
from anndata import AnnData

import cellflow as cf
from cellflow.flow import Flow
from cellflow.integrate import compare_steps
from cellflow.tl._time_course import TimeCourse

#: File of each data set, take one cell in so many, and dimensions to embed in, or matrix to take.
DATA = {
    "RA": ("semrau2017_ra41", 1, 10),
    "iPSC": ("bargaje2017_qpcr", 1, 10),
    "EMT": ("cook2020_emt_ae10", 1, "X_latent"),
    "T cells": ("tcell_cytof15", 2, "X"),
    "CITE-seq": ("cite_pca100", 5, "X_pca"),
    "hPSC": ("hpsc_endoderm_cytof37", 3, "X"),
    "LARRY": ("larry2d_tigon", 3, "X_2d"),
    "growth": ("sim_tigon_3gene_growth", 1, "X"),
}

#: Steps per unit of flow time.
RATES, FINEST, STOCHASTIC_RATES = (4, 6, 10, 25), 120, (6, 12, 24)


def main() -> None:
    torch.set_num_threads(1)
    for method, table in (("default", _deterministic), ("sf2m", _stochastic)):
        print(f"\n{method}\n\n| data | steps per unit | evaluations | interval | course |")
        print("| --- | --- | --- | --- | --- |")
        for name in sys.argv[1:] or DATA:
            adata, rep = read(name)
            flow = _fit(name, adata, rep, method)
            for row in table(TimeCourse.read(adata, flow, "time")):
                print(f"| {name} | {' | '.join(row)} |", flush=True)


def read(name: str) -> tuple[AnnData, str | None]:
    """Return the cells of a data set, and the key of their points."""
    file, every, space = DATA[name]
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / f"{file}.h5ad")[::every].copy()
    if isinstance(space, int):
        adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
        cf.pp.embed(adata, n_dims=space)
        return adata, None
    if space == "X":
        dense = adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X
        adata.obsm["points"] = np.asarray(dense, dtype=np.float32)
        return adata, "points"
    adata.obsm["points"] = np.asarray(adata.obsm[space][:, :50], dtype=np.float32)
    return adata, "points"


def _fit(name: str, adata: AnnData, rep: str | None, method: str) -> Flow:
    """Fit a flow, or read it from the folder `FLOWS` of an earlier run."""
    folder = os.environ.get("FLOWS")
    path = folder and Path(folder) / f"{name.replace(' ', '')}-{method}"
    if path and path.exists():
        return Flow.load(path)
    flow = cf.tl.fit(adata, time_key="time", use_rep=rep, method=method, progress=False)
    if path:
        flow.save(path)
    return flow


def _moves(course: TimeCourse, n: int) -> Iterator[tuple[bool, torch.Tensor, float, float]]:
    """Yield whether a move is through one interval, its points, its start and its end."""
    rng, times = np.random.default_rng(0), course.times
    for i, start in enumerate(times):
        points = course.read_cells(rng.permutation(course.rows_at(start))[:n]).x
        for k in (i - 1, i + 1):
            if 0 <= k < len(times):
                yield True, points, start, times[k]
        for end in (times[0], times[-1]):
            if {start, end} == {times[0], times[-1]}:
                yield False, points, start, end


def _deterministic(course: TimeCourse) -> Iterator[tuple[str, ...]]:
    flow, moves = course.flow, list(_moves(course, 300))
    exact = [_end(flow, *move[1:], FINEST)[0] for move in moves]
    for rate in (*RATES, None):
        found = [_end(flow, *move[1:], rate) for move in moves]
        errors = [_error(a, b) for (a, _), b in zip(found, exact, strict=True)]
        nfe = np.mean([evaluations for _, evaluations in found])
        yield _row("by error" if rate is None else str(rate), nfe, errors, moves)


def _end(
    flow: Flow, x: torch.Tensor, start: float, stop: float, rate: float | None
) -> tuple[torch.Tensor, float]:
    """Return ends in units of the spread, beside logarithms of masses, and evaluations."""
    span = abs(flow.axis.to_flow(stop) - flow.axis.to_flow(start))
    n_steps = None if rate is None else max(1, int(np.ceil(rate * span - 1e-6)))
    moved = flow.trajectory(x, [start, stop], n_steps=n_steps)
    ends = torch.cat([moved.end / _spread(flow), moved.log_mass[-1][:, None]], dim=1)
    return ends, moved.nfe / span


def _stochastic(course: TimeCourse) -> Iterator[tuple[str, ...]]:
    flow, moves = course.flow, list(_moves(course, 100))
    for rate in (*STOCHASTIC_RATES, None):
        errors, evaluations = [], []
        for _, x, start, stop in moves:
            times = [flow.axis.to_flow(each) for each in (start, stop)]
            here = rate
            if rate is None:
                nfe = flow.simulate(x, [start, stop], torch.Generator().manual_seed(0)).nfe
                here = nfe / 2 / abs(times[1] - times[0])
            errors.append(_stochastic_error(flow, x, times, here))
            evaluations.append(2 * here)
        yield _row("by error" if rate is None else str(rate), np.mean(evaluations), errors, moves)


def _stochastic_error(flow: Flow, x: torch.Tensor, times: list[float], rate: float) -> float:
    sign = 1.0 if times[1] > times[0] else -1.0

    def drift(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return sign * flow.velocity(t, x) + flow.nets.score(t, x, None)

    # The differences that further halving would make shrink by a factor of 2^1.5 each.
    with torch.no_grad():
        coarse, fine = compare_steps(drift, flow.record.diffusion, x, times, rate)
    return _error(coarse.end / _spread(flow), fine.end / _spread(flow)) / (1 - 2**-1.5)


def _spread(flow: Flow) -> float:
    centre, scale = flow.nets.units
    return scale * len(centre) ** 0.5


def _error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float(torch.quantile((found - exact).norm(dim=1), 0.99))


def _row(what: str, nfe: float, errors: list[float], moves: list) -> tuple[str, ...]:
    sides = [
        max(error for error, move in zip(errors, moves, strict=True) if move[0] is single)
        for single in (True, False)
    ]
    return what, f"{nfe:.0f}", *(f"{side:.1e}" for side in sides)


if __name__ == "__main__":
    main()
