"""Judge rules that say which time of a course to measure next, by hiding times that are known.

    CELLFLOW_DATA=/folder/of/data python scripts/measure_next_time.py tables FOLDER
    python scripts/measure_next_time.py judge FOLDER [--on choose | prove]
    CELLFLOW_DATA=/folder/of/data python scripts/measure_next_time.py flows
    python scripts/measure_next_time.py cells

`tables` predicts each time of a course from every two others around it, by optimal transport at the
share of elapsed time that has passed (no training), and keeps the W1 errors. `judge` hides all but
some times of a course, lets each rule name one of the hidden times from what the others show, adds
it, and sums the errors of predictions of all hidden times before and after. `flows` does the same
on a few courses with flows that are fitted each time, and with the disagreement of their seeds.
`cells` foretells the W1 of a held-out time, and its spread, with two and four times the cells.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

import cellflow as cf
from cellflow.flow import Flow
from cellflow.marginals import TimeAxis
from cellflow.metrics import Cloud
from cellflow.transport import assign

#: Cells of each time, at most, and draws of them that a table is the mean over.
N_CELLS, N_DRAWS = 200, 3
N_DIMS = 5
N_TIMES = 13

#: File of each real or published course, and its embedding if it has one.
REAL = {
    "semrau": ("semrau2017_ra41", None),
    "yeast": ("yeast_dose_time_flow", None),
    "tcell": ("tcell_cytof15", None),
    "bargaje": ("bargaje2017_qpcr", None),
    "worm": ("worm_amphid_packer", None),
    "endoderm": ("hpsc_endoderm_cytof37", None),
    "emt": ("cook2020_emt_ae10", "X_latent"),
    "tigon": ("sim_tigon_3gene_growth", "X"),
    "stvcr": ("sim_stvcr_heart2duck", "X"),
}
#: Those that the rule was chosen on.
CHOSEN_ON = ("semrau", "yeast", "tcell")

#: Settings of simulated courses by kind; the rule was chosen on the first five.
KINDS = {
    "late": {},
    "early": {"commitment": "early"},
    "out of step": {"asynchrony": 0.2},
    "three fates": {"fates": ["A", "B", "C"], "delays": {"C": 2.0}},
    "batches": {"time_effect": 0.1},
    "cycle": {"cycle": True},
    "growth by fate": {"growth": {"A": 0.3, "B": -0.3}},
    "predictable": {"predictability": 0.6},
    "four fates": {"fates": ["A", "B", "C", "D"], "delays": {"B": 1.0, "D": 3.0}},
}
N_KINDS_CHOSEN_ON = 5
#: Standard deviations of the logarithm of the speed of simulated courses.
SPEEDS = (0.0, 0.7, 1.4)
#: Seeds of simulated courses to choose and to prove on.
CHOOSE_SEEDS, PROVE_SEEDS = range(15), range(200, 254)


@dataclass(frozen=True)
class Table:
    """What is known of a course of k times.

    Attributes
    ----------
    times
        Elapsed times, shape (k,).
    floor
        W1 of two samples of a time, shape (k,).
    error
        W1 of the prediction of time m from i and j, shape (k, k, k), at [i, j, m].
    move, shift, split
        2-Wasserstein distance of i and j above that of samples of one population, distance of their
        means, and W1 of two predictions of their middle from halves of the cells, shape (k, k).
    bend
        Root mean square second difference of the paths of cells from i by m to j, and that of the
        means, shape (2, k, k, k), at [:, i, j, m].
    """

    times: np.ndarray
    floor: np.ndarray
    error: np.ndarray
    move: np.ndarray
    shift: np.ndarray
    split: np.ndarray
    bend: np.ndarray


def make_table(times: np.ndarray, points: list[np.ndarray], seed: int) -> Table:
    """Predict each time from every two others, with as many cells of each time."""
    n = min(N_CELLS, *map(len, points))
    n -= n % 2
    draws = [
        _make_table(times, points, n, np.random.default_rng([seed, k])) for k in range(N_DRAWS)
    ]
    fields = Table.__dataclass_fields__
    return Table(**{name: np.mean([getattr(d, name) for d in draws], axis=0) for name in fields})


def _make_table(
    times: np.ndarray, points: list[np.ndarray], n: int, rng: np.random.Generator
) -> Table:
    orders = [rng.permutation(len(each)) for each in points]
    x = [each[order[:n]] for each, order in zip(points, orders, strict=True)]
    k, half = len(times), n // 2
    floor, noise = np.empty(k), np.empty(k)
    for at, (each, order) in enumerate(zip(points, orders, strict=True)):
        halves = _w(x[at][:half], x[at][half:], 1)
        fresh = each[order[n : 2 * n]]
        if len(fresh) == n:
            floor[at] = _w(x[at], fresh, 1)
        else:
            quarter = half // 2
            quarters = [
                _w(part[:quarter], part[quarter : 2 * quarter], 1)
                for part in (x[at][:half], x[at][half:])
            ]
            floor[at] = halves * min(halves / np.mean(quarters), 1.0)
        noise[at] = _w(x[at][:half], x[at][half:], 2) ** 2 * 2 ** (-2 / max(x[at].shape[1], 2))
    error = np.full((k, k, k), np.nan)
    move, shift, split = np.full((3, k, k), np.nan)
    bend = np.full((2, k, k, k), np.nan)
    ends = {}
    for i, j in combinations(range(k), 2):
        columns = assign(cdist(x[i], x[j], "sqeuclidean"))
        ends[i, j] = y = x[j][columns]
        squared = np.square(y - x[i]).sum(axis=1).mean()
        move[i, j] = np.sqrt(max(squared - (noise[i] + noise[j]) / 2, 0.05 * squared))
        shift[i, j] = np.linalg.norm(x[j].mean(axis=0) - x[i].mean(axis=0))
        middles = []
        for part in (slice(None, half), slice(half, None)):
            match = assign(cdist(x[i][part], x[j][part], "sqeuclidean"))
            middles.append((x[i][part] + x[j][part][match]) / 2)
        split[i, j] = _w(middles[0], middles[1], 1)
        for m in range(i + 1, j):
            share = (times[m] - times[i]) / (times[j] - times[i])
            error[i, j, m] = _w((1 - share) * x[i] + share * y, x[m], 1)
    for i, j in combinations(range(k), 2):
        for m in range(i + 1, j):
            # Partners of the cells of m before and after it.
            before = x[i][_inverse(ends[i, m], x[m])]
            share = (times[m] - times[i]) / (times[j] - times[i])
            straight = (1 - share) * before + share * ends[m, j]
            apart = straight - x[m]
            bend[:, i, j, m] = (
                np.sqrt(np.square(apart).sum(axis=1).mean()),
                np.linalg.norm(apart.mean(axis=0)),
            )
    return Table(times, floor, error, move, shift, split, bend)


def _inverse(moved: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the row of `moved` that each row of `points` is."""
    order, rows = np.lexsort(moved.T), np.lexsort(points.T)
    found = np.empty(len(points), dtype=int)
    found[rows] = order
    return found


