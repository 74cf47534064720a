"""Semidiscrete transport: the potentials of all atoms are found once, then pairs are looked up."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import torch
from tqdm.auto import tqdm

from cellflow._batch import FiniteMarginal, Interval, Marginal, Pairs
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Rows
from cellflow.couplings.potentials import Atoms, Features, Potentials
from cellflow.transport import Plan

#: Strength of the entropy where the source is finite, as a share of the standard deviation of the
#: costs (arXiv 2509.25519 compares 0, 0.01 and 0.1).
ENTROPY_SHARE = 0.01

#: Default factor of the steps, and the power of the points an atom at which they decay.
_RATE, _DECAY = 3.0, 0.6
#: Points an atom after which the entropy of the first steps has halved, and the share of a lead
#: below which it is none.
_HALVING, _NO_ENTROPY = 2.0, 0.1
#: Share of a point's mass below which an entry of a plan is left out.
_TINY_SHARE = 1e-4

#: Rows that moments and leads are estimated from.
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
        self.potentials.check_atoms(self.target.cells.seen, self.target.masses)

    def sample(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw `n` points of the source and look their partners up."""
        source = self.source.sample(n, generator)
        partners = self.potentials.draw(source.seen, generator)
        return Pairs.over(self.interval, source, self.target.at(partners))


def finite_plan(potentials: Potentials, source: FiniteMarginal) -> Plan:
    """Plan of a finite source by its potentials, so that pairs need no look-up in training.

    One pass over all points of the source, as many products as a few dozen batches take. Shares
    under 1e-4 of a point's mass are left out and the rest of its row scaled to its mass, so memory
    is that of the entries that matter.
    """
    potentials = potentials.to("cpu")
    x, masses = source.cells.seen.cpu(), source.masses.cpu()
    if potentials.epsilon == 0:
        rows = torch.arange(len(x))
        return Plan(rows.numpy(), potentials.assign(x).numpy(), masses.double().numpy())
    parts, start = [], 0
    for tile in potentials.tiles(x):
        for atoms, shares in potentials.shares(tile):
            row, column = torch.nonzero(shares > _TINY_SHARE, as_tuple=True)
            parts.append((row + start, column + atoms.start, shares[row, column].double()))
        start += len(tile)
    rows, columns, mass = (torch.cat(each) for each in zip(*parts, strict=True))
    order = torch.argsort(rows, stable=True)
    rows, columns, mass = rows[order], columns[order], mass[order]
    held = torch.zeros(len(x), dtype=mass.dtype).index_add_(0, rows, mass)
    return Plan(rows.numpy(), columns.numpy(), (mass / held[rows] * masses[rows]).numpy())


