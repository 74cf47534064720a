"""Runs of a benchmark: each scores one method, or the baselines, at one held-out time."""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from anndata import AnnData

from cellflow import _log
from cellflow._checks import format_number
from cellflow._errors import CellflowError, InputError
from cellflow._files import end_process
from cellflow._signals import block_ctrl_c, end_with_parent
from cellflow._versions import versions
from cellflow.evaluation.benchmark_plan import DataSet
from cellflow.evaluation.evaluation import Evaluation
from cellflow.evaluation.fold import SCORING_SEED, Fold
from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.named_methods import ExternalMethod, NamedMethod
from cellflow.evaluation.predict import score_method
from cellflow.evaluation.results import BASELINES, FITS, ResultsFolder
from cellflow.io import open_course, read_course
from cellflow.metrics import REFERENCES, Baselines, Score
from cellflow.training import resolve_device


@dataclass(frozen=True)
class Run:
    """One method with one seed, or the baselines, at one held-out time of a data set.

    Attributes
    ----------
    data
        Name of the data set.
    time
        The held-out time.
    key
        All that decides the scores, as plain values.
    method, seed
        The method and the seed of its fit; None for the baselines.
    baselines
        Run of the baselines at the same time; None for those themselves.
    """

    data: str
    time: float
    key: Mapping[str, Any]
    method: NamedMethod | ExternalMethod | None = None
    seed: int | None = None
    baselines: Run | None = None

    @property
    def id(self) -> tuple[str, float, str | None, int | None]:
        """Names that differ between the runs of a benchmark."""
        return self.data, self.time, None if self.method is None else self.method.name, self.seed

    @property
    def kind(self) -> str:
        """Folder of its result."""
        return BASELINES if self.method is None else FITS

    @property
    def needed(self) -> tuple[str, ...]:
        """Names that its result must have."""
        return REFERENCES if self.method is None else ()

    def __str__(self) -> str:
        name = "" if self.method is None else f", {self.method.name}, seed {self.seed}"
        return f"{self.data}, time {format_number(self.time)}{name}"


@dataclass(frozen=True)
class RunResult:
    """Scores of a run, or its error.

    Attributes
    ----------
    run
        The run.
    scores
        Scores; empty if the run failed.
    error
        Error message; empty if the run succeeded.
    """

    run: Run
    scores: Mapping[str, Any]
    error: str = ""


