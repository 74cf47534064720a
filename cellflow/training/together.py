"""Many fits at once: nets of equal size, stacked, with one optimiser over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._errors import SolverError
from cellflow._random import Generators
from cellflow.couplings import SideBySide
from cellflow.flow import Flow
from cellflow.nets import Fields, MLPStack
from cellflow.objectives import VelocityRegression
from cellflow.paths import BridgePath, Path, StraightPath, WFRPath
from cellflow.training.devices import cpu_threads
from cellflow.training.fit import Job, Ready, fit_flow, prepared
from cellflow.training.loop import Trained, minimise
from cellflow.training.parallel import Crew

#: Paths whose numbers may differ from row to row, so that fits with other numbers share a batch.
_BY_ROW = (StraightPath, WFRPath)


def fit_flows(jobs: Sequence[Job], *, device: torch.device, progress: bool = False) -> list[Flow]:
    """Fit flows, those that can be side by side: as `fit_flow` does them alone, in less time.

    Fits of equal method, recipe and sizes become one training, in which each has its own
    generators, and so its own pairs, times, noise and initial weights: those that it has alone.
    Weights agree up to rounding. Perceptrons that regress on velocities, scores and growth can be
    trained so, on straight and Wasserstein-Fisher-Rao paths, without early stopping and clipping;
    all others are fitted one after another.

    Parameters
    ----------
    jobs
        What to fit.
    device
        Where to fit.
    progress
        Show progress bars on stderr.

    Returns
    -------
    The flows, in the order of the jobs.
    """
    groups: dict[Any, list[int]] = {}
    for k, job in enumerate(jobs):
        groups.setdefault(_kind(job, k), []).append(k)
    flows: dict[int, Flow] = {}
    for members in groups.values():
        some = [jobs[k] for k in members]
        flows.update(zip(members, _fitted(some, device, progress=progress), strict=True))
    return [flows[k] for k in range(len(jobs))]


def _kind(job: Job, k: int) -> Any:
    """What fits have in common that may share a training; for those that may not, their number."""
    recipe, marginals = job.recipe, job.marginals
    plain = recipe.net.kind == "mlp" and recipe.patience is None and recipe.clip is None
    plain = plain and recipe.accumulate == 1 and job.prior is None and Crew.here().size == 1
    if not plain:
        return k
    sizes = marginals.dim, marginals.condition_dim
    return job.method.model_dump_json(), recipe.model_dump_json(), sizes


def _fitted(jobs: Sequence[Job], device: torch.device, *, progress: bool) -> list[Flow]:
    if len(jobs) > 1:
        ready = [prepared(job, device, progress=progress) for job in jobs]
        objective = _joint_objective(ready)
        if objective is not None:
            try:
                return _trained_together(ready, objective, progress=progress)
            except SolverError:
                # One that diverges must not take the others along; alone it says so itself.
                pass
    return [
        fit_flow(
            job.marginals,
            job.axis,
            method=job.method,
            recipe=job.recipe,
            seed=job.seed,
            device=device,
            prior=job.prior,
            progress=progress,
        )
        for job in jobs
    ]


def _trained_together(
    ready: Sequence[Ready], objective: JointObjective, *, progress: bool
) -> list[Flow]:
    roles = ready[0].fields.roles
    nets = {role: MLPStack([each.fields.nets[role] for each in ready]) for role in roles}  # type: ignore[misc]
    for each in ready:
        each.watch.lap()
    with cpu_threads(ready[0].recipe.threads):
        trained = minimise(
            Fields(nets),
            SideBySide([each.coupling for each in ready]),
            objective,
            ready[0].recipe,
            Generators([each.generator for each in ready]),
            progress=progress,
            what=f"{len(ready)} fits",
        )
    for role, stack in trained.net.nets.items():
        stack.copy_to([each.fields.nets[role] for each in ready])  # type: ignore[operator]
    share = 1 / len(ready)
    return [
        each.flow(Trained(each.fields.eval(), _own(trained.history, k), trained.waited), share)
        for k, each in enumerate(ready)
    ]


def _own(history: dict[str, list[Any]], k: int) -> dict[str, list[Any]]:
    """The history of one fit."""
    return {**history, "step": list(history["step"]), "loss": [loss[k] for loss in history["loss"]]}


@dataclass(frozen=True)
class JointObjective:
    """The losses of fits whose pairs stand one after another in a batch.

    Attributes
    ----------
    regression
        What each regresses on.
    count
        Number of fits.
    """

    regression: VelocityRegression
    count: int

    def loss(self, net: Any, pairs: Pairs, generator: Any) -> Tensor:
        """Mean squared error of each fit, shape (count,)."""
        return self.regression.errors(net, pairs, generator).view(self.count, -1).mean(dim=1)


def _joint_objective(ready: Sequence[Ready]) -> JointObjective | None:
    objectives = [each.objective for each in ready]
    first = objectives[0]
    if not isinstance(first, VelocityRegression):
        return None
    paths = [each.path for each in objectives]  # type: ignore[attr-defined]
    path = _joint_path(paths, ready[0].recipe.batch_size, ready[0].generator.device)
    return None if path is None else JointObjective(replace(first, path=path), len(ready))


def _joint_path(paths: Sequence[Path], n: int, device: torch.device) -> Path | None:
    """One path whose numbers are, row by row, those of each for `n` rows; None if there is none."""
    first = paths[0]
    if not isinstance(first, (*_BY_ROW, BridgePath)):
        return None
    assert is_dataclass(first)
    numbers = {}
    for each in fields(first):
        values = [getattr(path, each.name) for path in paths]
        if len(set(values)) > 1:
            numbers[each.name] = torch.tensor(values, device=device).repeat_interleave(n)
    if numbers and not isinstance(first, _BY_ROW):
        return None
    return replace(first, **numbers)  # type: ignore[arg-type]
