"""A fitted flow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow._checks import check_positive
from cellflow._errors import CellflowWarning, InputError
from cellflow._log import progress_bar
from cellflow._tensors import add_prefix, select_prefix
from cellflow._typing import Condition, Points, Rows, VelocityField
from cellflow.flow.accuracy import rate_by_error
from cellflow.flow.description import FlowDescription, describe_flow
from cellflow.flow.reach import lengths_outside, move_within_reach
from cellflow.flow.record import FitRecord, Inputs, describe_misfit
from cellflow.flow.storage import (
    Stored,
    check_sizes,
    fingerprint,
    read_folder,
    reraise_unreadable,
    write_folder,
)
from cellflow.flow.trajectory import Trajectory
from cellflow.integrate import (
    ERROR_CONTROL,
    AfterStep,
    Solution,
    check_unit_interval,
    compare_steps,
    solve,
    solve_augmented,
    solve_mean_flow,
    solve_sde,
    spaced_rows,
)
from cellflow.marginals import ExtrapolatedTimeAxis, TimeAxis
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.nets import ExtrapolatedFields, Fields

#: Flow time that points are ahead of the clock: one for each, or one for each and time.
TimeOffset = Float[Tensor, "*t n"]

#: Points that are integrated in one chunk: so many that the activations of a net stay in the cache
#: of a CPU (half the time of 16,384), and on other devices enough to be busy.
_ROWS, _ROWS_OF_DEVICES = 2048, 16_384


@dataclass(frozen=True)
class Context:
    """Data of the caller that are stored with a flow, which does not read them.

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
    method, recipe
        Method and training recipe of the fit.
    inputs
        Cells and columns that it was fitted to.
    record
        Seed, device, versions, units and cost of the fit.
    history
        Loss curve: `step`, and the mean `loss` of the steps since the previous one.
    context
        Data of the caller, such as the map between genes and representation.
    """

    nets: Fields
    axis: TimeAxis
    method: Method
    recipe: Recipe
    inputs: Inputs = field(default_factory=Inputs)
    record: FitRecord = field(default_factory=FitRecord)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    context: Context = Context()

    def __repr__(self) -> str:
        return self._describe().to_text()

    def _repr_html_(self) -> str:
        return self._describe().to_html()

    def _describe(self) -> FlowDescription:
        return describe_flow(
            self.nets,
            self.axis,
            self.method,
            self.recipe,
            self.inputs,
            self.record,
            self.history,
            self.fingerprint,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return method, recipe, inputs and record as plain JSON values.

        Returns
        -------
        A dictionary with these four keys.
        """
        return {
            "method": self.method.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "inputs": self.inputs.values,
            "record": asdict(self.record),
        }

    @property
    def device(self) -> torch.device:
        """Device of the nets."""
        return next(self.nets.parameters()).device

    @property
    def dim(self) -> int:
        """Dimensions of the points."""
        return self.nets.dim

    @property
    def condition_dim(self) -> int:
        """Number of covariates of each cell."""
        return self.nets.condition_dim

    @property
    def fingerprint(self) -> str:
        """Digest of the weights."""
        return fingerprint(self.nets.state_dict())

    @property
    def time_key(self) -> str | None:
        """Column of `obs` with the times, if the flow was fitted to an AnnData."""
        return self.inputs.time_key

    @property
    def changes_mass(self) -> bool:
        """Whether the mass of cells changes along the flow."""
        return "growth" in self.nets.roles

    @property
    def is_mean_flow(self) -> bool:
        """Whether it has average velocities, which move points over any time span in one step."""
        return "average" in self.nets.roles

    def extrapolate(self) -> Flow:
        """Return a flow that extrapolates outside its times.

        Velocity, growth and score are held at their values at the nearer end, and the clock rate at
        the mean of the nearer interval. Nothing was measured there: it is an assumption, which a
        saved flow does not record.

        Returns
        -------
        The extrapolating flow; it shares the weights.
        """
        ends = float(self.axis.positions[0]), float(self.axis.positions[-1])
        nets = ExtrapolatedFields(dict(self.nets.nets.items()), ends)
        return replace(self, nets=nets, axis=ExtrapolatedTimeAxis(**asdict(self.axis)))

    def velocity(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the velocity per unit of flow time.

        Parameters
        ----------
        t
            Flow times, shape (n,).
        x
            Positions, shape (n, d).
        condition
            Covariates, shape (n, c), if the flow was fitted with covariates.

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
        time_offset: TimeOffset | None = None,
        solver: str | None = None,
        n_steps: int | None = None,
        **options: Any,
    ) -> Trajectory:
        """Integrate points and their mass along the flow, forward or backward in time.

        Points are integrated in chunks to bound temporary memory; adaptive solvers choose their
        steps for each chunk. Mean flows do not need a solver: each
        time is reached in one step from the start, or from the last time point in between. An ODE
        solver, if given, integrates their velocities.

        Parameters
        ----------
        x
            Points at the first of `times`, shape (n, d).
        times
            Elapsed times, shape (t,); the first is that of the points.
        condition
            Covariates, shape (n, c), if the flow was fitted with covariates.
        time_offset
            Flow time that each point is ahead of the clock at every time but the first, or behind
            it if negative, shape (n,), or (t - 1, n) for one at each of these times; None lets all
            points share the clock.
        solver
            One of `cellflow.integrate.solve`; None uses its default.
        n_steps
            Steps between each two consecutive times, of a solver with fixed steps. None uses a
            number in proportion to the time between, of the default solver such that the error of
            99 % of the points is below 5e-4 of the spread of the data for each unit of flow time,
            as measured on up to 128 of them. Of a mean flow, steps to each time, None for one.
        **options
            Other options of `cellflow.integrate.solve`.

        Returns
        -------
        The points and their mass at all times.

        Raises
        ------
        InputError
            See `check_solver`; also for times that take an extrapolating flow more than 20,000
            steps of a fixed size.
        DivergenceError
            If points are not finite, or arrive far from the data (`flow.reach`).
        """
        x, condition = x.to(self.device), self._check_condition(condition)
        flow_times = [self.axis.to_flow(time) for time in times]
        self.check_solver(solver, times)
        if n_steps is not None:
            check_positive(n_steps, "n_steps")
        options["n_steps"] = n_steps
        if solver is not None:
            options["solver"] = solver
        # A guide may depend on row numbers, so its points are not split into chunks.
        size = len(x) if "guide" in options else None
        default = "average" if self.is_mean_flow else "rk4"

        def move(rows: slice | Tensor, **more: Any) -> Trajectory:
            return self._integrate(
                x[rows],
                flow_times,
                None if condition is None else condition[rows],
                None if time_offset is None else time_offset[..., rows].to(x),
                {**options, **more},
            )

        if n_steps is None and (solver or default) in ERROR_CONTROL:
            some = spaced_rows(len(x))
            moved = cache(lambda rate: move(some, rate=rate))
            options["rate"] = self._rate_by_error(
                "rk4", times, lambda rate: (moved(rate), moved(2 * rate))
            )

        return self._move_all(
            lambda rows, after_step: move(rows, after_step=after_step),
            x,
            times,
            solver or default,
            n_steps,
            size,
        )

    @torch.no_grad()
    def _integrate(
        self,
        x: Points,
        times: Sequence[float],
        condition: Condition | None,
        time_offset: TimeOffset | None,
        options: dict[str, Any],
    ) -> Trajectory:
        """Solve for the points and the logarithm of their mass at flow times."""
        still = x.new_zeros((len(times), len(x)))
        if time_offset is None and len(set(times)) == 1:
            return Trajectory(x.expand(len(times), *x.shape), 0, still)
        if self.is_mean_flow and options.get("solver", "average") == "average":
            n_steps = options["n_steps"] or 1
            solution = self._solve_mean_flow(x, times, condition, time_offset, n_steps)
            return Trajectory(solution.x, solution.nfe, still)
        own = times if time_offset is None else _shift(times, time_offset)

        def velocity(t: Rows, x: Points) -> Points:
            return self.nets.velocity(t, x, condition)

        def velocity_and_growth(t: Rows, x: Points) -> tuple[Points, Rows]:
            return self.nets.velocity(t, x, condition), self.nets.growth(t, x, condition)

        # States of edm-heun are not points of the path, so a rate has no integral along them.
        if not self.changes_mass or options.get("solver") == "edm-heun":
            solution = solve(velocity, x, own, **options)
            return Trajectory(solution.x, solution.nfe, still)
        solution, log_mass = solve_augmented(velocity_and_growth, x, own, **options)
        return Trajectory(solution.x, solution.nfe, log_mass)

    def check_solver(self, solver: str | None, times: Sequence[float]) -> None:
        """Check that a solver is compatible with this flow and these times.

        Parameters
        ----------
        solver
            Its name, or None for the default.
        times
            Elapsed times of the trajectory.

        Raises
        ------
        InputError
            For `average` if the flow has no average velocity; for `edm-heun` if it does not start
            from noise, or `times` are not its start and its end.
        """
        if solver == "average" and not self.is_mean_flow:
            raise InputError(
                "solver 'average' is for mean flows (method 'mean-flow'), and this flow learned a "
                "velocity; take another, such as 'dopri5'"
            )
        if solver != "edm-heun":
            return
        if not self.inputs.from_noise:
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
        """Integrate points from one elapsed time to another, forward or backward.

        Parameters
        ----------
        x
            Points at elapsed time `start`, shape (n, d).
        start, stop
            Elapsed times.
        condition
            Covariates, shape (n, c), if the flow was fitted with covariates.
        **options
            Arguments of `trajectory`.

        Returns
        -------
        Positions at `stop`, shape (n, d).
        """
        return self.trajectory(x, [start, stop], condition=condition, **options).end

    @torch.no_grad()
    def simulate(
        self,
        x: Points,
        times: Sequence[float],
        generator: torch.Generator,
        *,
        condition: Condition | None = None,
        n_steps: int | None = None,
    ) -> Trajectory:
        """Simulate points along the stochastic process, forward or backward in time.

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
            Covariates, shape (n, c), if the flow was fitted with covariates.
        n_steps
            Steps of SRA1 between each two consecutive times, as in `trajectory`; None uses so many
            that the error of 99 % of the paths, each along its own noise, is below 5e-3 of the
            spread of the data.

        Returns
        -------
        The points at all times; their mass stays what it is.

        Raises
        ------
        InputError
            If the flow has no score; for times that take an extrapolating flow more than 20,000
            steps.
        DivergenceError
            As in `trajectory`.
        """
        check_score(self)
        x, condition = x.to(self.device), self._check_condition(condition)
        flow_times = [self.axis.to_flow(time) for time in times]
        sign = 1.0 if flow_times[-1] >= flow_times[0] else -1.0

        diffusion = self.record.diffusion

        def drift_of(rows: slice | Tensor) -> VelocityField:
            some = None if condition is None else condition[rows]

            def drift(t: Rows, x: Points) -> Points:
                return sign * self.nets.velocity(t, x, some) + self.nets.score(t, x, some)

            return drift

        rate = None
        if n_steps is None:
            rows = spaced_rows(len(x))
            way = drift_of(rows), diffusion, x[rows], flow_times

            def compare(rate: float) -> tuple[Trajectory, Trajectory]:
                coarse, fine = compare_steps(*way, rate)
                return _unweighted(coarse), _unweighted(fine)

            rate = self._rate_by_error("sra1", times, compare)

        def move(rows: slice, after_step: AfterStep | None) -> Trajectory:
            return _unweighted(
                solve_sde(
                    drift_of(rows),
                    diffusion,
                    x[rows],
                    flow_times,
                    generator,
                    n_steps=n_steps,
                    rate=rate,
                    after_step=after_step,
                )
            )

        return self._move_all(move, x, times, "sra1", n_steps)

    def _rate_by_error(
        self,
        solver: str,
        times: Sequence[float],
        compare: Callable[[float], tuple[Trajectory, Trajectory]],
    ) -> float | None:
        """Return steps per unit of flow time; None, for the default, if it extrapolates."""
        if any(lengths_outside(self.axis, time) for time in times):
            return None
        centre, scale = self.nets.units
        # Nets that do not standardise points do not know their spread.
        spread = scale * len(centre) ** 0.5 if self.recipe.standardise else None
        return rate_by_error(solver, [self.axis.to_flow(time) for time in times], compare, spread)

    def _move_all(
        self,
        move: Callable[[slice, AfterStep | None], Trajectory],
        x: Points,
        times: Sequence[float],
        solver: str,
        n_steps: int | None,
        size: int | None = None,
    ) -> Trajectory:
        """Move points in chunks of `size` rows; refuse those that leave the data."""
        chunks = _chunks(len(x), size or (_ROWS if x.device.type == "cpu" else _ROWS_OF_DEVICES))

        def integrate(after_step: AfterStep | None) -> Trajectory:
            paths = x.new_empty((len(times), *x.shape))
            log_mass, nfe = x.new_empty(paths.shape[:2]), 0
            with progress_bar(len(x), "move", "point") as bar:
                for rows in chunks:
                    moved = move(rows, after_step)
                    paths[:, rows], log_mass[:, rows] = moved.x, moved.log_mass
                    nfe = max(nfe, moved.nfe)
                    bar.update(len(moved.end))
            return Trajectory(paths, nfe, log_mass)

        return move_within_reach(
            integrate, self.nets, self.axis, x, times, solver, n_steps, len(chunks)
        )

    def _check_condition(self, condition: Condition | None) -> Condition | None:
        """Return the covariates on the device of the flow."""
        given = 0 if condition is None else condition.shape[1]
        if given != self.condition_dim:
            raise InputError(
                f"this flow requires {self.condition_dim} covariates a cell as condition, "
                f"got {given}"
            )
        return None if condition is None else condition.to(self.device)

    def _solve_mean_flow(
        self,
        x: Points,
        times: Sequence[float],
        condition: Condition | None,
        time_offset: TimeOffset | None,
        n_steps: int,
    ) -> Solution:
        """Solve by average velocities, which are learned inside intervals: no step spans two."""

        def average(t: Rows, r: Rows, x: Points) -> Points:
            return self.nets.average(t, r, x, condition)

        knots = self.axis.positions.tolist()
        offset = 0.0 if time_offset is None else time_offset
        return solve_mean_flow(average, x, times, knots=knots, n_steps=n_steps, time_offset=offset)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the flow as a folder of safetensors and JSON, atomically.

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
            **self.as_dict(),
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
        with reraise_unreadable(Path(path)):
            description = stored.description
            check_sizes(description["nets"], stored.tensors)
            nets = Fields.from_settings(description["nets"])
            nets.load_state_dict(select_prefix("nets", stored.tensors))
            axis = description["axis"]
            flow = cls(
                nets=nets.to(device).eval(),
                axis=TimeAxis(axis["kind"], tuple(axis["times"]), tuple(axis["lengths"])),
                method=Method(**description["method"]),
                recipe=Recipe(**description["recipe"]),
                inputs=Inputs.from_values(description["inputs"]),
                record=FitRecord(**description["record"]),
                history=dict(description["history"]),
                context=Context(
                    dict(description["context"]), select_prefix("context", stored.tensors)
                ),
            )
            misfit = describe_misfit(flow.record, flow.recipe)
        if misfit is not None:
            warnings.warn(f"{path}: {misfit}", CellflowWarning, stacklevel=2)
        return flow


