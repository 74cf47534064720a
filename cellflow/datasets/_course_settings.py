"""Validation of the settings of simulated courses, and the process that they describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow.datasets._branching_process import BranchingProcess

Array = NDArray[np.float64]

#: Name of cells whose branch is not expressed yet, and key of their growth rate.
PROGENITOR = "progenitor"
_FATES = {"A": 0.65, "B": 0.35}
#: Where fates are expressed, as a share of the duration.
_EXPRESSED = {"early": 0.15, "late": 0.35, "start": 0.35}
#: Synchronous start before the first time, opening time of branches, memories of the propensity
#: and of branch noise, all as a share of the duration.
_LEAD, _OPENING, _MEMORY, _BRANCH_MEMORY = 1 / 3, 0.06, 1.0, 0.1
_BRANCH_NOISE, _N_NUISANCE = 0.15, 3


def resolve_times(times: Sequence[float]) -> Array:
    """Return the times as an array; raise unless they are two or more, finite and increasing."""
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 2 or not np.isfinite(grid).all() or (np.diff(grid) <= 0).any():
        raise InputError(f"times must be two or more increasing numbers, got {times!r}")
    return grid


def resolve_numbers(n_cells: int | Sequence[int], n_times: int) -> list[int]:
    """Return the number of cells at each time."""
    if isinstance(n_cells, int | np.integer):
        each, more = divmod(int(n_cells), n_times)
        numbers = [each + (at < more) for at in range(n_times)]
    else:
        numbers = [int(number) for number in n_cells]
        if len(numbers) != n_times:
            raise InputError(f"n_cells has {len(numbers)} numbers for {n_times} times")
    if min(numbers) < 1:
        raise InputError(
            f"n_cells must give each of the {n_times} times at least one cell, got {n_cells}"
        )
    return numbers


def resolve_shares(fates: Mapping[str, float] | Sequence[str] | None) -> dict[str, float]:
    """Return the share of each fate by name; shares must be positive and sum to 1."""
    if fates is None:
        return _FATES
    if isinstance(fates, str):
        raise InputError(f"fates must be names, or names with shares, got {fates!r}")
    if not isinstance(fates, Mapping):
        fates = {name: 1 / len(fates) for name in fates} if len(set(fates)) == len(fates) else {}
    shares = {str(name): float(share) for name, share in fates.items()}
    if len(shares) < 2 or PROGENITOR in shares:
        raise InputError(
            f"fates must be two or more different names, none of them {PROGENITOR!r}; "
            f"got: {format_list(shares) or 'no or repeated names'}"
        )
    total = sum(shares.values())
    if not all(share > 0 for share in shares.values()) or abs(total - 1) > 1e-6:
        raise InputError(
            "shares of fates must be positive and sum to 1, got "
            f"{format_list(shares.values())} (sum {total:.6g})"
        )
    return {name: share / total for name, share in shares.items()}


def check_ranges(
    at_least_zero: Mapping[str, float], below_one: Mapping[str, float], counts: Mapping[str, int]
) -> None:
    """Raise `InputError` for settings out of range; `counts` are whole numbers with a least one."""
    for name, value in at_least_zero.items():
        if not 0 <= value < np.inf:
            raise InputError(f"{name} must be a number of at least 0, got {value}")
    for name, value in below_one.items():
        if not 0 <= value < 1:
            raise InputError(f"{name} must be at least 0 and below 1, got {value}")
    least = {"n_genes": 20, "donors": 0, "n_continuations": 1}
    for name, number in counts.items():
        if not isinstance(number, int | np.integer) or number < least[name]:
            raise InputError(
                f"{name} must be a whole number of at least {least[name]}, got {number}"
            )


def make_process(
    grid: Array,
    shares: Mapping[str, float],
    *,
    commitment: str | float,
    predictability: float,
    delays: Mapping[str, float] | None,
    asynchrony: float,
    growth: float | Mapping[str, float] | None,
) -> BranchingProcess:
    """Return the process; its times and progress begin at the first time."""
    duration = float(grid[-1] - grid[0])
    check_positive(asynchrony, "asynchrony")
    if asynchrony > 1:
        raise InputError(f"asynchrony is a share of the duration, at most 1, got {asynchrony}")
    names = list(shares)
    expressed = _resolve_commitment(commitment, grid)
    delay = _per_fate(delays or {}, names, "delays")
    opens_at = expressed + np.array([delay.get(name, 0.0) for name in names])
    late = [name for name, at in zip(names, opens_at, strict=True) if at >= duration]
    if late or opens_at.min() <= 0:
        raise InputError(
            f"fates must be expressed after {grid[0]:g} and before {grid[-1]:g}, the first and "
            f"last of times; got {format_list((opens_at + grid[0]).round(6))}: change commitment "
            "or delays"
        )
    rates = {PROGENITOR: 1 / duration, **dict.fromkeys(names, 0.0)}
    if isinstance(growth, Mapping):
        rates |= _per_fate(growth, [PROGENITOR, *names], "growth")
    elif growth is not None:
        rates = dict.fromkeys(rates, float(growth))
    lead = _LEAD * duration
    clock_variance = (asynchrony * duration) ** 2 / (duration + lead)
    steepest = max(rates.values())
    if not np.isfinite(list(rates.values())).all() or steepest * clock_variance >= 0.5:
        raise InputError(
            f"growth must be finite and below {0.5 / clock_variance:.3g} per unit of time, got "
            f"{format_list(rates.values())}"
        )
    return BranchingProcess(
        shares=np.array(list(shares.values())),
        duration=duration,
        lead=lead,
        clock_variance=clock_variance,
        decided_at=-lead if commitment == "start" else expressed,
        opens_at=opens_at,
        opening_time=_OPENING * duration,
        predictability=predictability,
        memory=_MEMORY * duration,
        branch_noise=_BRANCH_NOISE,
        branch_memory=_BRANCH_MEMORY * duration,
        growth_progenitor=rates.pop(PROGENITOR),
        growth=np.array([rates[name] for name in names]),
        n_nuisance=_N_NUISANCE,
    )


def _resolve_commitment(commitment: str | float, grid: Array) -> float:
    """Return the elapsed time at which average cells begin to express their fate."""
    if isinstance(commitment, str):
        check_choice(commitment, _EXPRESSED, "commitment")
        return float(_EXPRESSED[commitment] * (grid[-1] - grid[0]))
    return float(commitment - grid[0])


def _per_fate(values: Mapping[str, float], names: Sequence[str], what: str) -> dict[str, float]:
    """Return values by name; raise for names that are unknown."""
    for name in values:
        check_choice(name, names, f"fate in {what}")
    return {name: float(value) for name, value in values.items()}
