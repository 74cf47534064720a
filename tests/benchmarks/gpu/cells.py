"""Fits of cells to equal W1 on the GPU: seconds of TorchCFM's notebook over ours.

As `tests.benchmarks.equal_w1`, day 3 in 5 dimensions, but in seconds of the wall clock, and with
the numbers of steps that were chosen there, without the held-out day.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
import torch
from anndata import AnnData

from cellflow.evaluation.held_out_parts import HeldOutPart
from tests.benchmarks import equal_w1
from tests.benchmarks.gpu.carried import has
from tests.benchmarks.gpu.results import Results, Row
from tests.benchmarks.gpu.settings import Settings

SEEDS = (0, 1, 2)

#: Steps of ours by method, see docs/benchmarks/performance.md.
STEPS = {"ot-cfm": 1600, "default, one block of 1,000": 800}

#: Steps of TorchCFM's notebook.
THEIRS = 10_000


def jobs(settings: Settings, results: Results) -> dict[str, Callable[[], Row]]:
    """Return the fits, seed by seed."""
    study = Study(settings)
    found: dict[str, Callable[[], Row]] = {}
    for seed in SEEDS[:1] if settings.rehearse else SEEDS:
        for name in STEPS:
            found[f"seed {seed}, {name}"] = partial(study.fit, name, seed)
        if has("torchcfm"):
            found[f"seed {seed}, TorchCFM"] = partial(study.fit_torchcfm, seed)
    return found


class Study:
    """Cells with a day held out."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = torch.device(settings.device)
        self.loaded: set[str] = set()

    @cached_property
    def evaluation(self) -> equal_w1.Evaluation:
        """The cells, as `equal_w1` scores them."""
        cells = _random_cells() if self.settings.rehearse else None
        return equal_w1.make_evaluation(5, cells, folder=self.settings.cells)

    def fit(self, name: str, seed: int) -> Row:
        """Fit ours."""
        steps = 2 if self.settings.rehearse else STEPS[name]
        fold = self.evaluation.make_fold(HeldOutPart(3.0))
        fit = partial(equal_w1.fit_ours, self.evaluation, fold, name)
        if self.device.type == "cuda" and name not in self.loaded:
            # The first kernels are loaded before the clock starts.
            fit(2, seed, self.device)
            self.loaded.add(name)
        found = fit(steps, seed, self.device)
        return {"name": name, "seed": seed, "n_steps": steps} | _row(found)

    def fit_torchcfm(self, seed: int) -> Row:
        """Fit theirs."""
        steps = 2 if self.settings.rehearse else THEIRS
        fold = self.evaluation.make_fold(HeldOutPart(3.0))
        found = equal_w1.fit_torchcfm(self.evaluation, fold, steps, seed, self.device)
        return {"name": "TorchCFM", "seed": seed, "n_steps": steps} | _row(found)


def _row(found: tuple[float, float, float]) -> Row:
    return dict(zip(("fit_seconds", "w1", "energy_distance"), found, strict=True))


def _random_cells() -> AnnData:
    days = np.repeat([2.0, 3.0, 4.0, 7.0], 300)
    points = np.random.default_rng(0).normal(size=(len(days), 5))
    points[:, 0] += days
    cells = AnnData(obsm={"X_pca": points}, obs={"time": days})
    cells.obs_names = [f"cell{k}" for k in range(len(days))]
    return cells
