"""Protocols of held-out evaluation; they say nothing about how a flow is fitted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Rules of one evaluation.

    Attributes
    ----------
    summary
        What it is.
    time_axis
        The clock of the baselines.
    flow_axis
        That of the flow, where the caller names none.
    representation_sees_held_out
        Whether scaling and components are fitted to all cells or to the kept ones.
    start
        Which cells are carried to the held-out time.
    solver, n_steps
        How they are carried; None leaves the number of steps to the solver.
    """

    summary: str
    time_axis: str
    flow_axis: str
    representation_sees_held_out: bool
    start: str
    solver: str
    n_steps: int | None


PROTOCOLS = {
    "strict": Protocol(
        "nothing of the held-out cells enters, real time in the midpoint",
        time_axis="real",
        flow_axis="learned",
        representation_sees_held_out=False,
        start="both",
        solver="rk4",
        n_steps=None,
    ),
    "paper": Protocol(
        "as published: whitening sees all cells, index time axis, cells before by 100 Euler steps",
        time_axis="index",
        flow_axis="index",
        representation_sees_held_out=True,
        start="previous",
        solver="euler",
        n_steps=100,
    ),
}
