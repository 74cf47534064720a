"""Exact W1 with its proof, against `ot.emd2(numItermax=10**7)` on the same cost matrix.

CELLFLOW_DATA=/folder/of/data python -m tests.benchmarks.exact_w1
"""

import numpy as np
import ot

from cellflow.transport import distances, exact_plan
from tests.benchmarks.paired import cite, header, ratios, row

#: Days of the two clouds, cells of each, dimensions, pairs of timings.
CASES = [
    (3, 4, 2000, 2000, 5, 5),
    (3, 4, 4000, 4000, 5, 3),
    (3, 4, 7643, 8485, 5, 3),
    (4, 7, 8000, 7195, 5, 3),
    (3, 4, 8000, 8000, 5, 3),
    (3, 4, 7643, 8485, 50, 3),
]


def main() -> None:
    header()
    for before, after, n, m, dims, repeats in CASES:
        cells = cite(dims, whiten=dims == 5)
        rng = np.random.default_rng(0)
        # Where a day has fewer cells than asked for, cells of the other days fill up.
        x, y = (_drawn(cells, day, size, rng) for day, size in ((before, n), (after, m)))
        cost, values = distances(x, y), []
        measured = ratios(
            lambda cost=cost, v=values: v.append(ot.emd2([], [], cost, numItermax=10**7)),
            lambda cost=cost, v=values: v.append(exact_plan(cost).cost),
            repeats,
        )
        assert np.ptp(values) < 1e-6, values
        row(f"days {before} and {after}, {n} x {m}, {dims}-D", "3", measured)


def _drawn(cells, day, size, rng):
    own, rest = cells[day], np.concatenate([cells[other] for other in cells if other != day])
    own = own[rng.permutation(len(own))[:size]]
    return np.concatenate([own, rest[rng.permutation(len(rest))[: size - len(own)]]])


if __name__ == "__main__":
    main()
