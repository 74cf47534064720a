"""CPU time until a held-out day of CITE-seq is predicted as well as by TorchCFM.

The notebook's recipe (single-cell example of torchcfm): OT-CFM with sigma 0.1 and 256 cells of each
pair of consecutive kept days a step, its MLP of 3 layers of 64 units, Adam at 1e-4, 10,000 steps,
cells of the day before by 100 Euler steps. The number of steps of ours is chosen without the
held-out day: the smallest of 100, 200, ... 3,200 whose W1 on the other inner day, with both days
left out of the fit, is within 1 % of the least. Then both are fitted with each seed. The ratio is
of the CPU time of the training alone, with our set-up of couplings and clock. Both are scored by
protocol `paper`, 2,000 cells a side; ours has reached the goal if neither W1 nor energy distance is
higher.

A step of TorchCFM takes as long with any net, so 300 steps are timed for all of them. The
net that is scored is trained with our assignment in place of the package's solver: an exact plan of
a batch is a permutation, from which pairs are drawn with replacement, as the package does.

CELLFLOW_DATA=/folder/of/data OMP_NUM_THREADS=1 python -m tests.benchmarks.equal_w1
"""

import argparse
import os
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time

import anndata
import numpy as np
import ot
import torch

import cellflow as cf
from cellflow._random import torch_generator
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.external import _global_seed
from cellflow.evaluation.held_out import make_held_out
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.named_methods import name_methods
from cellflow.evaluation.predict import fit_fold, predict_fold
from cellflow.metrics.distances import energy_distance, wasserstein
from cellflow.training.devices import cpu_threads
from cellflow.transport import assign
from tests.benchmarks.paired import header, row

CPU = torch.device("cpu")
STEPS = (100, 200, 400, 800, 1600, 3200)

#: Steps of TorchCFM that are timed.
TIMED = 300

#: Methods of ours, with the recipe `default` but for its steps.
OURS = {
    "ot-cfm": {},
    "default": {"method": "default", "time_axis": "learned"},
    "default, one block of 1,000": {
        "method": "default", "time_axis": "learned", "block_size": 1000, "max_blocks": 1
    },
}  # fmt: skip

