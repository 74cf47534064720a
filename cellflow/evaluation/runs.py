"""The pieces of a benchmark: data sets, their held-out times, and fits, each done by a `Desk`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anndata import AnnData

from cellflow._errors import InputError
from cellflow._versions import versions
from cellflow.evaluation.digest import digest_of
from cellflow.evaluation.folds import SCORING_SEED, Fold, interior_times
from cellflow.evaluation.named_methods import Contestant, Peer
from cellflow.evaluation.plan import HeldOut
from cellflow.evaluation.predict import Evaluation, evaluated, yardstick_of
from cellflow.evaluation.results import ROWS, YARDSTICKS, BenchmarkFolder
from cellflow.io import read_course
from cellflow.io.courses import NPZ_REP
from cellflow.metrics import Score, Yardstick
from cellflow.training import resolve_device

#: What tells a unit or a fit from the others of a benchmark.
Place = tuple[str | float | int, ...]


@dataclass(frozen=True)
class DataSet:
    """A data set and how its times are held out.

    Attributes
    ----------
    name
        What tables call it.
    source
        Cells, or the file that has them.
    settings
        How its times are held out.
    """

    name: str
    source: AnnData | Path
    settings: HeldOut

    def read(self) -> AnnData:
        """Its cells."""
        return self.source if isinstance(self.source, AnnData) else read_course(self.source)

    def evaluation(self, adata: AnnData) -> Evaluation:
        """How its times are held out."""
        settings = self.settings.model_dump(exclude={"times"})
        if isinstance(self.source, Path) and self.source.suffix == ".npz":
            settings["use_rep"] = settings["use_rep"] or NPZ_REP
        return Evaluation.of(adata, **settings)


@dataclass(frozen=True)
class Unit:
    """A held-out time of a data set.

    Attributes
    ----------
    course
        Name of the data set.
    time
        The held-out time.
    key
        All that decides the fold and its yardstick.
    """

    course: str
    time: float
    key: Mapping[str, Any]

    @property
    def place(self) -> Place:
        """What tells it from the others."""
        return self.course, self.time

    def __str__(self) -> str:
        return f"{self.course}, time {self.time:g}"


@dataclass(frozen=True)
class Fit:
    """A method, fitted in one unit with one seed, on one kind of device."""

    unit: Unit
    contestant: Contestant | Peer
    seed: int
    device: str

    @property
    def key(self) -> dict[str, Any]:
        """All that decides its row."""
        return {
            **self.unit.key,
            **self.contestant.settings,
            "seed": self.seed,
            "device": self.device,
        }

    @property
    def place(self) -> Place:
        """What tells it from the others."""
        return *self.unit.place, self.contestant.name, self.seed

    def __str__(self) -> str:
        return f"{self.unit}, {self.contestant.name}, seed {self.seed}"


class Desk:
    """Where units and fits are worked on, one after another; keeps the last data and fold at hand.

    Parameters
    ----------
    courses
        The data sets by name.
    folder
        Where yardsticks and rows are kept.
    device
        Where to fit.
    threads
        Transport problems that are solved side by side at most; None takes the cores' number.
    """

    def __init__(
        self,
        courses: Mapping[str, DataSet],
        folder: BenchmarkFolder,
        device: str,
        threads: int | None = None,
    ) -> None:
        self.courses, self.folder, self.threads = courses, folder, threads
        self.device = resolve_device(device)
        self._adata: tuple[Any, AnnData] | None = None
        self._evaluation: tuple[Any, Evaluation] | None = None
        self._fold: tuple[Any, Fold] | None = None

    def units(self, name: str) -> list[Unit]:
        """The held-out times of a data set.

        Raises
        ------
        InputError
            For what cannot be read or held out, naming the data set.
        """
        with _naming(name):
            evaluation = self.evaluation(name)
            evaluation.check_representation()
            shared = {
                "cellflow": versions()["cellflow"],
                "data": digest_of(evaluation),
                "protocol": asdict(evaluation.rules),
                "time_axis": evaluation.clock,
                "representation": asdict(evaluation.asked),
                "known": asdict(evaluation.known),
                "condition_keys": list(evaluation.condition_keys),
                "max_cells": evaluation.max_cells,
            }
            wanted = self.courses[name].settings.times
            times = interior_times(evaluation.points, wanted)
        return [Unit(name, time, {**shared, "time": time}) for time in times]

    def yardstick(self, unit: Unit) -> dict[str, Any]:
        """Score the baselines of a unit, and keep that."""
        with _naming(unit.course):
            fold = self.fold(unit, None)
            evaluation = self.evaluation(unit.course)
            made = yardstick_of(fold, evaluation.axis, progress=False, threads=self.threads)
        value = {
            "n_true": len(made.real),
            "n_dims": fold.real.shape[1],
            "representation": fold.space,
            "reference": made.reference,
            "baselines": {name: asdict(score) for name, score in made.baselines.items()},
        }
        self.folder.write(YARDSTICKS, unit.key, value)
        return value

    def row(self, fit: Fit) -> dict[str, Any]:
        """Fit, predict and score, and keep that."""
        evaluation = self.evaluation(fit.unit.course)
        fold = self.fold(fit.unit, fit.contestant)
        value = evaluated(
            evaluation,
            fold,
            self._yardstick_of(fit.unit, fold),
            fit.contestant,
            seed=fit.seed,
            device=self.device,
            progress=False,
            threads=self.threads,
        ).row
        self.folder.write(ROWS, fit.key, value)
        return value

    def evaluation(self, name: str) -> Evaluation:
        """How the times of a data set are held out."""
        if self._evaluation is None or self._evaluation[0] != name:
            course = self.courses[name]
            # Data sets may be one file in several representations.
            source = course.source if isinstance(course.source, Path) else id(course.source)
            if self._adata is None or self._adata[0] != source:
                self._adata = source, course.read()
            self._evaluation = name, course.evaluation(self._adata[1])
        return self._evaluation[1]

    def fold(self, unit: Unit, contestant: Contestant | Peer | None) -> Fold:
        """The fold of a unit, for one contestant."""
        growth = isinstance(contestant, Contestant) and contestant.method.growth == "gene-sets"
        key = unit.course, unit.time, growth
        if self._fold is None or self._fold[0] != key:
            self._fold = key, self.evaluation(unit.course).fold(unit.time, contestant)
        return self._fold[1]

    def _yardstick_of(self, unit: Unit, fold: Fold) -> Yardstick:
        kept = self.folder.read(YARDSTICKS, unit.key) or self.yardstick(unit)
        baselines = {name: Score(**score) for name, score in kept["baselines"].items()}
        return Yardstick.known(
            fold.observed(fold.time),
            baselines,
            kept["reference"],
            SCORING_SEED,
            doublings=fold.doublings,
        )


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of input inside tell which data set they are of."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"data {name!r}: {error}") from error
