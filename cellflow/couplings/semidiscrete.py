"""Semidiscrete transport: the potentials of all atoms are found once, then pairs are looked up."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cellflow._batch import FiniteMarginal, Interval, Marginal, Pairs
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._typing import Rows
from cellflow.couplings.potentials import Atoms, Features, Potentials, Values

#: Steps are this many leads of the best atom over the second, times the number of points that an
#: atom takes of the batch; see `_Ascent`.
LEARNING_RATE = 3.0

#: Strength of the entropy where the source is finite, as a share of the standard deviation of the
#: costs (arXiv 2509.25519 compares 0, 0.01 and 0.1).
ENTROPY_SHARE = 0.01

_DECAY = 0.6
#: Shares of the Gaussian start that are tried.
_STARTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Rows that moments, starts and leads are estimated from.
_ROWS = 1024
#: Largest dimension whose covariances are diagonalised.
_SPECTRAL = 1024


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
        return Pairs.over(self.interval, source, self.target.cells[partners])


def fit_potentials(
    source: Marginal,
    atoms: Atoms,
    masses: Values | None = None,
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
    last half to three quarters of the steps, and restarts as they double. The start is optimal
    between Gaussians with the moments of source and atoms, shrunken towards 0 by what the
    semidual says. About 50 points an atom bring chi-squared to 0.05, where 20 are the least
    possible: N / n is its limit after n points whatever the steps are.

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
        else so many that its standard error is a quarter of the threshold.
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
    for value, what in (
        (max_steps, "max_steps"),
        (batch_size, "batch_size"),
        (threshold, "threshold"),
        (check_every, "check_every"),
        (chunk, "chunk"),
    ):
        check_positive(value, what)
    probe = _Probe.of(source, len(atoms), threshold, generator)
    potentials = _start(source, probe, atoms, masses, epsilon, chunk, generator)
    ascent = _Ascent(potentials, learning_rate or LEARNING_RATE, batch_size)
    reached = probe.chi_squared(potentials)
    with tqdm(total=max_steps, disable=not progress, desc="potentials", unit="step") as bar:
        while reached > threshold and ascent.n_steps < max_steps:
            ascent.step(source.sample(batch_size, generator).seen)
            bar.update()
            if ascent.n_steps % check_every == 0 or ascent.n_steps == max_steps:
                potentials = ascent.average()
                reached = probe.chi_squared(potentials)
                bar.set_postfix(chi_squared=f"{reached:.3f}", refresh=False)
    if not reached <= threshold:
        _warn(potentials, source, reached, threshold, ascent.n_steps)
    return replace(potentials, reached=reached, n_steps=ascent.n_steps)


class _Ascent:
    """Iterates, the response of the atoms, and the average of the last iterates."""

    def __init__(self, potentials: Potentials, rate: float, batch_size: int) -> None:
        self.current = potentials
        self.heavy = potentials.masses > 0
        self.rate = rate
        self.hits = batch_size / int(self.heavy.sum())
        self.response = 0.0
        self.n_steps = 0
        self.restart = 1
        self.older = self.newer = torch.zeros_like(potentials.g)

    def step(self, x: Features) -> None:
        """Move the potentials by one batch."""
        if self.n_steps in (0, 2 * self.restart):
            self.response = _lead(self.current, x[:_ROWS]) + self.current.epsilon
        if self.n_steps == 2 * self.restart:
            self.restart = self.n_steps
            self.older, self.newer = self.newer, torch.zeros_like(self.newer)
        self.n_steps += 1
        eta = min(1.0, self.rate * self.hits * (1 + self.n_steps * self.hits) ** -_DECAY)
        b = self.current.masses
        excess = self.current.marginal(x) / b - 1
        g = self.current.g - eta * self.response * excess.where(self.heavy, 0.0)
        self.current = replace(self.current, g=g)
        # The mean of this window so far; the one before it has half as many steps as came before.
        self.newer = self.newer + (g.where(self.heavy, 0.0) - self.newer) / (
            self.n_steps - self.restart + 1
        )
