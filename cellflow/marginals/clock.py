"""A clock that is read from the cells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cellflow._random import torch_generator
from cellflow.marginals.time_axis import TimeAxis
from cellflow.transport import distances, exact_plan

#: Cells of a time that are transported to read the clock, and the seed that they are drawn by: a
#: clock hangs on the data alone, so that fits of several seeds share it.
_SAMPLE, _SEED = 1000, 0


def fit_time_axis(
    kind: str,
    times: tuple[float, ...],
    x: Tensor,
    elapsed: np.ndarray,
) -> TimeAxis:
    """The clock of a course.

    Parameters
    ----------
    kind
        Of `TimeAxis`.
    times
        Elapsed times of the course, a held-out one included.
    x, elapsed
        The cells that may be seen, shape (n, d), and their times, shape (n,). A `learned` clock has
        their times alone, and the 2-Wasserstein distances between consecutive ones, of up to 1,000
        cells a time.
    """
    if kind != "learned":
        return TimeAxis(kind, times)
    seen = np.unique(elapsed)
    generator = torch_generator(_SEED)
    samples = [_sample(x[torch.as_tensor(elapsed == time)], generator) for time in seen]
    steps = [_w2(one, other) for one, other in pairwise(samples)]
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    return TimeAxis(kind, tuple(seen.tolist()), tuple(lengths.tolist()))


def _sample(x: Tensor, generator: torch.Generator) -> np.ndarray:
    drawn = torch.randperm(len(x), generator=generator)[:_SAMPLE]
    return x[drawn].double().cpu().numpy()


def _w2(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(max(exact_plan(distances(x, y) ** 2).cost, 0.0)))