#: Inner W1 above the least by this factor counts as equal.
EQUAL = 1.01


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dims", type=int, nargs="+", default=[5, 50])
    parser.add_argument("--days", type=float, nargs="+", default=[3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--torchcfm-steps", type=int, default=10_000)
    parser.add_argument("--methods", nargs="+", default=list(OURS), choices=list(OURS))
    asked = parser.parse_args()
    found = {}
    for dims in asked.dims:
        evaluation = make_evaluation(dims)
        for day in asked.days:
            fold = evaluation.make_fold(HeldOutPart(day))
            steps = {name: _choose_steps(evaluation, day, name) for name in asked.methods}
            print(f"{dims}-D, day {day:g}, steps {steps}", flush=True)
            for seed in asked.seeds:
                seconds, *goal = fit_torchcfm(evaluation, fold, asked.torchcfm_steps, seed)
                print(f"  seed {seed}, TorchCFM: {seconds:.1f} s, {_said(goal)}", flush=True)
                for name, n_steps in steps.items():
                    own, *reached = fit_ours(evaluation, fold, name, n_steps, seed)
                    equal = all(a <= b for a, b in zip(reached, goal, strict=True))
                    print(f"  {name}: {own:.1f} s, {_said(reached)}, reached: {equal}", flush=True)
                    found.setdefault((dims, day, name), []).append((seconds / own, equal))
    header()
    for (dims, day, name), each in found.items():
        n_reached = sum(equal for _, equal in each)
        what = f"{name}, {dims}-D, day {day:g}, reached with {n_reached} of {len(each)} seeds"
        row(what, "10", [ratio for ratio, _ in each])


def make_evaluation(dims, cells=None, folder=None):
    """The cells, by default those of CITE-seq, and how they are scored."""
    folder = folder or os.environ.get("CELLFLOW_DATA")
    if cells is None and not folder:
        sys.exit("CELLFLOW_DATA names no folder of larger data sets")
    settings = {
        "time_key": "time", "use_rep": "X_pca", "n_dims": dims, "whiten": dims == 5,
        "protocol": "paper", "max_cells": 2000,
    }  # fmt: skip
    if cells is None:
        cells = anndata.read_h5ad(Path(folder) / "cite_pca100.h5ad")
    return Evaluation(cells, make_held_out(settings))


def _choose_steps(evaluation, day, name):
    """Return the smallest number of steps with the least W1 on the other inner day."""
    (inner,) = set(evaluation.find_times()) - {day}
    fold, found = evaluation.make_fold(HeldOutPart(inner), without={day}), {}
    for n_steps in STEPS:
        _, found[n_steps], _ = fit_ours(evaluation, fold, name, n_steps, 0)
    return min(n for n, w1 in found.items() if w1 <= EQUAL * min(found.values()))


def fit_ours(evaluation, fold, name, n_steps, seed, device=CPU):
    """Seconds of a training of ours, and its W1 and energy distance."""
    entry = {"method": "ot-cfm", "n_steps": n_steps, **OURS[name], "name": name}
    (method,) = name_methods([entry], cf.recipe("default"))
    start = _now(device)
    flow = fit_fold(evaluation, fold, method, seed=seed, device=device, progress=False)
    seconds = _now(device) - start
    moved = predict_fold(flow, fold, evaluation.protocol, torch_generator(seed))
    return seconds, *_scores(fold, moved.points, moved.weights)


def fit_torchcfm(evaluation, fold, n_steps, seed, device=CPU):
    """Seconds of the notebook's training, and its W1 and energy distance."""
    cells = [fold.cells_at(time).x.to(device) for time in fold.training_times]
    times = torch.tensor([evaluation.baseline_axis.to_flow(time) for time in fold.training_times])
    if device.type == "cuda":
        # The first kernels are loaded before the clock starts.
        _trained(cells, times, 10, seed)
    start = _now(device)
    _trained(cells, times, TIMED, seed)
    seconds = (_now(device) - start) * n_steps / TIMED
    _check(*(side[:256] for side in cells[:2]))
    net = _trained(cells, times, n_steps, seed, _sampled)
    x = fold.cells_at(fold.before).x.to(device)
    t, stop = (
        evaluation.baseline_axis.to_flow(fold.before),
        evaluation.baseline_axis.to_flow(fold.time),
    )
    step = (stop - t) / 100
    with torch.no_grad():
        for k in range(100):
            x = x + step * net(torch.cat([x, torch.full_like(x[:, :1], t + k * step)], dim=1))
    return seconds, *_scores(fold, x.double().cpu().numpy())


def _now(device):
    """CPU time, which other work does not lengthen; on a GPU the time, once it is idle."""
    if device.type != "cuda":
        return process_time()
    torch.cuda.synchronize(device)
    return perf_counter()


def _sampled(x, y, replace=True):
    """What the package's `sample_plan` draws: the exact plan of a batch is a permutation."""
    rows = torch.randint(len(x), (len(x),))
    columns = torch.as_tensor(assign((torch.cdist(x, y) ** 2).cpu().numpy()))
    return x[rows], y[columns[rows]]


def _check(x, y):
    """The assignment costs what the package's plan costs."""
    cost = (torch.cdist(x, y) ** 2).cpu().numpy()
    equal = np.full(len(x), 1 / len(x))
    theirs, ours = (ot.emd(equal, equal, cost) * cost).sum(), cost[np.arange(len(x)), assign(cost)]
    assert np.isclose(theirs, ours.mean(), rtol=1e-6), (theirs, ours.mean())


def _trained(cells, times, n_steps, seed, sampler=None):
    with _global_seed(seed), cpu_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _notebook(cells, times, n_steps, sampler)


def _notebook(cells, times, n_steps, sampler):
    from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
    from torchcfm.models import MLP

    matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.1)
    if sampler is not None:
        matcher.ot_sampler.sample_plan = sampler
    net = MLP(dim=cells[0].shape[1], w=64, time_varying=True).to(cells[0].device)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)
    for _ in range(n_steps):
        rows, targets = [], []
        for (one, other), (begin, end) in zip(pairwise(cells), pairwise(times), strict=True):
            pair = (side[torch.randint(len(side), (256,))] for side in (one, other))
            t, x, u = matcher.sample_location_and_conditional_flow(*pair)
            rows.append(torch.cat([x, (begin + (end - begin) * t)[:, None]], dim=1))
            targets.append(u / (end - begin))
        loss = (net(torch.cat(rows)) - torch.cat(targets)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def _scores(fold, points, weights=None):
    cloud, real = fold.to_cloud(points, weights), fold.cloud_at(fold.time)
    return wasserstein(cloud, real), energy_distance(cloud, real)


def _said(scores):
    return "W1 {:.3f}, energy {:.3f}".format(*scores)


if __name__ == "__main__":
    main()
