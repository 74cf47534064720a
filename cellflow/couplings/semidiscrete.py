"""Semidiscrete transport: the potentials of all atoms are found once, then pairs are looked up."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cellflow._batch import FiniteMarginal, Interval, Marginal, Pairs
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._random import draw_seed, torch_generator
from cellflow._typing import Rows
from cellflow.couplings.ascent import RATE, Ascent
from cellflow.couplings.atoms import Atoms, Features, blocks, count, fresh, is_finite
from cellflow.couplings.potentials import Potentials
from cellflow.transport import Plan

#: Strength of the entropy where the source is finite, as a share of the standard deviation of the
#: costs (arXiv 2509.25519 compares 0, 0.01 and 0.1).
ENTROPY_SHARE = 0.01

#: Chi-squared of what the atoms take from their masses that counts as converged: there, FID and
#: curvature stop to gain (arXiv 2509.25519).
THRESHOLD = 0.05

#: Share of a point's mass below which an entry of a plan is left out.
_TINY_SHARE = 1e-4

#: Points that the moments of the source are estimated from.
_ROWS = 1024
#: Fewest and most points that chi-squared is estimated from.
_PROBED = (4096, 65_536)


@dataclass(frozen=True)
class SemidiscreteCoupling:
    """Transport of a source to all atoms of the target, SD-FM.

    Each pair costs one product of a source point with all atoms, and no transport problem is
    solved in training (Mousavi-Hosseini et al. 2025, arXiv 2509.25519).

    Attributes
    ----------
    source, target
        The two marginals; all points of the target are its atoms.
    interval
        Flow times of source and target.
    potentials
        Those of the target's points from this source, by `fit_potentials`.
    """

    source: Marginal
    target: FiniteMarginal
    interval: Interval
    potentials: Potentials

    def __post_init__(self) -> None:
        self.potentials.check_atoms(self.target, self.target.masses)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` points of the source and look their partners up."""
        source = self.source.sample(n, generator)
        partners = self.potentials.draw(source.cost_features, generator)
        return Pairs.over(self.interval, source, self.target.take(partners))


def finite_plan(potentials: Potentials, source: FiniteMarginal) -> Plan:
    """Plan of a finite source by its potentials, so that pairs need no look-up in training.

    One pass over all points of the source, as many products as a few dozen batches take. Shares
    under 1e-4 of a point's mass are left out and the rest of its row scaled to its mass, so memory
    is that of the entries that matter.
    """
    potentials, cpu = potentials.to("cpu"), torch.device("cpu")
    masses = source.masses.cpu()
    if potentials.epsilon == 0:
        taken = torch.cat([potentials.assign(x) for x in blocks(source, cpu)])
        return Plan(torch.arange(len(masses)).numpy(), taken.numpy(), masses.double().numpy())
    parts, start = [], 0
    for x in blocks(source, cpu):
        for tile in potentials.tiles(x):
            for atoms, shares in potentials.shares(tile):
                row, column = torch.nonzero(shares > _TINY_SHARE, as_tuple=True)
                parts.append((row + start, column + atoms.start, shares[row, column].double()))
            start += len(tile)
    rows, columns, mass = (torch.cat(each) for each in zip(*parts, strict=True))
    order = torch.argsort(rows, stable=True)
    rows, columns, mass = rows[order], columns[order], mass[order]
    held = torch.zeros(len(masses), dtype=mass.dtype).index_add_(0, rows, mass)
    return Plan(rows.numpy(), columns.numpy(), (mass / held[rows] * masses[rows]).numpy())