def _w(x: np.ndarray, y: np.ndarray, power: int) -> float:
    costs = cdist(x, y) ** power
    return float(costs[np.arange(len(x)), assign(costs)].mean() ** (1 / power))


def read_real(name: str) -> dict[str, tuple[np.ndarray, list[np.ndarray]]]:
    """Return times and points of the courses in a file, by name."""
    file, embedding = REAL[name]
    adata = anndata.read_h5ad(Path(os.environ["CELLFLOW_DATA"]) / f"{file}.h5ad")
    if name == "yeast":
        # The scatter channels follow the instrument; dose 0 does not move.
        doses = np.unique(adata.obs["dose_IP"].astype(float))[1:]
        own = adata.obs["dose_IP"].astype(float).to_numpy()
        return {
            f"yeast {dose:g}": _by_time(
                np.asarray(adata.X[own == dose][:, :1], dtype=float), adata.obs["time"][own == dose]
            )
            for dose in doses
        }
    if embedding is None:
        adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
        cf.pp.embed(adata, n_dims=N_DIMS)
        x = adata.obsm["X_cellflow"]
    else:
        x = adata.X if embedding == "X" else adata.obsm[embedding]
    return {name: _by_time(np.asarray(x, dtype=float), adata.obs["time"])}


def simulate(kind: str, speed: float, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Simulate a course at even times whose speed varies at random."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 1, 601)
    apart = (grid[:, None] - grid) / 0.15
    noise = np.linalg.cholesky(np.exp(-np.square(apart) / 2) + 1e-6 * np.eye(len(grid)))
    rate = np.exp(speed * noise @ rng.standard_normal(len(grid)))
    clock = np.concatenate([[0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    even = np.linspace(0, 1, N_TIMES)
    own = np.interp(even, grid, clock / clock[-1]) * 7
    adata = cf.datasets.simulate_course(
        2 * N_CELLS * N_TIMES, times=own, n_continuations=1, rng=seed, **KINDS[kind]
    )
    cf.pp.embed(adata, n_dims=N_DIMS)
    order = {time: at for at, time in enumerate(np.unique(adata.obs["time"]))}
    return _by_time(
        np.asarray(adata.obsm["X_cellflow"], dtype=float), adata.obs["time"].map(order) * 1.0
    )


def _by_time(points: np.ndarray, time: object) -> tuple[np.ndarray, list[np.ndarray]]:
    values = np.asarray(time, dtype=float)
    times = np.unique(values)
    return times, [points[values == each] for each in times]


def make_tables(folder: Path) -> None:
    """Write the table of every course that is not in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in REAL:
        if not list(folder.glob(f"{name}*.npz")):
            for own, (times, points) in read_real(name).items():
                _save(folder / f"{own}.npz", make_table(times, points, 0))
    for seeds, n_kinds in ((CHOOSE_SEEDS, N_KINDS_CHOSEN_ON), (PROVE_SEEDS, len(KINDS))):
        for at, seed in enumerate(seeds):
            kind, speed = list(KINDS)[at % n_kinds], SPEEDS[at // n_kinds % len(SPEEDS)]
            path = folder / f"sim {kind}, {speed:g}, {seed}.npz"
            if not path.exists():
                _save(path, make_table(*simulate(kind, speed, seed), seed))


def _save(path: Path, table: Table) -> None:
    np.savez(path, **vars(table))
    print(path.stem, flush=True)


Interval = tuple[int, int]
Scores = dict[Interval, float]


def _intervals(known: Sequence[int]) -> list[Interval]:
    return list(pairwise(known))


def _powers(gap: float, move: float) -> Callable[[Table, Sequence[int]], Scores]:
    """Return the rule that multiplies powers of the elapsed length and of the movement."""
    return lambda table, known: {
        (a, b): (table.times[b] - table.times[a]) ** gap * table.move[a, b] ** move
        for a, b in _intervals(known)
    }


def _of_pairs(field: str) -> Callable[[Table, Sequence[int]], Scores]:
    return lambda table, known: {
        (a, b): float(getattr(table, field)[a, b]) for a, b in _intervals(known)
    }


def _rest(table: Table, known: Sequence[int]) -> Scores:
    """Return the movement that the shift of the mean does not explain."""
    squares = {(a, b): table.move[a, b] ** 2 - table.shift[a, b] ** 2 for a, b in _intervals(known)}
    return {key: float(np.sqrt(max(value, 0))) for key, value in squares.items()}


def _folds(
    of: str, power: float, *, scaled: bool = True
) -> Callable[[Table, Sequence[int]], Scores]:
    """Return the rule by folds at both ends of an interval.

    The error at a held-out time is about c h1 h2 / 2 for cells with acceleration c, the error in
    the middle of an interval c h^2 / 8, and its integral c h^3 / 12.
    """

    def rule(table: Table, known: Sequence[int]) -> Scores:
        t, found = table.times, {}
        for p, m, q in zip(known, known[1:], known[2:], strict=False):
            values = {
                "error": max(table.error[p, q, m] - table.floor[m], 0),
                "cells": table.bend[0, p, q, m],
                "means": table.bend[1, p, q, m],
            }
            found[m] = values[of] / ((t[m] - t[p]) * (t[q] - t[m]) if scaled else 1)
        return {
            (a, b): float(np.mean([found[x] for x in (a, b) if x in found]))
            * (t[b] - t[a]) ** power
            for a, b in _intervals(known)
        }

    return rule


def _product(
    *rules: Callable[[Table, Sequence[int]], Scores],
) -> Callable[[Table, Sequence[int]], Scores]:
    def rule(table: Table, known: Sequence[int]) -> Scores:
        found = [each(table, known) for each in rules]
        return {key: float(np.prod([each[key] for each in found])) for key in found[0]}

    return rule


#: Rules: scores of intervals, and whether the time is the middle by the learned clock.
RULES: dict[str, tuple[Callable[[Table, Sequence[int]], Scores], bool]] = {
    "middle of the longest interval": (_powers(1, 0), False),
    "the same, by the clock": (_powers(1, 0), True),
    "middle of the longest movement": (_powers(0, 1), False),
    "the same, by its clock": (_powers(0, 1), True),
    "length x movement": (_powers(1, 1), True),
    "length x root of movement": (_powers(1, 0.5), True),
    "movement beyond the shift": (_rest, True),
    "disagreement of halves of the cells": (_of_pairs("split"), True),
    "fold errors": (_folds("error", 0, scaled=False), True),
    "acceleration by fold errors": (_folds("error", 2), True),
    "acceleration of cells": (_folds("cells", 2), True),
    "movement x fold errors": (_product(_powers(0, 1), _folds("error", 0, scaled=False)), True),
    "movement x acceleration of cells": (_product(_powers(0, 1), _folds("cells", 2)), True),
}
CENTRAL, CHOSEN = "middle of the longest interval", "length x root of movement"


def list_tasks(table: Table, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return sets of times that stay: the ends, and up to half of all, at most 30 of a size."""
    k = len(table.times)
    found = []
    for size in range(1, max(2, (k + 1) // 2 - 1)):
        sets = list(combinations(range(1, k - 1), size))
        rows = rng.choice(len(sets), min(len(sets), 30), replace=False)
        found += [(0, *sets[row], k - 1) for row in np.sort(rows)]
    return found


def _errors(table: Table, known: Sequence[int], hidden: Sequence[int]) -> np.ndarray:
    at = np.searchsorted(known, hidden)
    return np.array(
        [table.error[known[j - 1], known[j], m] for j, m in zip(at, hidden, strict=True)]
    )


def measure_gains(table: Table, known: Sequence[int]) -> tuple[list[int], np.ndarray, float]:
    """Return the hidden times, what each removes of the error, and the error above the floor.

    What a time removes has shape (2, hidden times): from the other hidden times, and from all,
    where the one that is measured is known to the floor.
    """
    hidden = [m for m in range(len(table.times)) if m not in known]
    before = _errors(table, known, hidden)
    above = before - table.floor[hidden]
    gains = np.empty((2, len(hidden)))
    for at, time in enumerate(hidden):
        others = [m for m in hidden if m != time]
        after = _errors(table, sorted((*known, time)), others)
        gains[0, at] = np.delete(before, at).sum() - after.sum()
        gains[1, at] = gains[0, at] + above[at]
    return hidden, gains, float(above.sum())


def choose_times(scores: Scores, hidden: Sequence[int], away: np.ndarray) -> np.ndarray:
    """Return the weight of each hidden time in the choice of a rule; ties share it.

    A rule chooses the interval of the highest score, and in it the time nearest to the middle.

    Parameters
    ----------
    scores
        Score of each interval.
    hidden
        Hidden times.
    away
        Distance of each of them from the middle of its interval, on the clock of the rule.
    """
    inside = {key: [at for at, m in enumerate(hidden) if key[0] < m < key[1]] for key in scores}
    best = max(scores[key] for key, rows in inside.items() if rows)
    weights = np.zeros(len(hidden))
    for key, rows in inside.items():
        if rows and scores[key] >= best - 1e-9 * abs(best):
            nearest = [at for at in rows if away[at] < away[rows].min() + 1e-9]
            weights[nearest] += 1 / len(nearest)
    return weights / weights.sum()


def _distances_from_middles(
    table: Table, known: Sequence[int], hidden: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far hidden times are from the middle of their interval: elapsed, and learned."""
    times = tuple(table.times[list(known)])
    lengths = np.cumsum([0.0, *(table.move[key] for key in _intervals(known))])
    axes = TimeAxis("index", times), TimeAxis("learned", times, tuple(lengths))
    elapsed, learned = (
        np.array([abs(axis.to_flow(table.times[m]) % 1 - 0.5) for m in hidden]) for axis in axes
    )
    return elapsed, learned


def judge(tables: dict[str, Table]) -> pd.DataFrame:
    """Return the share of the error that rules remove, a row for each course, rule and tasks."""
    rows = []
    for name, table in tables.items():
        removed: dict[tuple[str, bool], list[np.ndarray]] = {}
        total: dict[bool, list[float]] = {}
        for known in list_tasks(table, np.random.default_rng(0)):
            hidden, gains, error = measure_gains(table, known)
            away = _distances_from_middles(table, known, hidden)
            of_rules = {"a random one": gains.mean(axis=1), "the best one": gains.max(axis=1)}
            for rule, (score, clock) in RULES.items():
                of_rules[rule] = gains @ choose_times(score(table, known), hidden, away[clock])
            even = bool(np.ptp(np.diff(table.times[list(known)])) < 1e-9)
            for slice_ in {False, even}:
                total.setdefault(slice_, []).append(error)
                for rule, each in of_rules.items():
                    removed.setdefault((rule, slice_), []).append(each)
        for (rule, even), each in removed.items():
            of_others, of_all = np.mean(each, axis=0) / np.mean(total[even])
            rows.append((_set_of(name), name, rule, even, of_others, of_all))
    return pd.DataFrame(rows, columns=["set", "course", "rule", "even", "others", "all"])


def summarise(found: pd.DataFrame) -> pd.DataFrame:
    """Return means over sets, and differences from the central time with bootstrap intervals."""
    by_set = found.groupby(["set", "rule"], sort=False)[["others", "all"]].mean()
    rng = np.random.default_rng(0)
    n = by_set.index.get_level_values("set").nunique()
    drawn = rng.integers(n, size=(4000, n))
    rows = []
    for rule in found["rule"].unique():
        row: dict[str, object] = {"rule": rule}
        for measure in ("others", "all"):
            wide = by_set[measure].unstack("rule")
            row[f"removed of {measure}"] = wide[rule].mean()
            for rival in ("a random one", CENTRAL):
                apart = (wide[rule] - wide[rival]).to_numpy()
                low, high = np.quantile(apart[drawn].mean(axis=1), [0.025, 0.975])
                short = "random" if rival != CENTRAL else "central"
                row[f"{measure} - {short}"] = f"{apart.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        rows.append(row)
    return pd.DataFrame(rows)


def _set_of(name: str) -> str:
    return "yeast" if name.startswith("yeast") else name


def _role_of(name: str) -> str:
    if name.startswith("sim "):
        return "choose" if int(name.rsplit(", ", 1)[1]) in CHOOSE_SEEDS else "prove"
    return "choose" if _set_of(name) in CHOSEN_ON else "prove"


def print_verdict(folder: Path, role: str) -> None:
    """Print the tables of real and of simulated courses of a role."""
    paths = sorted(folder.glob("*.npz"))
    tables = {path.stem: Table(**np.load(path)) for path in paths if _role_of(path.stem) == role}
    found = judge(tables)
    simulated = found["set"].str.startswith("sim ")
    for what, rows in (
        ("real courses", ~simulated & ~found["even"]),
        ("simulated courses", simulated & ~found["even"]),
        ("all courses", ~found["even"]),
        ("simulated courses, times that stay evenly spaced", simulated & found["even"]),
    ):
        print(f"\n{what}: {found[rows]['set'].nunique()} sets")
        print(summarise(found[rows]).round(3).to_string(index=False))
    few = ("a random one", "the best one", CENTRAL, "middle of the longest movement", CHOSEN)
    shown = found[found["rule"].isin(few) & ~simulated]
    for even, part in shown.groupby("even"):
        print("\nreal courses" + (", times that stay evenly spaced" if even else ""))
        means = part.groupby(["set", "rule"])[["others", "all"]].mean().unstack("rule")
        print(means.round(3).to_string())


def compare_with_flows() -> None:
    """Print how gains of plans without training agree with those of fitted flows, by task."""
    courses = {}
    for name in ("semrau", "tcell", "bargaje", "worm"):
        courses |= read_real(name)
    for at, seed in enumerate(PROVE_SEEDS[10:12]):
        kind, speed = list(KINDS)[at], SPEEDS[-1]
        courses[f"sim {kind}, {speed:g}, {seed}"] = simulate(kind, speed, seed)
    rows = []
    for name, (times, points) in courses.items():
        table = make_table(times, points, 0)
        rng = np.random.default_rng(1)
        n = min(N_CELLS, *map(len, points))
        cells = [each[rng.permutation(len(each))[:n]] for each in points]
        tasks = list_tasks(table, rng)
        for row in rng.choice(len(tasks), 2, replace=False):
            rows.append({"course": name, **_compare_task(table, cells, tasks[row])})
            print({key: np.round(x, 2) if key != "course" else x for key, x in rows[-1].items()})
    found = pd.DataFrame(rows)
    print(found.drop(columns="course").mean().round(3).to_string())


def _compare_task(
    table: Table, points: list[np.ndarray], known: tuple[int, ...]
) -> dict[str, float]:
    hidden, gains, error = measure_gains(table, known)
    flows = [_fit(table.times, points, known, seed) for seed in range(3)]
    before = _score(flows[0], table.times, points, hidden)
    of_flows = np.empty(gains.shape)
    for at, time in enumerate(hidden):
        others = [m for m in hidden if m != time]
        cells = _fit(table.times, points, sorted((*known, time)), 0)
        after = _score(cells, table.times, points, others)
        of_flows[0, at] = np.delete(before, at).sum() - after.sum()
        of_flows[1, at] = of_flows[0, at] + before[at] - table.floor[time]
    elapsed, learned = _distances_from_middles(table, known, hidden)
    apart = {}
    for a, b in _intervals(known):
        middles = [_predict(each, (table.times[a] + table.times[b]) / 2) for each in flows]
        apart[a, b] = float(np.mean([_w(x, y, 1) for x, y in combinations(middles, 2)]))
    total = (before - table.floor[hidden]).sum()
    row = {"plans, error": error / len(hidden), "flows, error": total / len(hidden)}
    rules = {
        "chosen": RULES[CHOSEN][0](table, known),
        "central": RULES[CENTRAL][0](table, known),
        "disagreement of seeds": apart,
    }
    for at, measure in enumerate(("others", "all")):
        row[f"rank correlation, {measure}"] = spearmanr(gains[at], of_flows[at]).statistic
        for what, values, scale in (("plans", gains[at], error), ("flows", of_flows[at], total)):
            row[f"{what}, {measure}, random"] = values.mean() / scale
            row[f"{what}, {measure}, best"] = values.max() / scale
            for rule, scores in rules.items():
                away = elapsed if rule == "central" else learned
                weights = choose_times(scores, hidden, away)
                row[f"{what}, {measure}, {rule}"] = weights @ values / scale
    return row


def _fit(
    times: np.ndarray, points: list[np.ndarray], known: Sequence[int], seed: int
) -> tuple[AnnData, Flow]:
    """Fit a flow to the times that are known."""
    cells = AnnData(
        obs=pd.DataFrame(
            {"time": np.repeat(times[list(known)], [len(points[k]) for k in known])},
            index=[f"cell{at}" for at in range(sum(len(points[k]) for k in known))],
        ),
        obsm={"X_points": np.concatenate([points[k] for k in known])},
    )
    recipe = cf.recipe("default", n_steps=300)
    flow = cf.tl.fit(cells, use_rep="X_points", recipe=recipe, rng=seed, progress=False)
    return cells, flow


def _predict(fitted: tuple[AnnData, Flow], time: float) -> np.ndarray:
    """Return predicted cells, half as many as the cells that are moved."""
    moved = cf.tl.interpolate(*fitted, time)
    cloud = Cloud.of(moved.obsm["X_cellflow"], moved.obs["cellflow_weight"].to_numpy())
    return cloud.resample(len(cloud) // 2, np.random.default_rng(0)).points


def _score(
    fitted: tuple[AnnData, Flow], times: np.ndarray, points: list[np.ndarray], at: Sequence[int]
) -> np.ndarray:
    return np.array([_w(_predict(fitted, times[m]), points[m], 1) for m in at])


#: Cells of each time of a pilot, times as many that its scores are extrapolated to, and the draws.
PILOTS, MORE, N_PILOTS, N_TRUE, N_HALVES = (100, 200), (2, 4), 6, 16, 10


def measure_cells() -> None:
    """Print how well W1 and its spread with more cells are foretold from fewer."""
    rows = []
    for at, (kind, n_dims) in enumerate(product(("late", "out of step", "cycle"), (2, 5, 20))):
        adata = cf.datasets.simulate_course(
            [4000] * 3, times=(0, 3, 7), n_continuations=1, rng=300 + at, **KINDS[kind]
        )
        cf.pp.embed(adata, n_dims=n_dims)
        _, points = _by_time(np.asarray(adata.obsm["X_cellflow"], dtype=float), adata.obs["time"])
        rng = np.random.default_rng(at)
        sizes = sorted({n * more for n, more in product(PILOTS, MORE)})
        truth = {n: [_score_midpoint(_draw(points, n, rng)) for _ in range(N_TRUE)] for n in sizes}
        for n, _ in product(PILOTS, range(N_PILOTS)):
            pilot = _draw(points, n, rng)
            scores, floors = {n: [_score_midpoint(pilot)]}, {}
            for m in (n // 4, n // 2):
                halves = [_draw(pilot, 2 * m, rng) for _ in range(N_HALVES)]
                scores[m] = [_score_midpoint([x[:m] for x in each]) for each in halves]
                floors[m] = np.mean([_w(each[1][:m], each[1][m:], 1) for each in halves])
            w1 = {m: float(np.mean(each)) for m, each in scores.items()}
            fall = np.clip(np.log2(floors[n // 4] / floors[n // 2]), 0.5 / max(n_dims, 2), 0.5)
            # Squares of the distance and of the floor add, and the floor falls by a power.
            floor = {m: floors[n // 2] * (2 * m / n) ** -fall for m in (n // 4, n)}
            weight = (w1[n // 4] ** 2 - w1[n] ** 2) / (floor[n // 4] ** 2 - floor[n] ** 2)
            for more in MORE:
                less = floor[n] ** 2 * (1 - more ** (-2 * fall))
                found = np.sqrt(max(w1[n] ** 2 - np.clip(weight, 0, 2) * less, 0))
                true = truth[n * more]
                rows.append(
                    {
                        "n_dims": n_dims,
                        "times as many": more,
                        "log ratio": np.log(found / np.mean(true)),
                        "log ratio, as it is": np.log(w1[n] / np.mean(true)),
                        "foretold variance": np.var(scores[n // 2], ddof=1) / more,
                        "variance": np.var(true, ddof=1),
                    }
                )
        print(kind, n_dims, {n: np.round((np.mean(x), np.std(x)), 3) for n, x in truth.items()})
    found = pd.DataFrame(rows)
    for column in ("log ratio", "log ratio, as it is"):
        found[f"{column}, squared"] = found[column] ** 2
    means = found.groupby(["n_dims", "times as many"]).mean()
    means.loc[("all", ""), :] = found.drop(columns=["n_dims", "times as many"]).mean()
    for column in ("log ratio", "log ratio, as it is"):
        means[f"rms {column}"] = np.sqrt(means.pop(f"{column}, squared"))
    means["foretold sd / sd"] = np.sqrt(means.pop("foretold variance") / means.pop("variance"))
    print(means.round(3).to_string())


def _draw(points: list[np.ndarray], n: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [each[rng.permutation(len(each))[:n]] for each in points]


def _score_midpoint(points: list[np.ndarray]) -> float:
    """Return the W1 of the cells of the middle time from their prediction by both others."""
    first, middle, last = points
    ends = last[assign(cdist(first, last, "sqeuclidean"))]
    return _w((4 * first + 3 * ends) / 7, middle, 1)


def main() -> None:
    """Make the tables, or print what they say of the rules."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["tables", "judge", "flows", "cells"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--on", choices=["choose", "prove"], default="prove")
    given = parser.parse_args()
    logging.getLogger("cellflow").setLevel(logging.WARNING)
    if given.folder is None and given.what in ("tables", "judge"):
        parser.error(f"{given.what} needs the folder of the tables")
    if given.what == "tables":
        make_tables(given.folder)
    elif given.what == "flows":
        compare_with_flows()
    elif given.what == "cells":
        measure_cells()
    else:
        print_verdict(given.folder, given.on)


if __name__ == "__main__":
    main()
