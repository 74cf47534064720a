"""Measure what a batch of semidiscrete pairs costs beside a training step.

    python scripts/measure_semidiscrete.py --n 50000 --shape 3 32 32 --batch-size 128 \
        --config cifar10-hour [--cost-dim 500] [--device cuda] [--repeats 20]

Images are random bytes and potentials all zero: neither changes the time of a look-up. A step is
forward, backward and optimiser of the config's net, without the coupling. Also reported are the
time of a step of the ascent without entropy (1,024 points through all atoms), that of the 35 N
points to chi-squared 0.05, of which the first take longer, and the memory.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch

import cellflow as cf
from cellflow.couplings import IndependentCoupling, Potentials, SemidiscreteCoupling
from cellflow.images import ImageSet
from cellflow.images.space import space_for
from cellflow.marginals import Gaussian
from cellflow.nets import Fields
from cellflow.objectives import VelocityRegression
from cellflow.paths import StraightPath
from cellflow.training import resolve_device

#: Points of a step of the ascent, and points an atom that it takes in all.
_POINTS, _AN_ATOM = 1024, 35


def main() -> None:
    """Print the times of one setting, in milliseconds."""
    given = arguments()
    device = resolve_device(given.device)
    generator = torch.Generator(device=device).manual_seed(0)
    shape = tuple(given.shape)
    pixels = np.random.default_rng(0).integers(
        0, 256, (given.n, *shape[1:], shape[0]), dtype=np.uint8
    )
    images = ImageSet(pixels)
    target = space_for(images, None, None, conditional=False).population(images, flips=False)
    noise = Gaussian(torch.zeros(1, target.dim, device=device))
    potentials = Potentials.of(target, cost_dim=given.cost_dim, device=device)
    coupling = SemidiscreteCoupling(noise, target, (0.0, 1.0), potentials)
    size, repeats = given.batch_size, given.repeats
    pair = measure_seconds(lambda: coupling.sample(size, generator), repeats, device)
    chance = IndependentCoupling(noise, target)
    apart = measure_seconds(lambda: chance.sample(size, generator), repeats, device)
    step = measure_seconds(
        make_step(given.config, images, coupling, size, generator), repeats, device
    )
    climb = measure_seconds(
        lambda: potentials.marginal(noise.sample(_POINTS, generator).x), 3, device
    )
    dims = potentials.atoms.shape[1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"N {given.n:,}, d {target.dim:,}, costs on {dims:,}, batch {size}, {device}")
    print(f"  pairs of a batch   {1e3 * pair:10.2f} ms")
    print(f"  independent        {1e3 * apart:10.2f} ms")
    print(f"  step of the net    {1e3 * step:10.2f} ms  ({given.config})")
    print(f"  pairing / step     {pair / step:10.3f}")
    print(f"  step of the ascent {1e3 * climb:10.2f} ms")
    steps = _AN_ATOM * given.n / _POINTS
    print(f"  {_AN_ATOM} points an atom  {steps * climb / 60:10.2f} min ({steps:,.0f} steps)")
    print(f"  peak memory        {memory:10.2f} GiB on the host")
    if device.type == "cuda":
        print(
            f"                     {torch.cuda.max_memory_allocated() / 2**30:10.2f} GiB on the GPU"
        )


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--shape", type=int, nargs=3, default=[1, 28, 28])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--config", default="mnist")
    parser.add_argument("--cost-dim", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def make_step(
    config: str,
    images: ImageSet,
    coupling: SemidiscreteCoupling,
    size: int,
    generator: torch.Generator,
) -> Callable[[], object]:
    """Return a training step of the config's net, always on the same pairs."""
    recipe = cf.images.config_of(config, images.shape).recipe
    fields = Fields.make(
        ("velocity",),
        images.shape,
        kind=recipe.net.kind,
        **recipe.net.numbers,
        generator=torch.Generator().manual_seed(0),
    ).to(generator.device)
    objective = VelocityRegression(StraightPath(0.0))
    optimiser = torch.optim.AdamW(fields.parameters(), lr=1e-4)
    pairs = coupling.sample(size, generator)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(generator.device.type, torch.bfloat16, recipe.precision == "bf16"):
            loss = objective.loss(fields, pairs, generator)
        loss.backward()
        optimiser.step()

    return step


def measure_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Return the median of seconds, after a run that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        start = perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(perf_counter() - start)
    return float(np.median(seconds[1:]))


if __name__ == "__main__":
    main()