def check_score(flow: Flow) -> None:
    """Raise `InputError` unless a flow has a score, which simulation with noise needs."""
    if "score" not in flow.nets.roles:
        raise InputError(
            "this flow has no score, so it cannot be simulated with noise; "
            "fit with objective 'velocity-score' (method 'sf2m')"
        )


def check_flow(value: Any) -> None:
    """Raise `InputError` for anything else than a fitted flow, such as the folder of one."""
    if not isinstance(value, Flow):
        raise InputError(
            f"flow must be a fitted flow, got {value!r}; read a folder with cellflow.Flow.load"
        )


def _chunks(n: int, size: int) -> list[slice]:
    """Return slices of `size` of n rows, at least one."""
    return [slice(start, start + size) for start in range(0, max(n, 1), max(size, 1))]


def _unweighted(solution: Solution) -> Trajectory:
    """Return points that keep their mass."""
    return Trajectory(solution.x, solution.nfe, solution.x.new_zeros(solution.x.shape[:2]))


def _shift(times: Sequence[float], offset: TimeOffset) -> Float[Tensor, "t n"]:
    """Return the times of each point: all but the first are shifted by its offset."""
    later = offset.new_tensor(times[1:])[:, None] + offset
    return torch.cat([later.new_full((1, later.shape[1]), times[0]), later])
