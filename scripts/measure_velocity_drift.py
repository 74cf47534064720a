"""Measure what RNA velocity as reference drift would do to couplings, on simulated intervals.

    python scripts/measure_velocity_drift.py

Cells are assigned at the cost |y - (x + s v)|^2 instead of |y - x|^2. `ring`: five clusters that
turn by 50 degrees, so transport takes them back by 22; `cross`: two lineages that pass each other;
`apart`: four lineages side by side, which transport couples rightly. Velocities have a given cosine
with the true ones, and random directions beside; they are averaged over the 30 nearest cells. Their
scale s is given (the true displacement over the length that is left after averaging, if the cosine
is positive), or chosen from nine to minimise the transport cost. Prints the share of cells that are
assigned to their own lineage, means of three seeds, and by how much the chosen scale lowers the
cost, also with velocities shuffled over cells.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from cellflow.transport import assign

#: Scales to choose from, relative to the transport distance over the velocities' size.
SCALES = (0.0, 0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 2.83, 4.0)
N, N_NEIGHBORS, SEEDS = 300, 30, 3
COSINES = (1.0, 0.5, 0.3, 0.1, 0.0, -0.3)

#: Cells before and after, their lineages, and true displacements of the former.
Interval = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ring(rng: np.random.Generator, dims: int) -> Interval:
    """Return five clusters on a circle that turns."""
    lineage, turn = np.repeat(np.arange(5), N // 5), np.deg2rad(50)
    sides = []
    for shift in (0.0, turn):
        angle = 2 * np.pi / 5 * lineage + shift + rng.normal(scale=0.12, size=N)
        points = rng.normal(scale=0.15, size=(N, dims))
        points[:, :2] += np.stack([np.cos(angle), np.sin(angle)], axis=1)
        sides.append((points, angle))
    (x, angle), (y, _) = sides
    moves = np.zeros((N, dims))
    moves[:, :2] = turn * np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    return x, y, lineage, moves


def cross(rng: np.random.Generator, dims: int) -> Interval:
    """Return two lineages that change sides."""
    lineage = np.repeat([-1, 1], N // 2)
    x, y = rng.normal(scale=0.4, size=(2, N, dims))
    x[:, 2] += 0.4 * lineage
    y[:, 2] += 0.4 * lineage
    moves = np.zeros((N, dims))
    moves[:, 0], moves[:, 1] = -1.6 * lineage, 1.0
    x[:, 0] += 0.8 * lineage
    y[:, 0] -= 0.8 * lineage
    y[:, 1] += 1.0
    return x, y, lineage, moves


def apart(rng: np.random.Generator, dims: int) -> Interval:
    """Return four lineages that move side by side."""
    lineage = np.repeat(np.arange(4), N // 4)
    x, y = rng.normal(scale=0.4, size=(2, N, dims))
    for points in (x, y):
        points[:, 0] += 1.6 * lineage
    moves = np.zeros((N, dims))
    moves[:, 1] = 1.5
    y[:, 1] += 1.5
    return x, y, lineage, moves


def disturb(moves: np.ndarray, cosine: float, rng: np.random.Generator) -> np.ndarray:
    """Return vectors as long that have a cosine with these, and random directions beside."""
    length = np.linalg.norm(moves, axis=1, keepdims=True)
    unit, other = moves / length, rng.normal(size=moves.shape)
    other -= (other * unit).sum(axis=1, keepdims=True) * unit
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return length * (cosine * unit + (1 - cosine**2) ** 0.5 * other)


def smooth(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return means over the nearest cells."""
    near = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(x).kneighbors(x, return_distance=False)
    return v[near].mean(axis=1)


def couple(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the exact assignment and its mean cost."""
    cost = cdist(x, y, "sqeuclidean")
    partner = assign(cost)
    return partner, float(cost[np.arange(len(x)), partner].mean())


def choose(x: np.ndarray, y: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the assignment at the scale of least cost, and the share of the cost that it saves."""
    _, plain = couple(x, y)
    unit = (plain / np.square(v).sum(axis=1).mean()) ** 0.5
    partner, cost = min((couple(x + unit * s * v, y) for s in SCALES), key=lambda each: each[1])
    return partner, 1 - cost / plain


def main() -> None:
    """Print a table."""
    rows = []
    for make in (ring, cross, apart):
        for dims, cosine, seed in ((d, c, s) for d in (5, 15) for c in COSINES
                                   for s in range(SEEDS)):  # fmt: skip
            rng = np.random.default_rng(seed)
            x, y, lineage, moves = make(rng, dims)
            given = disturb(moves, cosine, rng)
            v, shuffled = smooth(x, given), smooth(x, rng.permutation(given))
            true_scale = 1 / cosine if cosine > 0 else 1.0
            raw, _ = choose(x, y, given)
            chosen, gain = choose(x, y, v)
            answers = {
                "no velocity": couple(x, y)[0],
                "scale given": couple(x + true_scale * v, y)[0],
                "scale chosen": chosen,
                "chosen, not averaged": raw,
            }
            row = {name: (lineage[each] == lineage).mean() for name, each in answers.items()}
            gains = {"gain": gain, "gain, shuffled": choose(x, y, shuffled)[1]}
            rows.append({"interval": make.__name__, "dims": dims, "cosine": cosine, **row, **gains})
    means = pd.DataFrame(rows).groupby(["interval", "dims", "cosine"], sort=False).mean()
    print(means.round(2).to_string())


if __name__ == "__main__":
    main()