def fit_potentials(
    source: Marginal,
    atoms: Atoms | FiniteMarginal,
    masses: Rows | None = None,
    *,
    generator: torch.Generator,
    epsilon: float | None = None,
    cost_dim: int | None = None,
    max_steps: int = 20_000,
    batch_size: int = 1024,
    learning_rate: float | None = None,
    threshold: float = THRESHOLD,
    check_every: int = 50,
    chunk: int = 8192,
    progress: bool = False,
) -> Potentials:
    """Maximise the semidual by stochastic ascent with averaged iterates.

    Atom j moves by eta_k r (1 - m_j / b_j), m_j the mass that it takes of a fresh batch of n
    points. r, the mean lead of the best score over the second plus epsilon, is about the change
    of a potential that changes what its atom takes by as much as it takes, so the steps suit data
    of any scale and dimension. eta_k = min(1, a h (1 + k h)^-0.6), with a the `learning_rate` and
    h = n / N, falls with the points that an atom has seen on average, k h. The average is over the
    last half to three quarters of the steps. The entropy starts at the standard deviation of the
    costs and halves with every two points an atom until it is `epsilon`, so that distant parts
    of the data settle their masses first (Genans et al. 2025, NeurIPS, decrease it by a power).

    About 35 points an atom bring chi-squared to 0.05. No method can do with fewer than 20: after
    n points, N / n is the limit of an optimal average.

    Parameters
    ----------
    source
        Law of the points; costs are taken on `Batch.cost_features`.
    atoms
        Points of the target, shape (N, f); or the target itself, which is read in parts, so that
        its points are in memory as numbers once.
    masses
        Their masses, shape (N,), any positive scale; None for those of the target, or equal ones.
    generator
        Source of randomness, on the device of the atoms.
    epsilon
        Strength of the entropy, in the units of <x, y>, which is half that of squared distances.
        None takes 0 for a continuous source and, since no map can split the points of a finite
        one, 0.01 times the standard deviation of the costs there.
    cost_dim
        Take costs on this many principal components of the atoms; None on all coordinates.
    max_steps
        Steps after which to give up.
    batch_size
        Points a step.
    learning_rate
        Factor of the step; None for 3, which hardly ever needs a change.
    threshold
        Chi-squared of what the atoms take from their masses at which to stop.
    check_every
        Steps between two estimates of it, always from the same points: all of a finite source,
        else so many that its standard error is a sixth of the threshold, drawn again each time.
    chunk
        Atoms scored at a time; more memory than for this many a point is not taken.
    progress
        Show a progress bar.

    Returns
    -------
    The potentials; if they missed the threshold, with a `CellflowWarning`.

    Raises
    ------
    InputError
        For atoms, masses or numbers that no problem can have.
    """
    if masses is None and not isinstance(atoms, Tensor):
        masses = atoms.masses
    rate = RATE if learning_rate is None else learning_rate
    _check(atoms, masses, epsilon)
    _check_positive(
        max_steps=max_steps,
        batch_size=batch_size,
        learning_rate=rate,
        threshold=threshold,
        check_every=check_every,
        chunk=chunk,
        cost_dim=1 if cost_dim is None else cost_dim,
    )
    device, strength = generator.device, epsilon or 0.0
    blank = Potentials.of(atoms, masses, strength, chunk, cost_dim=cost_dim, device=device)
    potentials, spread = _begun(blank, source, epsilon, generator)
    chi_squared = _probe(source, len(potentials.g), threshold, generator)
    ascent = Ascent(potentials, spread, batch_size, rate)
    reached = chi_squared(potentials)
    with tqdm(total=max_steps, disable=not progress, desc="potentials", unit="step") as bar:
        while not reached <= threshold and ascent.n_steps < max_steps:
            ascent.step(source.sample(batch_size, generator).cost_features)
            bar.update()
            if ascent.n_steps % check_every == 0 or ascent.n_steps == max_steps:
                potentials = ascent.average()
                reached = chi_squared(potentials)
                bar.set_postfix(chi_squared=f"{reached:.3f}", refresh=False)
    potentials = replace(potentials, reached=reached, n_steps=ascent.n_steps)
    warn_unless_converged(potentials, source, threshold)
    return potentials


