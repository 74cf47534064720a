"""Test when the populations of two conditions differ, and from when on."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, prod

import numpy as np
import pandas as pd

from cellflow._errors import InputError
from cellflow._log import log_info, progress_bar
from cellflow.io import name_time, name_times
from cellflow.metrics import permutation_test, split_distances
from cellflow.tl._condition_pairs import ConditionPair, ConditionPairs, Samples
from cellflow.transport import distances

#: Probability of a false alarm, over all times and conditions together.
ALPHA = 0.05


@dataclass(frozen=True)
class PopulationSettings:
    """Settings of the comparison of populations.

    Attributes
    ----------
    distance
        `energy` or `means`.
    n_permutations
        Number of permutations.
    max_cells
        Maximum number of cells of a condition at a time that distances are computed from.
    """

    distance: str
    n_permutations: int
    max_cells: int

    def check(self, n_conditions: int) -> None:
        """Raise `InputError` if no p can be small enough for so many conditions."""
        least = int(np.ceil(n_conditions / ALPHA)) - 1
        if self.n_permutations < least:
            raise InputError(
                f"n_permutations must be {least} or more for p to reach {ALPHA} with "
                f"{n_conditions} conditions beside the reference, got {self.n_permutations}"
            )

    def between(self, points: np.ndarray) -> np.ndarray:
        """Return what `split_distances` takes for each pair of points, shape (n, n)."""
        if self.distance == "energy":
            return distances(points, points)
        return distances(points, points) ** 2 / 2


def compare_populations(
    found: ConditionPairs, points: np.ndarray, settings: PopulationSettings, seed: int
) -> pd.DataFrame:
    """Return a row for each condition and time; see `tl.compare`."""
    rng = np.random.default_rng(seed)
    if found.replicate_key is None:
        log_info(
            "p is by permutation of cells: it says that these cells differ, not that another "
            "experiment would show it, since cells of one sample are not independent; "
            "replicate_key (--replicate-key) permutes replicates"
        )
    tables = []
    with progress_bar(len(found.pairs), "compare", "condition") as bar:
        for pair in found.pairs:
            tables.append(_test_pair(found, pair, points, settings, rng))
            bar.update()
    table = found.add_unit(pd.concat(tables, ignore_index=True))
    for sentence in describe_populations(table):
        log_info(sentence)
    return table


def _test_pair(
    found: ConditionPairs,
    pair: ConditionPair,
    points: np.ndarray,
    settings: PopulationSettings,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Test one condition against the reference at all their times."""
    n_conditions, unit = len(found.pairs), found.time_points.unit
    by_replicates = found.replicate_key is not None
    if by_replicates:
        columns, possible = _split_replicates(pair, points, settings, rng)
    else:
        columns, possible = _split_cells(pair, points, settings, rng), {}
    hopeless = [time for time, smallest in possible.items() if smallest * n_conditions > ALPHA]
    if hopeless:
        counts = sorted({tuple(map(len, pair.samples[time])) for time in hopeless})
        text = ", ".join(f"{n} against {m}" for n, m in counts)
        log_info(
            f"{pair.condition} and {pair.reference} have {text} replicates at "
            f"{name_times(hopeless, unit)}: they can be labelled in too few ways for p to reach "
            f"{ALPHA}, so no p is given there (4 against 4 would do for two conditions)"
        )
    values = np.stack(list(columns.values()), axis=1)
    p, threshold = np.full((2, len(columns)), np.nan)
    if (tested := ~np.isin(list(columns), hopeless)).any():
        p[tested], threshold[tested] = permutation_test(values[:, tested], ALPHA / n_conditions)
    table = pd.DataFrame(
        {
            "condition": pair.condition,
            "reference": pair.reference,
            "time": list(columns),
            "statistic": settings.distance,
            "distance": values[0],
            "expected": values[1:].mean(axis=0),
            "threshold": threshold,
            "p": np.minimum(p * n_conditions, 1.0),
        }
    )
    after, by = _find_parting(table["time"].to_numpy(), table["p"].to_numpy())
    table["parted_after"], table["parted_by"] = after, by
    table["permuted"] = "replicates" if by_replicates else "cells"
    for column, side in (("n", 1), ("n_reference", 0)):
        table[column] = [sum(map(len, each[side].values())) for each in pair.samples.values()]
    if by_replicates:
        for column, side in (("n_replicates", 1), ("n_replicates_reference", 0)):
            table[column] = [len(each[side]) for each in pair.samples.values()]
    return table


