"""How a time is held out and scored: what one score, and a comparison of many, have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any

import torch
from anndata import AnnData

from cellflow._checks import check_choice
from cellflow._random import torch_generator
from cellflow.evaluation.external import peer_prediction
from cellflow.evaluation.folds import SCORING_SEED, Fold, make_fold
from cellflow.evaluation.named_methods import Contestant, Peer
from cellflow.evaluation.protocols import PROTOCOLS, Protocol
from cellflow.flow import Flow
from cellflow.flow.carry import Carried, carry
from cellflow.io import SideColumns, TimePoints, populations, time_points_of
from cellflow.marginals import Marginals, TimeAxis, fit_time_axis
from cellflow.metrics import PredictionScore, Yardstick, make_baselines
from cellflow.representation import Settings, fit_representation
from cellflow.representation.expression import expression
from cellflow.training import Job, fit_flow, settings_after, sigma_after

#: Dimensions that published single-cell benchmarks score in.
_BENCHMARK_DIMS = 5


@dataclass(frozen=True)
class Evaluation:
    """How the times of one course are held out.

    Attributes
    ----------
    adata, points
        The cells and their times.
    rules, clock
        The protocol, and the clock of flows.
    axis
        The clock of baselines and peers: the protocol's where flows learn theirs.
    asked
        The representation.
    known
        What couplings are told of kept cells.
    condition_keys
        Columns that velocities depend on.
    max_cells
        Cells a side that are scored at most; None scores all.
    """

    adata: AnnData
    points: TimePoints
    rules: Protocol
    clock: str
    axis: TimeAxis
    asked: Settings
    known: SideColumns
    condition_keys: tuple[str, ...] = ()
    max_cells: int | None = None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        *,
        time_key: str | None,
        use_rep: str | None,
        layer: str | None,
        kind: str,
        n_dims: int | None,
        whiten: bool,
        protocol: str,
        time_axis: str | None,
        condition_keys: str | Sequence[str],
        label_key: str | None,
        lineage_key: str | None,
        cost_rep: str | None,
        max_cells: int | None,
    ) -> Evaluation:
        """Read settings as users give them.

        Raises
        ------
        InputError
            For an unknown protocol or clock, and times that cannot be read.
        """
        check_choice(protocol, PROTOCOLS, "protocol")
        rules = PROTOCOLS[protocol]
        points = time_points_of(adata, time_key)
        clock = rules.flow_axis if time_axis is None else time_axis
        axis = TimeAxis(rules.time_axis if clock == "learned" else clock, points.times)
        asked = Settings(use_rep, layer, kind, n_dims, _BENCHMARK_DIMS, whiten)
        keys = [condition_keys] if isinstance(condition_keys, str) else condition_keys
        known = SideColumns(label_key, lineage_key, cost_rep)
        return cls(adata, points, rules, clock, axis, asked, known, tuple(keys), max_cells)

    def fold(self, time: float, contestant: Contestant | Peer | None = None) -> Fold:
        """Hold one time out, with growth rates where the contestant asks for them."""
        growth = isinstance(contestant, Contestant) and contestant.method.growth == "gene-sets"
        return make_fold(
            self.adata,
            self.points,
            time,
            self.asked,
            replace(self.known, growth=growth),
            condition_keys=self.condition_keys,
            fit_to_all=self.rules.representation_sees_held_out,
            max_cells=self.max_cells,
        )

    def check_representation(self) -> None:
        """Refuse what points cannot be made from, as far as a look tells.

        Raises
        ------
        InputError
            For missing keys, NaN, more dimensions than there are, or no expression.
        """
        if self.asked.use_rep is None:
            expression(self.adata, self.asked.layer)
        else:
            fit_representation(self.adata, self.asked)

    def may_have_seen(self, contestants: Sequence[Contestant | Peer]) -> bool:
        """Whether something that a prediction rests on may have seen the held-out cells."""
        return (
            self.rules.representation_sees_held_out
            or self.asked.use_rep is not None
            or self.known.cost_rep is not None
            or any(
                isinstance(each, Contestant) and each.method.growth == "gene-sets"
                for each in contestants
            )
        )


def baselines_of(fold: Fold, axis: TimeAxis) -> dict[str, Any]:
    """Predictions of a fold that need no model, in units of the score."""
    previous, following = (fold.observed(time) for time in (fold.before, fold.after))
    return make_baselines(previous, following, fold.fraction(axis))


def yardstick_of(
    fold: Fold, axis: TimeAxis, *, progress: bool, threads: int | None = None
) -> Yardstick:
    """Split the held-out cells of a fold and score its baselines."""
    return Yardstick.make(
        fold.observed(fold.time),
        baselines_of(fold, axis),
        SCORING_SEED,
        doublings=fold.doublings,
        progress=progress,
        threads=threads,
    )


@dataclass(frozen=True)
class Result:
    """One prediction and its score.

    Attributes
    ----------
    score
        What it measured.
    n_predicted
        Cells that were predicted.
    seconds
        Wall time of fit and prediction.
    """

    score: PredictionScore
    n_predicted: int
    seconds: float

    @property
    def row(self) -> dict[str, Any]:
        """Its columns."""
        return {"n_predicted": self.n_predicted, **asdict(self.score), "seconds": self.seconds}


def evaluated(
    evaluation: Evaluation,
    fold: Fold,
    yardstick: Yardstick,
    contestant: Contestant | Peer,
    *,
    seed: int,
    device: torch.device,
    progress: bool,
    threads: int | None = None,
) -> Result:
    """Fit to the kept cells, predict those held out, and score the prediction."""
    started = perf_counter()
    carried = _predicted(evaluation, fold, contestant, seed, device, progress=progress)
    seconds = perf_counter() - started
    cloud = fold.cloud(carried.points, carried.weights)
    score = yardstick.measure(cloud, progress=progress, threads=threads)
    return Result(score, len(carried.points), seconds)


@dataclass(frozen=True)
class Trial:
    """A held-out time and a seed that a method is scored with.

    Attributes
    ----------
    fold, yardstick
        The held-out time, and what predictions of it are measured with.
    seed
        Of the fit.
    """

    fold: Fold
    yardstick: Yardstick
    seed: int


def evaluated_together(
    evaluation: Evaluation,
    trials: Sequence[Trial],
    contestant: Contestant,
    *,
    device: torch.device,
    progress: bool,
) -> list[Result]:
    """Evaluate one method at several held-out times and seeds, one after another."""
    return [
        evaluated(
            evaluation,
            trial.fold,
            trial.yardstick,
            contestant,
            seed=trial.seed,
            device=device,
            progress=progress,
        )
        for trial in trials
    ]


def _job(evaluation: Evaluation, fold: Fold, contestant: Contestant, seed: int) -> Job:
    """The fit of a fold: its kept cells in time, on the clock that they give."""
    clock = contestant.time_axis or evaluation.clock
    axis = fit_time_axis(clock, evaluation.points.times, fold.cells.x, fold.elapsed)
    marginals = populations(fold.cells, fold.elapsed, fold.kept, axis)
    return Job(marginals, axis, contestant.method, contestant.recipe, seed)


def _predicted(
    evaluation: Evaluation,
    fold: Fold,
    contestant: Contestant | Peer,
    seed: int,
    device: torch.device,
    *,
    progress: bool,
) -> Carried:
    if isinstance(contestant, Peer):
        return peer_prediction(contestant, fold, evaluation.axis, seed)
    job = _job(evaluation, fold, contestant, seed)
    options = {"seed": seed, "device": device, "progress": progress}
    flow = _fitted(job.marginals, job.axis, contestant, **options)
    return _predict(flow, fold, evaluation.rules, torch_generator(seed))


def _fitted(marginals: Marginals, axis: TimeAxis, contestant: Contestant, **options: Any) -> Flow:
    """A flow of the kept cells, and before it the one that it needs."""
    method, recipe = contestant.method, contestant.recipe
    if contestant.prior is None:
        return fit_flow(marginals, axis, method=method, recipe=recipe, **options)
    prior = fit_flow(marginals, axis, method=contestant.prior, recipe=recipe, **options)
    if method.objective == "oat":
        changes = {} if contestant.keeps_sigma else {"sigma": sigma_after(prior)}
        method, recipe = settings_after(prior, method, None, changes, {})
    return fit_flow(marginals, axis, method=method, recipe=recipe, prior=prior, **options)


def _predict(flow: Flow, fold: Fold, rules: Protocol, generator: torch.Generator) -> Carried:
    # Average velocities are learned to get there in one step.
    way = {} if flow.is_mean_flow else {"solver": rules.solver, "n_steps": rules.n_steps}
    return carry(
        flow,
        fold.at,
        (fold.before, fold.after),
        fold.time,
        start=rules.start,
        generator=generator,
        **way,
    )
