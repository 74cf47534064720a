"""Protocols of held-out evaluation; they do not change how a flow is fitted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Rules of one evaluation.

    Attributes
    ----------
    summary
        Description for the command line.
    time_axis
        Clock of the baselines.
    flow_axis
        Default clock of the flow.
    representation_sees_held_out
        Whether scaling and components are fitted to all cells or to the training cells.
    start
        Cells that are moved to the held-out time, one of `HELD_OUT_STARTS`.
    solver, n_steps
        Solver of the flow, and its number of steps; None is the default of the solver.
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
        "the held-out cells are not used, the midpoint lies at real time",
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

#: What a fold of `tl.holdout` holds out.
HOLD_OUT = {
    "time": "all cells of a time, predicted by a flow of the other times",
    "replicate": "a replicate at all times, whose own cells of the other times are moved by a flow "
    "of the other replicates",
    "condition": "a value of a numeric condition at all times, whose own cells of the first time "
    "are moved by a flow of the other values",
}