class Runner:
    """Computes runs one after another; the last data set and fold stay in memory.

    Parameters
    ----------
    data
        The data sets.
    results
        Folder that scores are written to.
    device
        Device of the fits.
    threads
        Transport problems that are solved side by side at most; None uses the number of cores.
    """

    def __init__(
        self,
        data: Sequence[DataSet],
        results: ResultsFolder,
        device: str,
        threads: int | None = None,
    ) -> None:
        self.data = {each.name: each for each in data}
        self.results, self.threads = results, threads
        self.device = resolve_device(device)
        # Data sets may be one file in several representations.
        self._read = lru_cache(maxsize=1)(read_course)
        self.evaluation = lru_cache(maxsize=1)(self._make_evaluation)
        self._fold = lru_cache(maxsize=1)(self._make_fold)

    def check(self, name: str, *, growth_rates: bool) -> None:
        """Check columns, times and keys of a data set without reading its matrices.

        Raises
        ------
        InputError
            For data that cannot be opened or held out, naming the data set.
        """
        data = self.data[name]
        with _name_data(name):
            cells = data.source if isinstance(data.source, AnnData) else open_course(data.source)
            evaluation = data.make_evaluation(cells)
            first, *_ = evaluation.find_parts()
            evaluation.check_columns(first, growth_rates=growth_rates)

    def baseline_runs(self, name: str) -> list[Run]:
        """Return the run of the baselines of each held-out time of a data set.

        Raises
        ------
        InputError
            For data that cannot be read or held out, naming the data set.
        """
        with _name_data(name):
            evaluation = self.evaluation(name)
            evaluation.check_representation()
            key = {"cellflow": versions()["cellflow"], **evaluation.describe()}
            return [Run(name, time, {**key, "time": time}) for time in evaluation.find_times()]

    def fit_run(self, baselines: Run, method: NamedMethod | ExternalMethod, seed: int) -> Run:
        """Return the run of a method at the held-out time of `baselines`."""
        own = {**method.describe(), "seed": seed, "device": self.device.type}
        key = {**baselines.key, **own}
        return replace(baselines, key=key, method=method, seed=seed, baselines=baselines)

    def compute(self, run: Run) -> dict[str, Any]:
        """Compute the scores of a run and write them to the folder."""
        scores = self._score_baselines(run) if run.method is None else self._score_method(run)
        self.results.write(run.kind, run.key, scores)
        return scores

    def _score_baselines(self, run: Run) -> dict[str, Any]:
        with _name_data(run.data):
            fold = self._fold(run.data, run.time, growth_rates=False)
            axis = self.evaluation(run.data).baseline_axis
            baselines = fold.score_baselines(axis, threads=self.threads)
        return {
            "n_true": len(baselines.real),
            "n_dims": fold.held_out.shape[1],
            "representation": fold.representation.describe(),
            **baselines.references,
            **(
                {}
                if self.evaluation(run.data).replicates is None
                else fold.score_replicates(baselines.w1_reference)
            ),
            "baselines": {name: asdict(score) for name, score in baselines.scores.items()},
        }

    def _score_method(self, run: Run) -> dict[str, Any]:
        assert run.method is not None
        assert run.seed is not None
        fold = self._fold(run.data, run.time, growth_rates=run.method.needs_growth_rates)
        return score_method(
            self.evaluation(run.data),
            fold,
            self._restore_baselines(run, fold),
            run.method,
            seed=run.seed,
            device=self.device,
            threads=self.threads,
        )

    def _restore_baselines(self, run: Run, fold: Fold) -> Baselines:
        assert run.baselines is not None
        known = self.results.read(
            BASELINES, run.baselines.key, run.baselines.needed
        ) or self.compute(run.baselines)
        scores = {name: Score(**score) for name, score in known["baselines"].items()}
        return Baselines.restore(
            fold.cloud_at(fold.time),
            scores,
            {name: known[name] for name in REFERENCES},
            SCORING_SEED,
            log2_ratio=fold.log2_ratio,
        )

    def _make_evaluation(self, name: str) -> Evaluation:
        data = self.data[name]
        cells = data.source if isinstance(data.source, AnnData) else self._read(data.source)
        return data.make_evaluation(cells)

    def _make_fold(self, name: str, time: float, *, growth_rates: bool) -> Fold:
        return self.evaluation(name).make_fold(HeldOutPart(time), growth_rates=growth_rates)


@contextmanager
def open_workers(
    runner: Runner, jobs: int
) -> Iterator[Callable[[Sequence[Run]], Iterator[RunResult]]]:
    """Start worker processes, or use this process if `jobs` is 1.

    Yields a function that computes runs and yields each result as it is ready. It raises an
    `InputError` for a data set whose baselines cannot be scored, and a `CellflowError` if a process
    is killed.
    """
    if jobs == 1:
        yield lambda runs: (_compute(runner, run) for run in runs)
        return
    # Spawn, not fork: a fork would copy the state of torch's threads.
    spawn = multiprocessing.get_context("spawn")
    settings = (tuple(runner.data.values()), runner.results, str(runner.device))
    pool = ProcessPoolExecutor(jobs, spawn, initializer=_start_worker, initargs=settings)
    others = set(multiprocessing.active_children())

    def compute(runs: Sequence[Run]) -> Iterator[RunResult]:
        try:
            with block_ctrl_c():
                pending = [pool.submit(_work, run) for run in runs]
            for done in as_completed(pending):
                yield done.result()
        except BrokenProcessPool as error:
            raise CellflowError(
                "a process of the benchmark was killed, perhaps for memory; run it again with "
                "fewer jobs: finished runs are not computed again"
            ) from error

    try:
        yield compute
    except BaseException:
        # Not after the fits that they are at.
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_runner: Runner | None = None


def _start_worker(data: tuple[DataSet, ...], results: ResultsFolder, device: str) -> None:
    """Make the runner of a new process, which is silent and computes on one thread."""
    global _runner  # noqa: PLW0603
    import torch

    end_with_parent(end_process)
    _log.show(logging.ERROR, "stderr")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    _runner = Runner(data, results, device, 1)


def _work(run: Run) -> RunResult:
    assert _runner is not None
    return _compute(_runner, run)


def _compute(runner: Runner, run: Run) -> RunResult:
    try:
        return RunResult(run, runner.compute(run))
    except Exception as error:  # a run that fails must not stop the others
        if run.method is None and isinstance(error, InputError):
            raise
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        return RunResult(run, {}, " ".join(f"{kind}{error}".split()))


@contextmanager
def _name_data(name: str) -> Iterator[None]:
    """Name the data set in input errors raised inside."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"data {name!r}: {error}") from error
