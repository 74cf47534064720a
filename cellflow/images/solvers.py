"""Solvers of flows of images with their steps: chosen, read and named."""

from __future__ import annotations

from typing import Any

from cellflow._checks import check_choice, check_positive, listed
from cellflow._errors import InputError
from cellflow.flow import Flow
from cellflow.integrate import FIXED_STEP
from cellflow.methods.names import ODE_SOLVERS, SOLVERS

#: Solvers that take so many steps, and the number where none is named; others take 100.
_FIXED = (*FIXED_STEP, "edm-heun", "average")
_N_STEPS = {"average": 1, "edm-heun": 18}


def way(flow: Flow, solver: str | None, n_steps: int | None) -> dict[str, Any]:
    """Solver and steps, where they are not named those that suit the flow."""
    solver = solver or ("average" if flow.is_mean_flow else "dopri5")
    if n_steps is None:
        return {"solver": solver, "n_steps": _N_STEPS.get(solver, 100)}
    if solver in ODE_SOLVERS and solver not in _FIXED:
        raise InputError(
            f"solver {solver!r} chooses its steps by tolerance, so n_steps={n_steps} has no "
            f"effect: name one with fixed steps, {listed(_FIXED[:-1])}"
        )
    return {"solver": solver, "n_steps": n_steps}


def solver_options(setting: str) -> dict[str, Any]:
    """Options of `sample` that `euler:8`, `edm-heun:14:90` or `dopri5` stands for."""
    name, _, numbers = setting.partition(":")
    check_choice(name, SOLVERS, "solver")
    if name not in _FIXED and not numbers:
        return {"solver": name}
    steps, _, rho = numbers.partition(":")
    if name not in _FIXED or not steps.isdecimal() or int(steps) < 1:
        raise InputError(
            f"solver {setting!r} is none of the form euler:8, with {listed(_FIXED)}, nor an "
            "adaptive one without steps, dopri5"
        )
    options = {"solver": name, "n_steps": int(steps)}
    if not rho:
        return options
    if name != "edm-heun":
        raise InputError(f"solver {setting!r} has a second number, rho, as edm-heun:14:90 has one")
    try:
        value = float(rho)
    except ValueError:
        raise InputError(f"solver {setting!r}: rho must be a number, got {rho!r}") from None
    check_positive(value, "rho")
    return {**options, "rho": value}


def named_solver(
    intervals: int, solver: str = "rk4", n_steps: int = 100, rho: float = 7.0, **_: Any
) -> str:
    """Name of a solver and its steps over so many intervals, as `solver_options` reads it."""
    if solver == "average":
        # Each time is reached from the start.
        return f"{solver}:{n_steps}"
    if solver == "edm-heun":
        return f"{solver}:{n_steps}" + ("" if rho == 7 else f":{rho:g}")
    return f"{solver}:{n_steps * intervals}" if solver in FIXED_STEP else solver