def _begun(
    blank: Potentials, source: Marginal, epsilon: float | None, generator: torch.Generator
) -> tuple[Potentials, float]:
    """Potentials before the first step, and the standard deviation of the costs."""
    x = source.sample(_ROWS, generator).cost_features
    if x.shape[1] != len(blank.origin):
        raise InputError(
            f"costs need source and atoms in the same space, got {x.shape[1]} and "
            f"{len(blank.origin)} dimensions"
        )
    x = blank.coordinates(x)
    spread = _cost_spread(blank, x)
    if epsilon is None and is_finite(source):
        blank = replace(blank, epsilon=ENTROPY_SHARE * spread)
    # The optimum where the atoms are the source, moved.
    return replace(blank, g=blank.g - blank.atoms @ x.mean(dim=0)), spread


def warn_unless_converged(
    potentials: Potentials, source: Marginal, threshold: float = THRESHOLD
) -> None:
    """Warn of potentials that missed the threshold, and say what to do."""
    if potentials.reached <= threshold:
        return
    advice = "raise max_steps (semidiscrete_steps of a method)"
    if potentials.epsilon == 0 and is_finite(source):
        advice = (
            f"take epsilon over 0 (None chooses it): without entropy no point of the source is "
            f"split, and {len(source.masses)} of them cannot fill {len(potentials.g)} atoms evenly"
        )
    warnings.warn(
        f"semidiscrete potentials stopped at chi-squared {potentials.reached:.3g} from the masses "
        f"of the atoms, above {threshold:g}: {advice}",
        CellflowWarning,
        stacklevel=3,
    )


def _probe(
    source: Marginal, n_atoms: int, threshold: float, generator: torch.Generator
) -> Callable[[Potentials], float]:
    """Chi-squared of potentials, always from the same points of the source."""
    # The standard error of chi-squared from n points is about sqrt(2 N) / n.
    n = int(min(max(6 * math.sqrt(2 * n_atoms) / threshold, _PROBED[0]), _PROBED[1]))
    device = generator.device
    if not is_finite(source):
        seed = draw_seed(generator)
        return lambda potentials: potentials.chi_squared_over(
            fresh(source, n, torch_generator(seed, device))
        )
    # A large source stays on the CPU; its points come where their rows are.
    masses = source.masses.to(device)
    if len(masses) <= 4 * n:
        everything = torch.arange(len(masses), device=device)
        return lambda potentials: potentials.chi_squared(
            source.take(everything).cost_features, masses
        )
    # What the source serves may be distinct points, from which chi-squared would be too low.
    rows = torch.multinomial(masses, n, replacement=True, generator=generator)
    return lambda potentials: potentials.chi_squared_over([source.take(rows).cost_features])


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        check_positive(value, name)


def _check(atoms: Atoms | FiniteMarginal, masses: Rows | None, epsilon: float | None) -> None:
    """Refuse atoms, masses and strengths that no problem can have."""
    if epsilon is not None and not 0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be 0 or positive, got {epsilon}")
    n = count(atoms)
    if not n or not all(block.isfinite().all() for block in blocks(atoms)):
        raise InputError("atoms must be at least one, all with finite coordinates")
    if masses is None:
        return
    if masses.shape != (n,):
        raise InputError(f"{n} atoms need as many masses, got shape {tuple(masses.shape)}")
    if not (masses.isfinite().all() and masses.min() >= 0 and masses.sum() > 0):
        raise InputError("masses must be finite, none negative and not all 0")


def _cost_spread(potentials: Potentials, x: Features) -> float:
    """Standard deviation of <x, y> beside what x or y alone add to it."""
    x = x - x.mean(dim=0)
    level = x @ (potentials.masses @ potentials.atoms)
    parts = [
        ((x @ potentials.atoms[part].T - level[:, None]).square() @ potentials.masses[part]).mean()
        for part in potentials.chunks()
    ]
    return math.sqrt(float(sum(parts)))
