"""A training step of TorchCFM's notebook over ours, 256 pairs an interval.

Days of CITE-seq; ours has the recipe `default` with batches of 768 pairs, whose net is twice as
wide, and averages its weights.

CELLFLOW_DATA=/folder/of/data OMP_NUM_THREADS=1 python -m tests.benchmarks.torchcfm_step
"""

import argparse
from functools import partial

import torch

import cellflow as cf
from cellflow.marginals import Marginals, Population
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import Fit, Trainer
from cellflow.training.time_course import course_coupling
from tests.benchmarks.equal_w1 import _trained
from tests.benchmarks.paired import cite, header, ratios, row

STEPS, REPEATS, BATCH = 50, 5, 3 * 256

#: Ways to pairs; `blockwise` draws them from plans of all cells, whose set-up is not timed.
METHODS = {
    "assignment of 256": cf.method("ot-cfm"),
    "plans of blocks": cf.method("ot-cfm", coupling="blockwise", block_size=1000),
    "independent": cf.method("i-cfm"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dims", type=int, nargs="+", default=[5, 50])
    torch.set_num_threads(1)
    header()
    for dims in parser.parse_args().dims:
        cells = [torch.from_numpy(x).float() for x in cite(dims, whiten=dims == 5).values()]
        times = torch.arange(float(len(cells)))
        theirs = partial(_trained, cells, times, STEPS, 0)
        for name, method in METHODS.items():
            measured = ratios(theirs, _training(method, cells), REPEATS)
            row(f"{name}, {dims}-D", "5", measured)


def _training(method, cells):
    generator, dim = torch.Generator().manual_seed(0), cells[0].shape[1]
    recipe = cf.recipe("default", n_steps=STEPS, batch_size=BATCH)
    net = Fields.make(("velocity",), (dim,), **recipe.net.numbers, generator=generator)
    net.standardise(*cells)
    populations = tuple(map(Population.of, cells))
    marginals = Marginals(tuple(map(float, range(len(cells)))), populations)
    fit = Fit(marginals, method, recipe, *net.units, generator)
    coupling, objective = course_coupling(fit), VelocityRegression(StraightPath(fit.sigma))
    return lambda: Trainer(net, coupling, objective, recipe, generator).run()


if __name__ == "__main__":
    main()
