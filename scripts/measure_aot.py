"""Measure the table of docs/aot.md: EDM and AOT on digits, by seed and sampler.

    python scripts/measure_aot.py FOLDER

Flows and rows that are in FOLDER already are kept, so a stopped run goes on. Ten minutes of one
CPU core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch

import cellflow as cf
from cellflow.couplings import MinibatchCoupling, euclidean
from cellflow.images.pixels import to_points
from cellflow.marginals import Gaussian, Population

SEEDS = (0, 1)
BY = ("edm-heun:4", "edm-heun:6", "edm-heun:6:30", "edm-heun:8", "edm-heun:8:30", "edm-heun:18",
      "edm-heun:14:90")  # fmt: skip


def main(folder: str) -> None:
    """Train and score each method with each seed, and print means over the seeds."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    train, test = (cf.images.read("digits", split=split) for split in ("train", "test"))
    tables = []
    for seed in SEEDS:
        for method in ("edm", "aot"):
            file = target / f"{method}-{seed}.json"
            if not file.exists():
                flow = trained(train, method, seed, target)
                table = cf.images.score_flow(flow, train, 1437, by=BY, test=test, rng=5)
                cf.images.write_table(table.assign(name=method, seed=seed), file)
            tables.append(cf.images.read_table(file))
    scores = pd.concat(tables)
    scores = scores[scores["n"] == scores["n"].max()]
    by = scores.groupby(["name", "by", "nfe"], sort=False)
    print(by[["frechet", "precision", "recall", "npe"]].agg(["mean", "std"]).to_string())
    for size in (1, 64, 512):
        print(f"mean distance of noise and image, batches of {size}: {matched(train, size):.3f}")


def trained(data: cf.images.ImageSet, method: str, seed: int, folder: Path) -> cf.Flow:
    """The flow of a method and a seed, trained unless it is there."""
    path = folder / f"{method}-{seed}"
    if not path.exists():
        flow = cf.images.train(data, config="aot-digits", method=method, rng=seed, progress=False)
        flow.save(path)
    return cf.Flow.load(path)


def matched(data: cf.images.ImageSet, size: int) -> float:
    """Mean distance of noise and the images that it is assigned to."""
    points = to_points(data.pixels)
    law = Gaussian(torch.zeros(1, points.shape[1]))
    coupling = MinibatchCoupling(law, Population.of(points), batch_size=size, cost=euclidean)
    pairs = coupling.sample(4096, torch.Generator().manual_seed(0))
    return float((pairs.x1 - pairs.x0).norm(dim=1).mean())


if __name__ == "__main__":
    main(*sys.argv[1:])
