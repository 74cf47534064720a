"""A fitted flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._errors import InputError
from cellflow._tensors import add_prefix, select_prefix
from cellflow._typing import Condition, Points, Rows
from cellflow.flow.storage import (
    Stored,
    check_sizes,
    fingerprint,
    read_folder,
    understood,
    write_folder,
)
from cellflow.flow.words import flow_in_words
from cellflow.integrate import (
    Solution,
    accumulate,
    check_unit_interval,
    own_time,
    solve,
    solve_mean_flow,
    solve_sde,
)
from cellflow.marginals import ExtrapolatedTimeAxis, TimeAxis
from cellflow.nets import ExtrapolatedFields, Fields

#: Points that are carried at a time.
_ROWS = 16_384


@dataclass(frozen=True)
class Context:
    """What a caller needs to use a flow later; kept with it, never read by the flow.

    Attributes
    ----------
    settings
        Plain JSON values.
    arrays
        Named tensors.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """A velocity field fitted to a time course.

    Attributes
    ----------
    nets
        The velocity in flow time, and what was learned with it.
    axis
        The clock: elapsed time to flow time.
    settings
        How it was fitted: coupling, recipe, seed, versions.
    history
        Loss curve: `step` and the mean `loss` of the steps since the one before.
    context
        What the caller attached, such as the map between genes and representation.
    """

    nets: Fields
    axis: TimeAxis
    settings: Mapping[str, Any]
    history: Mapping[str, Sequence[float]]
    context: Context = Context()

    def __repr__(self) -> str:
        return flow_in_words(self.nets, self.axis, self.settings, self.fingerprint)

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return next(self.nets.parameters()).device

    @property
    def dim(self) -> int:
        """Dimensions of the points that it moves."""
        return self.nets.dim

    @property
    def condition_dim(self) -> int:
        """Number of covariates of each cell that it needs."""
        return self.nets.condition_dim

    @property
    def fingerprint(self) -> str:
        """Digest of the weights: equal for equal nets."""
        return fingerprint(self.nets.state_dict())

    @property
    def time_key(self) -> str | None:
        """Column of `obs` that the times were read from, where it was fitted to an AnnData."""
        return self.context.settings.get("time_key")

    @property
    def changes_mass(self) -> bool:
        """Whether mass grows and shrinks along it."""
        return "growth" in self.nets.roles

    @property
    def is_mean_flow(self) -> bool:
        """Whether it knows average velocities, and so moves points any distance in one step."""
        return "average" in self.nets.roles

    def extended(self) -> Flow:
        """The same flow, that goes on outside its times as it is at the first and at the last.

        Its velocity, growth and score there are those of the nearer end, its clock runs at the mean
        pace of the nearer interval. Nothing was measured there: it is an assumption. It cannot be
        told from the flow itself once it is saved.

        Returns
        -------
        The flow that goes on; it shares the weights.
        """
        ends = float(self.axis.positions[0]), float(self.axis.positions[-1])
        nets = ExtrapolatedFields(dict(self.nets.nets.items()), ends)
        return replace(self, nets=nets, axis=ExtrapolatedTimeAxis(**asdict(self.axis)))

    def velocity(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Velocity per unit of flow time.

        Parameters
        ----------
        t
            Flow times, shape (n,).
        x
            Positions, shape (n, d).
        condition
            Covariates, shape (n, c), where the flow was fitted with such.

        Returns
        -------
        Velocities, shape (n, d).
        """
        return self.nets.velocity(t, x, condition)

    def trajectory(
        self,
        x: Points,
        times: Sequence[float],
        *,
        condition: Condition | None = None,
        solver: str | None = None,
        n_steps: int | None = None,
        **options: Any,
    ) -> Solution:
        """Carry points along the velocity, forward or backward in time.

        A mean flow needs no solver: it goes to each time from the start, or from the last
        time point on the way; an ODE solver, if one is named, follows its velocities.

        Parameters
        ----------
        x
            Points at the first of `times`, shape (n, d).
        times
            Elapsed times, shape (t,); the first is that of the points.
        condition
            Covariates, shape (n, c), where the flow was fitted with such.
        solver
            One of `cellflow.integrate.solve`; None takes its default.
        n_steps
            Steps of a solver that takes such; of a mean flow, steps to each time, None
            for one.
        **options
            Others of `cellflow.integrate.solve`.

        Returns
        -------
        The points at all times, shape (t, n, d), and the evaluations that they took.

        Raises
        ------
        InputError
            As `check_solver`.
        """
        x, condition = self._here(x), self._condition(condition)
        moments = [self.axis.to_flow(time) for time in times]
        self.check_solver(solver, times)
        if n_steps is not None:
            check_positive(n_steps, "n_steps")
        if solver == "average" or (solver is None and self.is_mean_flow):
            return self._solve_mean_flow(x, moments, condition, n_steps or 1)
        given = {"solver": solver, "n_steps": n_steps}
        options |= {name: value for name, value in given.items() if value is not None}
        return solve(partial(self._velocity, condition), x, moments, **options)

    def check_solver(self, solver: str | None, times: Sequence[float]) -> None:
        """Refuse a solver where it has no meaning; most follow any flow anywhere.

        Parameters
        ----------
        solver
            Its name, or None for the default.
        times
            Elapsed times that it is to go through.

        Raises
        ------
        InputError
            For `average` if the flow knows no average velocities; for `edm-heun` if it does not
            start from noise, or `times` are not its start and its end.
        """
        if solver == "average" and not self.is_mean_flow:
            raise InputError(
                "solver 'average' is for mean flows (method 'mean-flow'), and this flow learned a "
                "velocity; take another, such as 'dopri5'"
            )
        if solver != "edm-heun":
            return
        if not self.settings.get("from_noise", True):
            raise InputError(
                "solver 'edm-heun' is for flows from standard normal noise, and this one starts "
                "from points; take another, such as 'dopri5'"
            )
        check_unit_interval([self.axis.to_flow(time) for time in times])

    def push(
        self,
        x: Points,
        start: float,
        stop: float,
        *,
        condition: Condition | None = None,
        **options: Any,
    ) -> Points:
        """Carry points from one elapsed time to another, forward or backward.

        Points go in parts of up to 16,384, so that memory grows by no more than the answer;
        adaptive solvers choose their steps for each.

        Parameters
        ----------
        x
            Points at elapsed time `start`, shape (n, d).
        start, stop
            Elapsed times.
        condition
            Covariates, shape (n, c), where the flow was fitted with such.
        **options
            Those of `trajectory`.

        Returns
        -------
        Where the points are at `stop`, shape (n, d).
        """
        if start == stop:
            return self._here(x)
        there = torch.empty_like(x, device=self.device)
        for rows in _parts(len(x)):
            known = None if condition is None else condition[rows]
            way = self.trajectory(x[rows], [start, stop], condition=known, **options)
            there[rows] = way.end
        return there

    def push_with_growth(
        self,
        x: Points,
        start: float,
        stop: float,
        *,
        lead: Rows | None = None,
        condition: Condition | None = None,
        **options: Any,
    ) -> tuple[Points, Rows]:
        """Carry points from one elapsed time to another, and tell how much their mass grows.

        Growth is zero where the flow keeps mass; backward in time it is undone.

        Parameters
        ----------
        x
            Points at elapsed time `start`, shape (n, d).
        start, stop
            Elapsed times.
        lead
            Flow time that each point is ahead of the clock at `stop`, or behind it where negative,
            shape (n,); None lets all of them arrive at once.
        condition
            Covariates, shape (n, c), where the flow was fitted with such.
        **options
            Those of `trajectory`; points go in parts, as in `push`.

        Returns
        -------
        Where the points are at `stop`, shape (n, d), and log(m_stop / m_start), shape (n,).
        """
        there, growth = torch.empty_like(x, device=self.device), x.new_empty(len(x))
        growth = growth.to(self.device)
        for rows in _parts(len(x)):
            there[rows], growth[rows] = self._pushed(
                x[rows],
                start,
                stop,
                None if lead is None else lead[rows],
                None if condition is None else condition[rows],
                options,
            )
        return there, growth

    @torch.no_grad()
    def _pushed(
        self,
        x: Points,
        start: float,
        stop: float,
        lead: Rows | None,
        condition: Condition | None,
        options: dict[str, Any],
    ) -> tuple[Points, Rows]:
        if lead is None and (start == stop or not self.changes_mass):
            moved = self.push(x, start, stop, condition=condition, **options)
            return moved, moved.new_zeros(len(x))
        x, condition = self._here(x), self._condition(condition)
        begin, end = self.axis.to_flow(start), self.axis.to_flow(stop)
        lead = x.new_zeros(len(x)) if lead is None else lead.to(x)
        if self.is_mean_flow and options.get("solver") in (None, "average"):
            steps = options.get("n_steps") or 1
            moved = self._solve_mean_flow(x, [begin, end], condition, steps, lead).end
            return moved, moved.new_zeros(len(x))
        spans = end + lead - begin
        velocity = own_time(partial(self._velocity, condition), begin, spans)
        if not self.changes_mass:
            moved = solve(velocity, x, [0.0, 1.0], **options).end
            return moved, moved.new_zeros(len(x))
        rate = own_time(partial(self._growth, condition), begin, spans)
        return accumulate(velocity, rate, x, 0.0, 1.0, **options)

    def log_growth(self, x: Points, start: float, stop: float, **options: Any) -> Rows:
        """Tell how much mass grows on the way, as `push_with_growth` does.

        Parameters
        ----------
        x
            Points at elapsed time `start`, shape (n, d).
        start, stop
            Elapsed times.
        **options
            Others of `push_with_growth`.

        Returns
        -------
        log(m_stop / m_start), shape (n,).
        """
        return self.push_with_growth(x, start, stop, **options)[1]

    @torch.no_grad()
    def simulate(
        self,
        x: Points,
        times: Sequence[float],
        generator: torch.Generator,
        *,
        condition: Condition | None = None,
        n_steps: int = 100,
    ) -> Solution:
        """Carry points along the stochastic process, forward or backward in time.

        With velocity v, scaled score s and diffusion g, forward dX = (v + s) dt + g dW, and
        backward in time dX = (s - v) dr + g dW ([SF]2M, Tong et al. 2024, arXiv 2307.03672).

        Parameters
        ----------
        x
            Points at the first of `times`, shape (n, d).
        times
            Elapsed times, shape (t,); the first is that of the points.
        generator
            Source of the noise, on the device of the flow.
        condition
            Covariates, shape (n, c), where the flow was fitted with such.
        n_steps
            Euler-Maruyama steps over the whole way.

        Returns
        -------
        The points at all times, shape (t, n, d), and the evaluations that they took.

        Raises
        ------
        InputError
            If the flow has no score.
        """
        if "score" not in self.nets.roles:
            raise InputError(
                "this flow has no score, so it cannot be simulated with noise; "
                "fit with objective 'velocity-score' (method 'sf2m')"
            )
        x, condition = self._here(x), self._condition(condition)
        moments = [self.axis.to_flow(time) for time in times]
        sign = 1.0 if moments[-1] >= moments[0] else -1.0

        def drift(t: Rows, x: Points) -> Points:
            return sign * self.nets.velocity(t, x, condition) + self.nets.score(t, x, condition)

        return solve_sde(drift, self.settings["diffusion"], x, moments, generator, n_steps=n_steps)

    def _here(self, x: Points) -> Points:
        return x.to(self.device)

    def _condition(self, condition: Condition | None) -> Condition | None:
        """The covariates, on the device and as many as the flow was fitted with."""
        given = 0 if condition is None else condition.shape[1]
        if given != self.condition_dim:
            raise InputError(
                f"this flow needs {self.condition_dim} covariates a cell as condition, got {given}"
            )
        return None if condition is None else condition.to(self.device)

    def _velocity(self, condition: Condition | None, t: Rows, x: Points) -> Points:
        return self.nets.velocity(t, x, condition)

    def _growth(self, condition: Condition | None, t: Rows, x: Points) -> Rows:
        return self.nets.growth(t, x, condition)

    def _solve_mean_flow(
        self,
        x: Points,
        moments: Sequence[float],
        condition: Condition | None,
        n_steps: int,
        lead: Rows | float = 0.0,
    ) -> Solution:
        """By average velocities; they are learned inside intervals, so none reaches over two."""

        def average(t: Rows, r: Rows, x: Points) -> Points:
            return self.nets.average(t, r, x, condition)

        knots = self.axis.positions.tolist()
        return solve_mean_flow(average, x, moments, knots=knots, n_steps=n_steps, time_offset=lead)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the flow as a folder of safetensors and JSON, whole or not at all.

        Parameters
        ----------
        path
            The folder.
        overwrite
            Whether an older flow there is replaced.

        Raises
        ------
        FileError
            If `path` cannot be written, exists while `overwrite` is off, or is anything other
            than an older flow.
        """
        tensors = add_prefix("nets", self.nets.state_dict()) | add_prefix(
            "context", self.context.arrays
        )
        description = {
            "nets": self.nets.settings,
            "axis": asdict(self.axis),
            "settings": dict(self.settings),
            "history": {name: list(values) for name, values in self.history.items()},
            "context": dict(self.context.settings),
        }
        write_folder(Path(path), Stored(description, tensors), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Flow:
        """Read a flow that `save` wrote.

        Parameters
        ----------
        path
            The folder.
        device
            Where the nets go.

        Returns
        -------
        The flow.

        Raises
        ------
        FileError
            If the folder is missing, incomplete, altered, of another schema, or no flow at all.
        """
        stored = read_folder(Path(path))
        with understood(Path(path), stored):
            description = stored.description
            check_sizes(description["nets"], stored.tensors)
            nets = Fields.from_settings(description["nets"])
            nets.load_state_dict(select_prefix("nets", stored.tensors))
            axis = description["axis"]
            return cls(
                nets=nets.to(device).eval(),
                axis=TimeAxis(axis["kind"], tuple(axis["times"]), tuple(axis["lengths"])),
                settings=dict(description["settings"]),
                history=dict(description["history"]),
                context=Context(
                    dict(description["context"]), select_prefix("context", stored.tensors)
                ),
            )


def _parts(n: int) -> list[slice]:
    """Rows that go together."""
    return [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
