"""A small training in parts, so that a test varies one of them and keeps the others."""

import os
from dataclasses import dataclass, field

import torch

from cellflow import recipe
from cellflow.couplings import (
    IndependentCoupling,
    MinibatchCoupling,
    MixtureCoupling,
)
from cellflow.marginals import Gaussian, Population
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import EarlyStopping, Trainer
from tests.seeds import seeded

#: Where whole fits are tested: `CELLFLOW_TEST_DEVICE=cuda make test` runs them on a GPU.
DEVICE = torch.device(os.environ.get("CELLFLOW_TEST_DEVICE", "cpu"))

#: Kinds of nets, by what is special of them.
NETS = ("mlp", "dropout", "channels-last")


def points(seed, n=30, dim=4, dtype=torch.float32):
    return Population.of(torch.randn((n, dim), generator=seeded(seed), dtype=dtype))


def net(kind="mlp", dim=4):
    """A net of a few hundred weights, always the same ones."""
    if kind == "mlp":
        return Fields.make(("velocity",), (dim,), width=8, depth=2, generator=seeded(0))
    dropout = 0.3 if kind == "dropout" else 0.0
    unet = Fields.make(
        ("velocity",), (1, 2, 2), kind="unet", channels=4, multipliers=(1,), blocks=1,
        attention=(), dropout=dropout, generator=seeded(0),
    )  # fmt: skip
    generator = seeded(1)
    for weights in unet.parameters():
        # Layers that start from zero would hide what comes before them.
        if not weights.any():
            torch.nn.init.normal_(weights, std=0.3, generator=generator)
    return unet.to(memory_format=torch.channels_last) if kind == "channels-last" else unet


def minibatches(seed=0, batch_size=13, dtype=torch.float32):
    """Transport between batches whose size is not a multiple of a step's, so pairs are left."""
    ends = (points(seed + k, dtype=dtype) for k in range(2))
    return MinibatchCoupling(*ends, batch_size=batch_size)


def couplings():
    """One of each kind that keeps pairs between two draws in a way of its own, and one of none."""
    return {
        "independent": IndependentCoupling(Gaussian(torch.zeros(1, 4)), points(1)),
        "minibatch": minibatches(),
        "mixture": MixtureCoupling([minibatches(0), minibatches(2, 11)], [1.0, 2.0]),
        "nested": MixtureCoupling([MixtureCoupling([minibatches(0)]), minibatches(2, 11)]),
    }


@dataclass
class Plain:
    """(v(0, x0) - (x1 - x0))^2, which needs no randomness; remembers pairs and the net's mode."""

    pairs: list = field(default_factory=list)
    modes: list = field(default_factory=list)

    def loss(self, net, pairs, generator):
        self.pairs.append(pairs)
        self.modes.append(net.training)
        return (net.velocity(pairs.t0, pairs.x0) - (pairs.x1 - pairs.x0)).square().mean()


def regression():
    """The usual objective, which draws times and noise."""
    return VelocityRegression(StraightPath(0.1))


def settings(**changes):
    numbers = {"n_steps": 17, "batch_size": 8, "standardise": False, "learning_rate": 1e-2}
    return recipe("default", **{**numbers, **changes})


@dataclass
class Outcome:
    """The net that a training gives and its history."""

    net: torch.nn.Module
    history: dict


def trained(
    each=None, coupling=None, objective=None, *, seed=1, unseen=None, callbacks=(),
    checkpoint=None, **changes,
):  # fmt: skip
    """Train; the net that was trained, and what training gives."""
    each = net() if each is None else each
    recipe, generator = settings(**changes), seeded(seed)
    if unseen is not None:
        callbacks = [EarlyStopping(unseen, generator.device, recipe.patience), *callbacks]
    trainer = Trainer(
        each,
        minibatches() if coupling is None else coupling,
        regression() if objective is None else objective,
        recipe,
        generator,
        callbacks=callbacks,
        checkpoint=checkpoint,
    )
    return each, Outcome(trainer.run(), trainer.history)


def equal(a, b):
    """Whether two nets have the same weights, to the bit."""
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def same_pairs(a, b):
    """Whether two batches are the same, column for column and to the bit."""
    a, b = a.columns(), b.columns()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