def _split_cells(
    pair: ConditionPair,
    points: np.ndarray,
    settings: PopulationSettings,
    rng: np.random.Generator,
) -> dict[float, np.ndarray]:
    """Return the distances of true and permuted labels of cells at each time."""
    columns = {}
    for time, sides in pair.samples.items():
        drawn = [_draw(next(iter(side.values())), settings.max_cells, rng) for side in sides]
        labels = _permute(np.repeat([False, True], list(map(len, drawn))), settings, rng)
        between = settings.between(points[np.concatenate(drawn)])
        columns[time] = split_distances(between, labels, self_pairs=False)
    return columns


def _split_replicates(
    pair: ConditionPair,
    points: np.ndarray,
    settings: PopulationSettings,
    rng: np.random.Generator,
) -> tuple[dict[float, np.ndarray], dict[float, float]]:
    """Return distances of labels of replicates at each time, and the smallest p possible there.

    Replicates keep their label over all times, and are permuted among those of the same times, so
    that every time keeps its number of replicates of each condition.
    """
    units = [
        (side, name)
        for side in (0, 1)
        for name in dict.fromkeys(each for both in pair.samples.values() for each in both[side])
    ]
    times_of = [
        tuple(time for time, both in pair.samples.items() if name in both[side])
        for side, name in units
    ]
    truth = np.array([side == 1 for side, _ in units])
    labels = np.repeat(truth[None], settings.n_permutations + 1, axis=0)
    strata = {
        times: np.array([k for k, own in enumerate(times_of) if own == times])
        for times in dict.fromkeys(times_of)
    }
    for members in strata.values():
        labels[:, members] = _permute(truth[members], settings, rng)
    columns, possible = {}, {}
    for time, both in pair.samples.items():
        here = [k for k, own in enumerate(times_of) if time in own]
        samples = [both[units[k][0]][units[k][1]] for k in here]
        between = _mean_between(samples, both, points, settings, rng)
        columns[time] = split_distances(between, labels[:, here], self_pairs=True)
        sizes = [
            (len(own), int(truth[own].sum())) for times, own in strata.items() if time in times
        ]
        ways = prod(comb(n, k) for n, k in sizes)
        # Where both conditions have as many, a labelling and its opposite have one distance.
        possible[time] = (2 if all(n == 2 * k for n, k in sizes) else 1) / ways
    return columns, possible


def _mean_between(
    samples: list[np.ndarray],
    both: tuple[Samples, Samples],
    points: np.ndarray,
    settings: PopulationSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the mean distance between cells of two replicates; of different cells within one."""
    most = max(settings.max_cells // max(map(len, both)), 2)
    drawn = [_draw(rows, most, rng) for rows in samples]
    sizes = np.array(list(map(len, drawn)))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = settings.between(points[np.concatenate(drawn)])
    sums = np.add.reduceat(np.add.reduceat(sums, starts, axis=0), starts, axis=1)
    pairs = np.outer(sizes, sizes)
    np.fill_diagonal(pairs, sizes * (sizes - 1))
    return sums / pairs


def _permute(
    truth: np.ndarray, settings: PopulationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return the true labels and permutations of them, shape (n_permutations + 1, n)."""
    permuted = rng.permuted(np.repeat(truth[None], settings.n_permutations, axis=0), axis=1)
    return np.concatenate([truth[None], permuted])


def _draw(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most some of the rows."""
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)


def _find_parting(times: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Return the last time without a significant distance, and the first from which all have one.

    Both are NaN if the last time has none, or a time has no p; the former if all times have one.
    """
    apart = p <= ALPHA
    if np.isnan(p).any() or not apart[-1]:
        return np.nan, np.nan
    first = int(np.flatnonzero(~apart)[-1]) + 1 if not apart.all() else 0
    return float(times[first - 1]) if first else np.nan, float(times[first])


def describe_populations(table: pd.DataFrame) -> list[str]:
    """Say in a sentence for each condition when it differs from the reference."""
    unit = str(table["unit"].iloc[0]) if "unit" in table else ""
    return [_describe(part, unit) for _, part in table.groupby("condition", sort=False)]


def _describe(table: pd.DataFrame, unit: str) -> str:
    """Say in a sentence when a condition differs from the reference."""
    row = table.iloc[0]
    pair = f"{row['condition']} and {row['reference']}"
    apart = table["time"][table["p"] <= ALPHA].tolist()
    if np.isfinite(row["parted_by"]):
        since = f"{pair} differ from {name_time(row['parted_by'], unit)} on"
        if np.isnan(row["parted_after"]):
            return f"{since}, the first time compared"
        return f"{since}, and not yet at {name_time(row['parted_after'], unit)}"
    if apart:
        return f"{pair} differ at {name_times(apart, unit)}, and not at all times after"
    if table["p"].isna().all():
        return f"{pair}: distances are given without p"
    return f"{pair}: no difference found (smallest p {table['p'].min():.2g})"
