"""Predictions by other packages, from the same arrays as those of cellflow.

TorchCFM (Tong et al. 2024, arXiv 2302.00482) as its single-cell runner has it, at commit cacd4dc of
github.com/atong01/conditional-flow-matching: a SELU net of 3 layers of 64 units, time first; AdamW;
at every step a batch of each time, its own matcher for each pair of consecutive training times, and
one of these intervals for every row. The measured cells of the time before are integrated by Euler
steps with the last weights. Network and loop are implemented here; pairs, paths and velocities are
computed by the package.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow._random import torch_generator
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.named_methods import ExternalMethod
from cellflow.flow import Prediction
from cellflow.marginals import TimeAxis
from cellflow.nets import MLP
from cellflow.training.devices import cpu_threads

#: The runner's numbers; its epochs are passes through the smallest of the times.
_BATCH, _EPOCHS, _TRAIN_SHARE, _SIGMA = 128, 300, 0.8, 0.1
_LEARNING_RATE, _WEIGHT_DECAY, _EULER_STEPS = 1e-3, 1e-5, 100

#: The runner is meant for thousands of cells per time; with a hundred, an epoch would be one step.
_MIN_STEPS = 5000

#: Seed of the draw of training cells, independent of the seed of the fit, as in the runner.
_SPLIT_SEED = 42


def check_installed(method: ExternalMethod) -> None:
    """Raise an error if the package of a method is not installed."""
    if find_spec("torchcfm") is None:
        raise InputError(
            f"method {method.kind!r} needs the package torchcfm: "
            'pip install "cellflow-snapshots[torchcfm]"'
        )


def predict_external(
    method: ExternalMethod, fold: Fold, axis: TimeAxis, seed: int, *, start: str = "previous"
) -> Prediction:
    """Train on the training cells, then integrate those of the time before, on one CPU thread.

    If `start` is `first`, the cells of the first time are integrated instead.
    """
    check_installed(method)
    ignored = [name for name in ("condition", "label", "clones") if name in fold.cells.columns()]
    if ignored:
        log_info(f"{method.kind} pairs cells without their {format_list(ignored)}")
    with _global_seed(seed), cpu_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = _train(method, fold, axis)
    origin = fold.first if start == "first" else fold.before
    x = fold.cells_at(origin).x
    begin, end = axis.to_flow(origin), axis.to_flow(fold.time)
    step = (end - begin) / _EULER_STEPS
    with torch.no_grad():
        for k in range(_EULER_STEPS):
            x = x + step * net(torch.full((len(x),), begin + k * step), x)
    points = x.double().numpy()
    return Prediction(points, np.full(len(x), 1 / len(x)), np.full(len(x), origin))


def count_steps(method: ExternalMethod, counts: list[int]) -> int:
    """Return the steps of 300 epochs for these numbers of cells per time, at least 5,000."""
    if method.n_steps is not None:
        return method.n_steps
    return max(_MIN_STEPS, _EPOCHS * (min(counts) // _BATCH))


def _train(method: ExternalMethod, fold: Fold, axis: TimeAxis) -> torch.nn.Module:
    cells = [_draw_training_share(fold.cells_at(time).x) for time in fold.training_times]
    times = torch.tensor([axis.to_flow(time) for time in fold.training_times], dtype=torch.float32)
    matcher = _make_matcher(method)
    net = MLP(cells[0].shape[1], width=64, depth=3, activation="selu", time_features=0)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    size = min(_BATCH, *map(len, cells))
    batches = [_iter_batches(each, size) for each in cells]
    for _ in range(count_steps(method, [len(each) for each in cells])):
        t, x, u = _draw_step(matcher, [next(each) for each in batches], times)
        loss = (net(t, x) - u).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def _draw_step(matcher: Any, batches: list[Tensor], times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Match every pair of consecutive times, and draw one interval for each row.

    Returns flow times, shape (n,), points and velocities, both of shape (n, d).
    """
    matched = [
        matcher.sample_location_and_conditional_flow(one, other) for one, other in pairwise(batches)
    ]
    t, x, u = (torch.stack(parts) for parts in zip(*matched, strict=True))
    rows = torch.arange(x.shape[1])
    which = torch.randint(len(matched), (len(rows),))
    length = times.diff()[which]
    time = times[which] + length * t[which, rows]
    return time, x[which, rows], u[which, rows] / length[:, None]


def _make_matcher(method: ExternalMethod) -> Any:
    from torchcfm.conditional_flow_matching import (
        ConditionalFlowMatcher,
        ExactOptimalTransportConditionalFlowMatcher,
    )

    kinds = {
        "torchcfm:ot-cfm": ExactOptimalTransportConditionalFlowMatcher,
        "torchcfm:i-cfm": ConditionalFlowMatcher,
    }
    return kinds[method.kind](sigma=_SIGMA)


def _draw_training_share(cells: Tensor) -> Tensor:
    order = torch.randperm(len(cells), generator=torch_generator(_SPLIT_SEED))
    return cells[order[: max(2, round(_TRAIN_SHARE * len(cells)))]]


def _iter_batches(cells: Tensor, size: int) -> Iterator[Tensor]:
    """Yield batches of one time without end, in a new order each pass, without incomplete ones."""
    while True:
        order = torch.randperm(len(cells))
        for k in range(len(cells) // size):
            yield cells[order[k * size : (k + 1) * size]]


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators, which the package draws from, and restore them."""
    before = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
