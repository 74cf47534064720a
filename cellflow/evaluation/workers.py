"""Work on the pieces of a benchmark: in this process, or in several beside it."""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cellflow import _log
from cellflow._errors import CellflowError, InputError
from cellflow.evaluation.results import BenchmarkFolder
from cellflow.evaluation.runs import DataSet, Desk, Fit, Unit

#: Settings of a desk, in order, but the number of threads.
DeskSettings = tuple[Mapping[str, DataSet], BenchmarkFolder, str]


@dataclass(frozen=True)
class Outcome:
    """What came of one piece of work.

    Attributes
    ----------
    task
        A fit, or a unit whose yardstick was to be made.
    value
        Its numbers, or none.
    error
        Why there are none; empty where there are.
    """

    task: Unit | Fit
    value: Mapping[str, Any]
    error: str = ""


class Workers:
    """Desks, and tasks for them.

    Parameters
    ----------
    place
        Processes with a desk each, or a desk in this one.
    """

    def __init__(self, place: ProcessPoolExecutor | Desk) -> None:
        self.place = place

    def outcomes(self, tasks: Sequence[Unit | Fit]) -> Iterator[Outcome]:
        """Do the tasks, and yield what comes of each as it comes.

        Raises
        ------
        InputError
            For a data set that cannot be worked with.
        CellflowError
            If a process was ended from outside.
        """
        if isinstance(self.place, Desk):
            yield from (_outcome(self.place, task) for task in tasks)
            return
        try:
            pending = [self.place.submit(_work, task) for task in tasks]
            for done in as_completed(pending):
                yield done.result()
        except BrokenProcessPool as error:
            raise CellflowError(
                "a process of the benchmark was ended, perhaps for memory; run it again, with "
                "fewer jobs: what is finished is kept"
            ) from error


@contextmanager
def workers(settings: DeskSettings | Desk, jobs: int) -> Iterator[Workers]:
    """Desks with these settings in `jobs` processes, or the given one."""
    if isinstance(settings, Desk):
        yield Workers(settings)
        return
    # Started anew: a fork would copy torch's threads in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=settings)
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


_desk: Desk | None = None


def _begin(courses: Mapping[str, DataSet], folder: BenchmarkFolder, device: str) -> None:
    """Set a desk up in a new process, which says nothing and computes on one thread."""
    global _desk  # noqa: PLW0603
    import torch

    _log.show(logging.ERROR, "stderr")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    _desk = Desk(courses, folder, device, 1)


def _work(task: Unit | Fit) -> Outcome:
    assert _desk is not None
    return _outcome(_desk, task)


def _outcome(desk: Desk, task: Unit | Fit) -> Outcome:
    try:
        return Outcome(task, desk.row(task) if isinstance(task, Fit) else desk.yardstick(task))
    except Exception as error:  # one fit that fails must not take the others with it
        if isinstance(task, Unit) and isinstance(error, InputError):
            raise
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        return Outcome(task, {}, " ".join(f"{kind}{error}".split()))
