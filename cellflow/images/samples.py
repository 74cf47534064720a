"""Follow a flow of images by a solver, a batch at a time; the images that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow._typing import Condition, Paths, Points
from cellflow.flow import Flow
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.guidance import Integrate
from cellflow.images.guidance.autoguidance import WeightedSolution
from cellflow.images.readers.source import reading
from cellflow.images.space import ImageSpace
from cellflow.integrate import FIXED_STEP, Solution
from cellflow.methods.names import ODE_SOLVERS, SOLVERS


@dataclass(frozen=True)
class Samples:
    """Images that a flow made.

    Attributes
    ----------
    images
        The images, with their classes where the flow knows classes.
    by
        How they were made: the solver and its steps, as `score_flow` takes them, and the guidance.
    nfe
        Evaluations of the velocity for each image; for adaptive solvers the mean over batches.
    frames
        The images at all times asked for, uint8, shape (t, n, h, w, c).
    paths
        Where the flow carried each start at these times, shape (t, n, d), where they were kept.
    effective_trajectories
        With autoguidance by several trajectories per image: their effective sample size, the mean
        over images.
    """

    images: ImageSet
    by: str
    nfe: float
    frames: np.ndarray = field(repr=False)
    paths: Paths | None = field(default=None, repr=False)
    effective_trajectories: float | None = None

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the images, and what they cost, as a `.npz` file that `read` understands.

        Parameters
        ----------
        path
            The file, which ends in `.npz`.
        overwrite
            Whether a file of that name is replaced.
        """
        self.images.save(path, overwrite=overwrite, by=self.by, nfe=self.nfe)


def cost_of(path: str | Path) -> dict[str, Any]:
    """How the images in a file of `Samples.save` were made: `by` and `nfe`; else nothing.

    Parameters
    ----------
    path
        A file of images.

    Returns
    -------
    The two, where the file tells them.
    """
    if Path(path).suffix != ".npz":
        return {}
    with reading(Path(path)), np.load(path, allow_pickle=False) as arrays:
        known = {name: arrays[name] for name in ("by", "nfe") if name in arrays}
    return {name: value.item() for name, value in known.items() if value.shape == ()}


def integrate_samples(
    flow: Flow,
    space: ImageSpace,
    starts: Points,
    labels: Tensor,
    *,
    times: Sequence[float] = (0.0, 1.0),
    batch_size: int = 256,
    keep_paths: bool = False,
    integrate: Integrate | None = None,
    low: Condition | None = None,
    progress: bool = False,
    **options: Any,
) -> Samples:
    """Integrate starts through `times`, a batch at a time, and decode them to images.

    Each row of `starts` has the noise of all trajectories of an image. `integrate` is that of a
    guidance; None follows the flow. `low` are the low resolutions, for a flow that depends on them.

    Raises
    ------
    InputError
        For fewer than two times, a batch size below 1, or a solver that does not reach the times.
    """
    check_positive(batch_size, "batch_size")
    if len(times) < 2:
        raise InputError(f"times need the start and at least one more time, got {list(times)}")
    flow.check_solver(options.get("solver"), times)
    integrate = partial(_follow, flow) if integrate is None else integrate
    frames, paths, nfe, effective = [], [], 0.0, 0.0
    rows_at_once = max(1, batch_size * flow.dim // starts.shape[1])
    batches = torch.split(torch.arange(len(starts)), rows_at_once)
    for rows in tqdm(batches, disable=not progress, desc="sample", unit="batch"):
        condition = space.condition(labels[rows]) if low is None else low[rows]
        solution = integrate(condition, starts[rows], rows, labels[rows], times=times, **options)
        path = solution.x.float().cpu()
        frames.append([space.encoder.decode(x) for x in path])
        if keep_paths:
            paths.append(path)
        nfe += solution.nfe * len(rows) / len(starts)
        if isinstance(solution, WeightedSolution):
            effective += solution.effective_size * len(rows) / len(starts)
    films = np.concatenate([np.stack(film) for film in frames], axis=1)
    return Samples(
        ImageSet(
            films[-1],
            labels.numpy() if space.classes else None,
            space.classes,
            name=f"generated {space.target}",
        ),
        solver_name(len(times) - 1, **options),
        nfe,
        films,
        torch.cat(paths, dim=1) if keep_paths else None,
        effective or None,
    )


def _follow(
    flow: Flow,
    condition: Condition | None,
    starts: Points,
    rows: Tensor,  # noqa: ARG001
    labels: Tensor,  # noqa: ARG001
    **options: Any,
) -> Solution:
    """Integrate the velocity of `flow`; `rows` and `labels` are those of `Integrate`."""
    return flow.trajectory(starts, condition=condition, **options)


def check_rising(times: Sequence[float]) -> None:
    """Refuse times of samples that do not rise from that of the noise."""
    if list(times) != sorted({0.0, *times}):
        raise InputError(f"times must rise from 0, where the noise is, got {list(times)}")


def from_noise(flow: Flow, encoder: Encoder | None) -> ImageSpace:
    """The space of a flow, which has to start from noise."""
    space = ImageSpace.of(flow, encoder)
    if space.source != "noise":
        raise InputError(
            f"this flow starts from images of {space.source}, not from noise: translate those"
        )
    if space.low_res is not None:
        raise InputError("this flow makes images of low resolutions: give it these by upscale")
    return space


#: Solvers that take so many steps, and the number where none is named; others take 100.
_FIXED = (*FIXED_STEP, "edm-heun", "average")
_N_STEPS = {"average": 1, "edm-heun": 18}


def resolve_solver(flow: Flow, solver: str | None, n_steps: int | None) -> dict[str, Any]:
    """Solver and steps, where they are not named those that suit the flow."""
    solver = solver or ("average" if flow.is_mean_flow else "dopri5")
    if n_steps is None:
        return {"solver": solver, "n_steps": _N_STEPS.get(solver, 100)}
    if solver in ODE_SOLVERS and solver not in _FIXED:
        raise InputError(
            f"solver {solver!r} chooses its steps by tolerance, so n_steps={n_steps} has no "
            f"effect: name one with fixed steps, {format_list(_FIXED[:-1])}"
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
            f"solver {setting!r} is none of the form euler:8, with {format_list(_FIXED)}, nor an "
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


def solver_name(
    intervals: int, solver: str = "rk4", n_steps: int = 100, rho: float = 7.0, **_: Any
) -> str:
    """Name of a solver and its steps over so many intervals, as `solver_options` reads it."""
    if solver == "average":
        # Each time is reached from the start.
        return f"{solver}:{n_steps}"
    if solver == "edm-heun":
        return f"{solver}:{n_steps}" + ("" if rho == 7 else f":{rho:g}")
    return f"{solver}:{n_steps * intervals}" if solver in FIXED_STEP else solver
