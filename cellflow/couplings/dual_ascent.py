"""Fit of semidiscrete dual potentials: stochastic ascent of the semidual, averaged iterates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from cellflow._batch import FiniteMarginal, Marginal
from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import progress_bar
from cellflow._random import draw_seed, draw_weighted, torch_generator
from cellflow._typing import Rows
from cellflow.couplings.atoms import Atoms, Features, iter_chunks, n_points, sample_chunks
from cellflow.couplings.dual_potentials import Potentials

#: Default epsilon for a finite source, relative to the standard deviation of the costs (arXiv
#: 2509.25519 compares 0, 0.01 and 0.1).
ENTROPY_SHARE = 0.01

#: Chi-squared divergence at which potentials count as converged; below it FID and curvature stop
#: improving (arXiv 2509.25519).
THRESHOLD = 0.05

#: Default learning rate, and the power of the visits per atom with which the steps decay.
LEARNING_RATE, _DECAY = 3.0, 0.6

#: Visits per atom after which the initial entropy has halved.
_HALVING = 2.0

#: Share of the margin below which the initial entropy is dropped.
_MIN_ENTROPY_SHARE = 0.1

#: Source points that the spread of the costs and the margin of the scores are estimated from.
_N_ESTIMATE = 1024

#: Fewest and most source points that chi-squared is estimated from.
_N_CHECK = (4096, 65_536)


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
    learning_rate: float = LEARNING_RATE,
    threshold: float = THRESHOLD,
    check_every: int = 50,
    chunk: int = 8192,
    progress: bool = False,
) -> Potentials:
    """Maximise the semidual by stochastic ascent with averaged iterates.

    From a batch of n points with mass m_j assigned to atom j, g_j moves by eta_k r (1 - m_j / b_j).
    r, the mean margin of the best score over the second plus epsilon, is about the change of a
    potential that doubles the mass of its atom, so the steps suit data of any scale and dimension.
    eta_k = min(1, a h (1 + k h)^-0.6), with a the `learning_rate` and h = n / N, decays with the
    mean number of visits per atom, k h. The average is over the last half to three quarters of the
    steps. The entropy starts at the standard deviation of the costs and halves with every two
    visits per atom until it is `epsilon`, so that distant parts of the data settle their masses
    first (Genans et al. 2025, NeurIPS, decrease it by a power).

    About 35 visits per atom bring chi-squared to 0.05. No method can need fewer than 20: after n
    points, N / n is the limit of an optimal average.

    Parameters
    ----------
    source
        Source distribution; costs are computed on `Batch.cost_features`.
    atoms
        Target points, shape (N, f), or the target marginal, which is read in chunks.
    masses
        Masses of the atoms, shape (N,), any positive scale; None for those of the target marginal,
        or equal masses.
    generator
        Source of randomness, on the device of the atoms.
    epsilon
        Entropic regularisation, in units of <x, y>, half of those of squared distances. None uses
        0 for a continuous source and, since no map can split the points of a finite one, 0.01
        times the standard deviation of the costs there.
    cost_dim
        Compute costs on this many principal components of the atoms; None for all coordinates.
    max_steps
        Largest number of steps.
    batch_size
        Source points per step.
    learning_rate
        Factor of the step size; 3 suits almost any data.
    threshold
        Chi-squared divergence of the assigned masses from the atoms' masses at which to stop.
    check_every
        Steps between two estimates of it, always from the same points: all of a small finite
        source, else as many as make its standard error a sixth of the threshold.
    chunk
        Atoms scored at a time, which bounds the memory per point.
    progress
        Show a progress bar.

    Returns
    -------
    The potentials; if they missed the threshold, with a `CellflowWarning`.

    Raises
    ------
    InputError
        If atoms, masses or numbers do not define a transport problem.
    """
    if masses is None and not isinstance(atoms, Tensor):
        masses = atoms.masses
    _check_problem(atoms, masses, epsilon)
    for name, value in {
        "max_steps": max_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "threshold": threshold,
        "check_every": check_every,
        "chunk": chunk,
        "cost_dim": 1 if cost_dim is None else cost_dim,
    }.items():
        check_positive(value, name)
    device, strength = generator.device, epsilon or 0.0
    potentials = Potentials.of(atoms, masses, strength, chunk, cost_dim=cost_dim, device=device)
    potentials, spread = _initialise(potentials, source, epsilon, generator)
    chi_squared = _make_check(source, len(potentials.g), threshold, generator)
    ascent = DualAscent(potentials, spread, batch_size, learning_rate)
    reached = chi_squared(potentials)
    with progress_bar(max_steps, "potentials", "step", shown=progress, at_once=True) as bar:
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


def warn_unless_converged(
    potentials: Potentials, source: Marginal, threshold: float = THRESHOLD
) -> None:
    """Warn if potentials missed the threshold, with the setting that helps."""
    if potentials.reached <= threshold:
        return
    advice = "raise max_steps (semidiscrete_steps of a method)"
    if potentials.epsilon == 0 and isinstance(source, FiniteMarginal):
        advice = (
            f"set epsilon above 0 (None chooses it): without entropy no source point is split, "
            f"and {len(source.masses)} of them cannot fill {len(potentials.g)} atoms evenly"
        )
    warnings.warn(
        f"semidiscrete potentials stopped at chi-squared {potentials.reached:.3g} from the masses "
        f"of the atoms, above {threshold:g}: {advice}",
        CellflowWarning,
        stacklevel=3,
    )


class DualAscent:
    """Stochastic gradient ascent of the semidual, and the average of its last iterates.

    Parameters
    ----------
    start
        First iterate.
    spread
        Standard deviation of the costs, the entropy of the first steps, in units of <x, y>.
    batch_size
        Source points per step.
    learning_rate
        Factor of the step size.
    """

    def __init__(
        self, start: Potentials, spread: float, batch_size: int, learning_rate: float
    ) -> None:
        self.iterate = start
        self.epsilon, self.spread = start.epsilon, spread
        self.learning_rate = learning_rate
        #: Mean number of points per step that an atom with mass is assigned.
        self.visits_per_atom = batch_size / int((start.masses > 0).sum())
        #: Mean margin of the best score over the second, in units of <x, y>.
        self.margin = 0.0
        self.n_steps = 0
        #: First step of the current window; sums of the iterates of the last window and this one.
        self.window = 1
        self.older = self.newer = torch.zeros_like(start.g)

    def step(self, x: Features) -> None:
        """Update the potentials with one batch of source points, shape (n, f)."""
        epsilon = self._annealed_epsilon()
        iterate = replace(self.iterate, epsilon=epsilon)
        self.n_steps += 1
        if self.n_steps in {1, 2 * self.window}:
            self.margin = _mean_margin(iterate, x[:_N_ESTIMATE])
            self.older, self.newer = self.newer, torch.zeros_like(self.newer)
            self.window = self.n_steps
        h = self.visits_per_atom
        eta = min(1.0, self.learning_rate * h * (1 + self.n_steps * h) ** -_DECAY)
        b = iterate.masses
        excess = torch.where(b > 0, iterate.marginal(x) / b - 1, 0.0)
        self.iterate = replace(iterate, g=iterate.g - eta * (self.margin + epsilon) * excess)
        self.newer = self.newer + self.iterate.g

    def average(self) -> Potentials:
        """Return the mean iterate of this window of steps and the one before it."""
        g = (self.older + self.newer) / (self.n_steps - (self.window + 1) // 2 + 1)
        heavy = g.isfinite()
        level = self.iterate.masses[heavy] @ g[heavy]
        return replace(self.iterate, g=g - level, epsilon=self.epsilon)

    def _annealed_epsilon(self) -> float:
        halvings = self.n_steps * min(self.visits_per_atom, 1.0) / _HALVING
        epsilon = self.spread * 0.5**halvings
        smallest = max(self.epsilon, _MIN_ENTROPY_SHARE * self.margin)
        return epsilon if epsilon > smallest else self.epsilon


def _mean_margin(potentials: Potentials, x: Features) -> float:
    """Return the mean difference of the best and second-best score, in units of <x, y>."""
    margins = []
    for rows in potentials.tiles(x):
        top = rows.new_empty((len(rows), 0))
        for atoms in potentials.chunks():
            scores = torch.cat([top, potentials.scores(rows, atoms)], dim=1)
            top = scores.topk(min(2, scores.shape[1]), dim=1).values
        margins.append(top[:, 0] - top[:, -1])
    return float(torch.cat(margins).mean()) * (potentials.epsilon or 1.0)


def _initialise(
    potentials: Potentials, source: Marginal, epsilon: float | None, generator: torch.Generator
) -> tuple[Potentials, float]:
    """Return the first iterate, and the standard deviation of the costs."""
    x = source.sample(_N_ESTIMATE, generator).cost_features
    if x.shape[1] != len(potentials.origin):
        raise InputError(
            f"costs require source and atoms in the same space, got {x.shape[1]} and "
            f"{len(potentials.origin)} dimensions"
        )
    x = potentials.coordinates(x)
    spread = _cost_spread(potentials, x)
    if epsilon is None and isinstance(source, FiniteMarginal):
        potentials = replace(potentials, epsilon=ENTROPY_SHARE * spread)
    # As if the source were centred on the atoms: its mean only adds a linear function to g.
    return replace(potentials, g=potentials.g - potentials.atoms @ x.mean(dim=0)), spread


def _make_check(
    source: Marginal, n_atoms: int, threshold: float, generator: torch.Generator
) -> Callable[[Potentials], float]:
    """Return the estimator of chi-squared, which always uses the same points of the source."""
    # The standard error of chi-squared from n points is about sqrt(2 N) / n.
    n = int(min(max(6 * math.sqrt(2 * n_atoms) / threshold, _N_CHECK[0]), _N_CHECK[1]))
    device = generator.device
    if not isinstance(source, FiniteMarginal):
        seed = draw_seed(generator)
        return lambda potentials: potentials.chi_squared_over(
            sample_chunks(source, n, torch_generator(seed, device))
        )
    # A large source stays on the CPU; `take` returns points on the device of the rows.
    masses = source.masses.to(device)
    if len(masses) <= 4 * n:
        everything = torch.arange(len(masses), device=device)
        return lambda potentials: potentials.chi_squared(
            source.take(everything).cost_features, masses
        )
    # `source.sample` may return distinct points, from which chi-squared would be too low.
    rows = draw_weighted(masses, n, generator)
    return lambda potentials: potentials.chi_squared_over([source.take(rows).cost_features])


def _check_problem(
    atoms: Atoms | FiniteMarginal, masses: Rows | None, epsilon: float | None
) -> None:
    if epsilon is not None and not 0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be 0 or positive, got {epsilon}")
    n = n_points(atoms)
    if not n or not all(chunk.isfinite().all() for chunk in iter_chunks(atoms)):
        raise InputError("atoms must be at least one, all with finite coordinates")
    if masses is None:
        return
    if masses.shape != (n,):
        raise InputError(f"{n} atoms need as many masses, got shape {tuple(masses.shape)}")
    if not (masses.isfinite().all() and masses.min() >= 0 and masses.sum() > 0):
        raise InputError("masses must be finite, none negative and not all 0")


def _cost_spread(potentials: Potentials, x: Features) -> float:
    """Return the standard deviation of <x, y> without the terms that depend on x or y alone."""
    x = x - x.mean(dim=0)
    level = x @ (potentials.masses @ potentials.atoms)
    chunks = [
        (
            (x @ potentials.atoms[atoms].T - level[:, None]).square() @ potentials.masses[atoms]
        ).mean()
        for atoms in potentials.chunks()
    ]
    return math.sqrt(float(sum(chunks)))