def fit_potentials(
    source: Marginal,
    atoms: Atoms,
    masses: Rows | None = None,
    *,
    generator: torch.Generator,
    epsilon: float | None = None,
    max_steps: int = 20_000,
    batch_size: int = 1024,
    learning_rate: float | None = None,
    threshold: float = 0.05,
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
        Law of the points; costs are taken on `Batch.seen`.
    atoms
        Points of the target, shape (N, f).
    masses
        Their masses, shape (N,), any positive scale; None for equal ones.
    generator
        Source of randomness, on the device of the atoms.
    epsilon
        Strength of the entropy, in the units of <x, y>, which is half that of squared distances.
        None takes 0 for a continuous source and, since no map can split the points of a finite
        one, 0.01 times the standard deviation of the costs there.
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
        else so many that its standard error is a sixth of the threshold.
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
    _check(atoms, masses, epsilon)
    rate = _RATE if learning_rate is None else learning_rate
    numbers = {"max_steps": max_steps, "batch_size": batch_size, "learning_rate": rate}
    numbers |= {"threshold": threshold, "check_every": check_every, "chunk": chunk}
    for name, value in numbers.items():
        check_positive(value, name)
    potentials = Potentials.of(atoms, masses, epsilon or 0.0, chunk)
    x = source.sample(_ROWS, generator).seen
    if x.shape[1] != atoms.shape[1]:
        raise InputError(
            f"costs need source and atoms in the same space, got {x.shape[1]} and "
            f"{atoms.shape[1]} dimensions"
        )
    spread = _cost_spread(potentials, x)
    if epsilon is None and isinstance(source, FiniteMarginal):
        potentials = replace(potentials, epsilon=ENTROPY_SHARE * spread)
    # The optimum where the atoms are the source, moved.
    shift = x.mean(dim=0) - potentials.origin
    potentials = replace(potentials, g=potentials.g - potentials.atoms @ shift)
    probe = _Probe.of(source, len(atoms), threshold, generator)
    ascent = _Ascent(potentials, spread, batch_size, rate)
    reached = probe.chi_squared(potentials)
    with tqdm(total=max_steps, disable=not progress, desc="potentials", unit="step") as bar:
        while not reached <= threshold and ascent.n_steps < max_steps:
            ascent.step(source.sample(batch_size, generator).seen)
            bar.update()
            if ascent.n_steps % check_every == 0 or ascent.n_steps == max_steps:
                potentials = ascent.average()
                reached = probe.chi_squared(potentials)
                bar.set_postfix(chi_squared=f"{reached:.3f}", refresh=False)
    if not reached <= threshold:
        _warn(source, potentials, reached, threshold)
    return replace(potentials, reached=reached, n_steps=ascent.n_steps)


class _Ascent:
    """The iterate, and the average of the last half to three quarters of them."""

    def __init__(self, start: Potentials, spread: float, batch_size: int, rate: float) -> None:
        self.iterate = start
        self.epsilon, self.spread = start.epsilon, spread
        self.rate = rate
        self.hits = batch_size / int((start.masses > 0).sum())
        self.lead = 0.0
        self.n_steps = 0
        self.window = 1
        self.older = self.newer = torch.zeros_like(start.g)

    def step(self, x: Features) -> None:
        """Move the potentials by one batch."""
        epsilon = self._entropy()
        iterate = replace(self.iterate, epsilon=epsilon)
        self.n_steps += 1
        if self.n_steps in {1, 2 * self.window}:
            self.lead = _lead(iterate, x[:_ROWS])
            self.older, self.newer = self.newer, torch.zeros_like(self.newer)
            self.window = self.n_steps
        eta = min(1.0, self.rate * self.hits * (1 + self.n_steps * self.hits) ** -_DECAY)
        b = iterate.masses
        excess = torch.where(b > 0, iterate.marginal(x) / b - 1, 0.0)
        self.iterate = replace(iterate, g=iterate.g - eta * (self.lead + epsilon) * excess)
        self.newer = self.newer + self.iterate.g

    def average(self) -> Potentials:
        """The potentials in the mean of this window of steps and the one before it."""
        g = (self.older + self.newer) / (self.n_steps - (self.window + 1) // 2 + 1)
        heavy = g.isfinite()
        level = self.iterate.masses[heavy] @ g[heavy]
        return replace(self.iterate, g=g - level, epsilon=self.epsilon)

    def _entropy(self) -> float:
        epsilon = self.spread * 0.5 ** (self.n_steps * min(self.hits, 1.0) / _HALVING)
        return epsilon if epsilon > max(self.epsilon, _NO_ENTROPY * self.lead) else self.epsilon


@dataclass(frozen=True)
class _Probe:
    """Points of the source that chi-squared is estimated from; with weights, all of its points."""

    points: Features
    weights: Rows | None = None

    @classmethod
    def of(
        cls, source: Marginal, n_atoms: int, threshold: float, generator: torch.Generator
    ) -> _Probe:
        # The standard error of chi-squared from n points is about sqrt(2 N) / n.
        n = int(min(max(6 * math.sqrt(2 * n_atoms) / threshold, _PROBED[0]), _PROBED[1]))
        if not isinstance(source, FiniteMarginal):
            return cls(source.sample(n, generator).seen)
        cells, masses = source.cells.seen, source.masses
        if len(cells) <= 4 * n:
            return cls(cells, masses)
        # What the source serves may be distinct points, from which chi-squared would be too low.
        return cls(cells[torch.multinomial(masses, n, replacement=True, generator=generator)])

    def chi_squared(self, potentials: Potentials) -> float:
        return potentials.chi_squared(self.points, self.weights)


def _check(atoms: Atoms, masses: Rows | None, epsilon: float | None) -> None:
    """Refuse atoms, masses and strengths that no problem can have."""
    if epsilon is not None and not 0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be 0 or positive, got {epsilon}")
    if not len(atoms) or not atoms.isfinite().all():
        raise InputError("atoms must be at least one, all with finite coordinates")
    if masses is None:
        return
    if masses.shape != (len(atoms),):
        raise InputError(f"{len(atoms)} atoms need as many masses, got shape {tuple(masses.shape)}")
    if not (masses.isfinite().all() and masses.min() >= 0 and masses.sum() > 0):
        raise InputError("masses must be finite, none negative and not all 0")


def _cost_spread(potentials: Potentials, x: Features) -> float:
    """Standard deviation of <x, y> beside what x or y alone add to it."""
    x = x - x.mean(dim=0)
    centre = potentials.masses @ potentials.atoms
    parts = [
        ((x @ (potentials.atoms[part] - centre).T).square() @ potentials.masses[part]).mean()
        for part in potentials.chunks()
    ]
    return math.sqrt(float(sum(parts)))


def _lead(potentials: Potentials, x: Features) -> float:
    """Mean lead of the highest score over the second, in the units of <x, y>."""
    leads = []
    for rows in potentials.tiles(x):
        top = rows.new_empty((len(rows), 0))
        for part in potentials.chunks():
            merged = torch.cat([top, potentials.scores(rows, part)], dim=1)
            top = merged.topk(min(2, merged.shape[1]), dim=1).values
        leads.append(top[:, 0] - top[:, -1])
    return float(torch.cat(leads).mean()) * (potentials.epsilon or 1.0)


def _warn(source: Marginal, potentials: Potentials, reached: float, threshold: float) -> None:
    advice = "raise max_steps"
    if potentials.epsilon == 0 and isinstance(source, FiniteMarginal):
        advice = (
            f"take epsilon over 0 (None chooses it): without entropy no point of the source is "
            f"split, and {len(source.masses)} of them cannot fill {len(potentials.g)} atoms evenly"
        )
    warnings.warn(
        f"semidiscrete potentials stopped at chi-squared {reached:.3g} from the masses of the "
        f"atoms, above {threshold:g}: {advice}",
        CellflowWarning,
        stacklevel=3,
    )
