"""Stochastic ascent of the semidual, with averaged iterates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cellflow._batch import FiniteMarginal, Marginal
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._random import draw_seed, draw_weighted, torch_generator
from cellflow._typing import Rows
from cellflow.couplings.atoms import (
    Atoms,
    Features,
    iter_chunks,
    n_points,
    sample_chunks,
)
from cellflow.couplings.dual_potentials import Potentials

#: Strength of the entropy where the source is finite, as a share of the standard deviation of the
#: costs (arXiv 2509.25519 compares 0, 0.01 and 0.1).
ENTROPY_SHARE = 0.01

#: Chi-squared of what the atoms take from their masses that counts as converged: there, FID and
#: curvature stop to gain (arXiv 2509.25519).
THRESHOLD = 0.05

#: Fewest and most points that chi-squared is estimated from.
_PROBED = (4096, 65_536)

#: Default factor of the steps, and the power of the points an atom at which they decay.
RATE, _DECAY = 3.0, 0.6
#: Points an atom after which the entropy of the first steps has halved, and the share of a lead
#: below which it is none.
_HALVING, _NO_ENTROPY = 2.0, 0.1

#: Points that the lead is estimated from.
_ROWS = 1024


class DualAscent:
    """The iterate, and the average of the last half to three quarters of them."""

    def __init__(self, start: Potentials, spread: float, batch_size: int, rate: float) -> None:
        self.iterate = start
        self.epsilon, self.spread = start.epsilon, spread
        self.rate = rate
        self.visits_per_atom = batch_size / int((start.masses > 0).sum())
        self.margin = 0.0
        self.n_steps = 0
        self.window = 1
        self.older = self.newer = torch.zeros_like(start.g)

    def step(self, x: Features) -> None:
        """Move the potentials by one batch."""
        epsilon = self._entropy()
        iterate = replace(self.iterate, epsilon=epsilon)
        self.n_steps += 1
        if self.n_steps in {1, 2 * self.window}:
            self.margin = _mean_margin(iterate, x[:_ROWS])
            self.older, self.newer = self.newer, torch.zeros_like(self.newer)
            self.window = self.n_steps
        eta = min(
            1.0,
            self.rate * self.visits_per_atom * (1 + self.n_steps * self.visits_per_atom) ** -_DECAY,
        )
        b = iterate.masses
        excess = torch.where(b > 0, iterate.marginal(x) / b - 1, 0.0)
        self.iterate = replace(iterate, g=iterate.g - eta * (self.margin + epsilon) * excess)
        self.newer = self.newer + self.iterate.g

    def average(self) -> Potentials:
        """The potentials in the mean of this window of steps and the one before it."""
        g = (self.older + self.newer) / (self.n_steps - (self.window + 1) // 2 + 1)
        heavy = g.isfinite()
        level = self.iterate.masses[heavy] @ g[heavy]
        return replace(self.iterate, g=g - level, epsilon=self.epsilon)

    def _entropy(self) -> float:
        epsilon = self.spread * 0.5 ** (self.n_steps * min(self.visits_per_atom, 1.0) / _HALVING)
        return epsilon if epsilon > max(self.epsilon, _NO_ENTROPY * self.margin) else self.epsilon


def _mean_margin(potentials: Potentials, x: Features) -> float:
    """Mean lead of the highest score over the second, in the units of <x, y>."""
    leads = []
    for rows in potentials.tiles(x):
        top = rows.new_empty((len(rows), 0))
        for part in potentials.chunks():
            merged = torch.cat([top, potentials.scores(rows, part)], dim=1)
            top = merged.topk(min(2, merged.shape[1]), dim=1).values
        leads.append(top[:, 0] - top[:, -1])
    return float(torch.cat(leads).mean()) * (potentials.epsilon or 1.0)


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
    ascent = DualAscent(potentials, spread, batch_size, rate)
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
    if epsilon is None and isinstance(source, FiniteMarginal):
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
    if potentials.epsilon == 0 and isinstance(source, FiniteMarginal):
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
    if not isinstance(source, FiniteMarginal):
        seed = draw_seed(generator)
        return lambda potentials: potentials.chi_squared_over(
            sample_chunks(source, n, torch_generator(seed, device))
        )
    # A large source stays on the CPU; its points come where their rows are.
    masses = source.masses.to(device)
    if len(masses) <= 4 * n:
        everything = torch.arange(len(masses), device=device)
        return lambda potentials: potentials.chi_squared(
            source.take(everything).cost_features, masses
        )
    # What the source serves may be distinct points, from which chi-squared would be too low.
    rows = draw_weighted(masses, n, generator)
    return lambda potentials: potentials.chi_squared_over([source.take(rows).cost_features])


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        check_positive(value, name)


def _check(atoms: Atoms | FiniteMarginal, masses: Rows | None, epsilon: float | None) -> None:
    """Refuse atoms, masses and strengths that no problem can have."""
    if epsilon is not None and not 0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be 0 or positive, got {epsilon}")
    n = n_points(atoms)
    if not n or not all(block.isfinite().all() for block in iter_chunks(atoms)):
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
