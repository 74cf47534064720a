"""The latent process of simulated courses, with its expectations in closed form.

Each cell has a progress s, the time of its own clock. The clocks are gamma processes: independent
increments with mean dt and variance `clock_variance` * dt, so that cells fall out of step and none
turns back. All clocks start together at s = -`lead` at the time -`lead`. Everything else runs in
the time of the clock, independently of how fast the clock goes:

- propensity and nuisance: stationary Ornstein-Uhlenbeck processes with variance 1;
- fate: drawn when the clock passes `decided_at`. It is the interval of the normal quantiles of the
  shares that r * propensity + sqrt(1 - r^2) * noise falls into, r the predictability, so its
  probability given the propensity at any other progress is known: r shrinks to r * exp(-lag / tau);
- branch: an Ornstein-Uhlenbeck process about `direction[fate] * opening`, which opens from 0 to 1
  as a Hill function of the progress since `opens_at[fate]`;
- mass: exp(G) with dG/ds the growth rate of the progenitor, which turns into that of the fate as
  the branch opens.

The posterior of the fate of a cell, given its state at one time, is then the product of three known
factors, and its descendants are an integral over the increment of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, ndtri

Array = NDArray[np.float64]

#: Nodes of the Gauss-Laguerre rule over the jumps of a gamma process.
_JUMPS, _JUMP_WEIGHTS = np.polynomial.laguerre.laggauss(12)
#: Draws per round of the rejection sampler.
_ROUND = 50_000


class Latents(NamedTuple):
    """States of cells: those that expression shows, and the fate, which it may not show yet."""

    progress: Array
    branch: Array
    propensity: Array
    nuisance: Array
    fate: NDArray[np.int64]


def combine_cells(samples: Sequence[Latents]) -> Latents:
    """Combine the cells of several samples, in order."""
    return Latents(*(np.concatenate(values) for values in zip(*samples, strict=True)))


@dataclass(frozen=True)
class BranchingProcess:
    """The process; times and progress are counted from the first time of the course."""

    shares: Array
    duration: float
    lead: float
    clock_variance: float
    decided_at: float
    opens_at: Array
    opening_time: float
    predictability: float
    memory: float
    branch_noise: float
    branch_memory: float
    growth_progenitor: float
    growth: Array
    n_nuisance: int

    @property
    def directions(self) -> Array:
        """Unit vectors of the fates, corners of a regular simplex, shape (k, k - 1)."""
        k = len(self.shares)
        corners = np.eye(k) - 1 / k
        basis = np.linalg.svd(corners)[2][: k - 1]
        basis *= np.sign(basis[:, :1] + 1e-12)
        flat = corners @ basis.T
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))

    def opening(self, progress: Array) -> Array:
        """Return how far the branch of each fate is expressed, from 0 to 1, shape (n, k)."""
        since = np.clip(progress[:, None] - self.opens_at, 0, None) / self.opening_time
        return since**2 / (1 + since**2)

    def log_mass(self, progress: Array) -> Array:
        """Return the log of the mass that a cell of each fate has at a progress, shape (n, k)."""
        since = np.clip(progress[:, None] - self.opens_at, 0, None)
        opened = since - self.opening_time * np.arctan(since / self.opening_time)
        difference = self.growth - self.growth_progenitor
        return self.growth_progenitor * progress[:, None] + difference * opened

    def fate_given_propensity(self, progress: Array, propensity: Array) -> Array:
        """Return the probability of each fate given the propensity alone, shape (n, k)."""
        lag = np.abs(progress - self.decided_at)
        r = (self.predictability * np.exp(-lag / self.memory))[:, None]
        borders = ndtri(np.clip(np.concatenate([[0], np.cumsum(self.shares)]), 0, 1))
        borders[-1] = np.inf
        with np.errstate(divide="ignore"):
            cdf = ndtr((borders - r * propensity[:, None]) / np.sqrt(1 - r**2))
        return np.diff(cdf, axis=1)

    def fate_given_state(self, cells: Latents) -> Array:
        """Return the share of each fate among cells of a state, shape (n, k)."""
        prior = self.fate_given_propensity(cells.progress, cells.propensity)
        centre = self.opening(cells.progress)[:, :, None] * self.directions
        squares = ((cells.branch[:, None] - centre) ** 2).sum(axis=2)
        with np.errstate(divide="ignore"):
            logits = np.log(prior) - squares / (2 * self.branch_noise**2)
        return _softmax(logits + self.log_mass(cells.progress))

    def descendants(self, cells: Latents, elapsed: float, n_continuations: int) -> Array:
        """Return the expected descendants per fate after `elapsed` time, shape (n, k).

        The increment of the clock takes `n_continuations` equally likely values.
        """
        now = self.fate_given_state(cells)
        before = self.log_mass(cells.progress)
        total = np.zeros_like(now)
        for step in self._increments(elapsed, n_continuations):
            total += np.exp(self.log_mass(cells.progress + step) - before)
        return now * total / n_continuations

    def composition(self, time: float, n_continuations: int) -> Array:
        """Return the expected mass of each fate at `time`, 1 in total at the start, shape (k,)."""
        steps = self._increments(time + self.lead, n_continuations) - self.lead
        start = self.growth_progenitor * self.lead
        return self.shares * np.exp(self.log_mass(steps) + start).mean(axis=0)

    def growth_rate(self, cells: Latents) -> Array:
        """Return the expected births minus deaths of each cell per unit of time, shape (n,)."""
        now, before = self.fate_given_state(cells), self.log_mass(cells.progress)
        rate = np.zeros_like(now)
        for jump, weight in self._jumps():
            rate += weight * np.expm1(self.log_mass(cells.progress + jump) - before)
        return np.asarray((now * rate).sum(axis=1))

    def velocity(self, cells: Latents) -> Latents:
        """Return the expected change of each coordinate per unit of time; fates do not change."""
        now, opened = self.fate_given_state(cells), self.opening(cells.progress)
        directions = self.directions
        off_centre = cells.branch - (now * opened) @ directions
        branch = np.zeros_like(cells.branch)
        relaxation = {self.branch_memory: 0.0, self.memory: 0.0}
        for jump, weight in self._jumps():
            change = self.opening(cells.progress + jump) - opened
            branch += weight * ((now * change) @ directions)
            for tau in relaxation:
                relaxation[tau] += weight * np.expm1(-jump / tau)
        return Latents(
            np.ones_like(cells.progress),
            branch + relaxation[self.branch_memory] * off_centre,
            relaxation[self.memory] * cells.propensity,
            relaxation[self.memory] * cells.nuisance,
            cells.fate,
        )

    def sample(self, n: int, time: float, rng: np.random.Generator) -> Latents:
        """Sample cells of the population at `time`: each state in proportion to its mass."""
        progress: list[Array] = []
        propensity: list[Array] = []
        fate: list[NDArray[np.int64]] = []
        bound, n_left = -np.inf, n
        while n_left > 0:
            s = rng.gamma((time + self.lead) / self.clock_variance, self.clock_variance, _ROUND)
            s -= self.lead
            w = rng.standard_normal(_ROUND)
            cdf = np.cumsum(self.fate_given_propensity(s, w), axis=1)[:, :-1]
            f = (rng.random(_ROUND)[:, None] > cdf).sum(axis=1)
            log_mass = self.log_mass(s)[np.arange(_ROUND), f]
            # The largest of the first round bounds all but about one in 50,000 draws.
            bound = log_mass.max() if bound == -np.inf else bound
            taken = np.flatnonzero(np.log(rng.random(_ROUND)) < log_mass - bound)[:n_left]
            progress.append(s[taken])
            propensity.append(w[taken])
            fate.append(f[taken])
            n_left -= len(taken)
        s, w, f = np.concatenate(progress), np.concatenate(propensity), np.concatenate(fate)
        centre = self.opening(s)[np.arange(n), f][:, None] * self.directions[f]
        branch = centre + self.branch_noise * rng.standard_normal(centre.shape)
        return Latents(s, branch, w, rng.standard_normal((n, self.n_nuisance)), f)

    def _increments(self, elapsed: float, n: int) -> Array:
        """Return `n` equally likely increments of a clock: midpoints of its quantiles."""
        if elapsed <= 0:
            return np.zeros(n)
        levels = (np.arange(n) + 0.5) / n
        return np.asarray(self.clock_variance * gammaincinv(elapsed / self.clock_variance, levels))

    def _jumps(self) -> list[tuple[float, float]]:
        """Return jumps of the clock with the weights that integrate changes over their rate."""
        sizes = self.clock_variance * _JUMPS
        return list(zip(sizes.tolist(), (_JUMP_WEIGHTS / sizes).tolist(), strict=True))


def _softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
