"""A training step by what its pairs come from, against the bare step of the net, and drawn ahead.

python -m tests.benchmarks.step
"""

import torch

import cellflow as cf
from cellflow.marginals import Marginals, Population
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import Fit, Trainer
from cellflow.training.time_course import course_coupling
from tests.benchmarks.paired import header, ratios, row

REPEATS = 3

#: Pairs a step, and steps of a timing.
BATCHES = {256: 100, 1024: 40, 4096: 20}

#: Ways to pairs whose cost is paid before the first step.
METHODS = {
    "whole-dataset plan": cf.method("ot-cfm", coupling="exact-full"),
    "semidiscrete potentials": cf.method("sd-fm"),
}


def main() -> None:
    torch.set_num_threads(1)
    header("step over the step with independent coupling, 5 dimensions")
    for batch in BATCHES:
        free = _training(cf.method("i-cfm"), batch)
        for name, method in METHODS.items():
            measured = ratios(_training(method, batch), free, REPEATS)
            row(f"{name}, batch {batch}", "1.15", measured)
    header("step of ours over forward, backward and optimiser of the same net")
    for batch in BATCHES:
        for name in ("i-cfm", "ot-cfm"):
            coupling = {"coupling": "exact-full"} if name == "ot-cfm" else {}
            ours = _training(cf.method(name, **coupling), batch)
            row(f"{name}, batch {batch}", "2", ratios(ours, _bare(batch), REPEATS))
    header("time that passes, over that with pairs drawn ahead by a second thread; two free cores")
    for batch in BATCHES:
        for name in ("i-cfm", "ot-cfm"):
            method = cf.method(name)
            own, ahead = (_training(method, batch, ahead=each) for each in (0, 4))
            row(f"{name}, batch {batch}", "1", ratios(own, ahead, REPEATS, wall=True))


def _training(method, batch, *, ahead=0):
    generator = torch.Generator().manual_seed(0)
    cells = [Population.of(torch.randn((1000, 5), generator=generator) + k) for k in range(3)]
    recipe = cf.recipe("default", n_steps=BATCHES[batch], batch_size=batch, ahead=ahead)
    net = Fields.make(("velocity",), (5,), **recipe.net.numbers, generator=generator)
    net.standardise(*(each.points for each in cells))
    marginals = Marginals((0.0, 1.0, 2.0), tuple(cells))
    fit = Fit(marginals, method, recipe, *net.units, generator)
    objective = VelocityRegression(StraightPath(fit.sigma))
    coupling = course_coupling(fit)
    return lambda: Trainer(net, coupling, objective, recipe, generator).run()


def _bare(batch):
    generator = torch.Generator().manual_seed(0)
    sizes = cf.recipe("default").net.numbers
    net = Fields.make(("velocity",), (5,), **sizes, generator=generator)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    t = torch.rand(batch, generator=generator)
    x, u = torch.randn((2, batch, 5), generator=generator)

    def steps():
        for _ in range(BATCHES[batch]):
            optimiser.zero_grad()
            (net.velocity(t, x) - u).square().mean().backward()
            optimiser.step()

    return steps


if __name__ == "__main__":
    main()
