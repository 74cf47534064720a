"""Folds of held-out evaluation: the cells of one held-out time, and the training cells."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from cellflow._batch import Batch
from cellflow._checks import format_list, format_number
from cellflow._errors import InputError
from cellflow._keys import GROWTH, GROWTH_SETTINGS, read_record
from cellflow._log import log_info
from cellflow.evaluation.condition_folds import ConditionValues, HeldOutCondition
from cellflow.evaluation.held_out import HeldOut
from cellflow.evaluation.inheritance import resolve_held_out
from cellflow.evaluation.protocols import PROTOCOLS
from cellflow.evaluation.replicates import Replicates, find_replicate_folds
from cellflow.flow import Flow
from cellflow.io import (
    DEFAULT_WEIGHT,
    KnownTransitions,
    SideColumns,
    TimePoints,
    load_matrices,
    log_times,
    time_key_of,
    time_points_for_flow,
    time_points_of,
    unit_of_name,
)
from cellflow.io.conditions import is_number, number_groups
from cellflow.io.matrices import read_stored, take_cells
from cellflow.marginals import TimeAxis
from cellflow.metrics import (
    OTHERS,
    OTHERS_SHIFTED,
    Baselines,
    Cloud,
    make_baselines,
    make_condition_baselines,
    replicate_distance,
)
from cellflow.representation import Representation, check_available, fit_representation
from cellflow.representation.expression import read_expression, stored_expression

#: Seed of the splits and draws of scoring, the same for every method and every seed of a fit.
SCORING_SEED = 0

#: Cells that a held-out time needs, so that its halves have two each.
_MIN_CELLS = 4


@dataclass(frozen=True)
class Fold:
    """One held-out time: its cells, and the training cells of all other times.

    Or one held-out replicate, or value of a condition, at one time, with the training cells of all
    others.

    Attributes
    ----------
    time
        The held-out time.
    training_times
        All times of the training cells.
    cells, elapsed
        The training cells, with points in the fold's representation, and their times.
    moved, moved_elapsed
        The cells that predictions and baselines start from, and their times: the training cells,
        those of a held-out replicate at its other times, or those of a held-out condition at the
        first time.
    held_out
        Points of the held-out cells, shape (m, d).
    unit
        Divisor of each coordinate before scoring, shape (d,).
    representation
        The representation, fitted to the training cells or, by protocol, to all.
    max_cells
        Maximum number of cells per side of a score, drawn with a fixed seed; None scores all.
    replicates
        Points of each replicate of the held-out cells, if there are two or more; or, if a replicate
        is held out, those of the others at that time alone.
    replicate
        Name of the held-out replicate; None if none is.
    condition
        The held-out value of a condition; None if none is.
    """

    time: float
    training_times: tuple[float, ...]
    cells: Batch
    elapsed: np.ndarray
    moved: Batch
    moved_elapsed: np.ndarray
    held_out: np.ndarray
    unit: np.ndarray
    representation: Representation
    max_cells: int | None = None
    replicates: tuple[np.ndarray, ...] = ()
    replicate: str | None = None
    condition: HeldOutCondition | None = None

    @property
    def moved_times(self) -> tuple[float, ...]:
        """Times of the cells that predictions start from."""
        return tuple(np.unique(self.moved_elapsed).tolist())

    @property
    def first(self) -> float:
        """First time of the cells that predictions start from."""
        return self.moved_times[0]

    @property
    def before(self) -> float:
        """Last of these times before the held-out time."""
        return max(time for time in self.moved_times if time < self.time)

    @property
    def after(self) -> float:
        """First of these times after the held-out time."""
        return min(time for time in self.moved_times if time > self.time)

    @property
    def neighbours(self) -> tuple[float, float]:
        """Time points before and after; both are the time itself if the flow was fitted to it."""
        return (self.time, self.time) if self.condition else (self.before, self.after)

    def cells_at(self, time: float) -> Batch:
        """Return the cells of one time that predictions start from."""
        return self.moved[torch.as_tensor(np.flatnonzero(self.moved_elapsed == time))]

    def to_cloud(self, points: np.ndarray, weights: np.ndarray | None = None) -> Cloud:
        """Scale points to the unit of the score, and draw `max_cells` of them if there are more.

        Parameters
        ----------
        points
            Shape (n, d).
        weights
            Mass of each point, shape (n,); None weighs them equally.
        """
        cloud = Cloud.of(points / self.unit, weights)
        if self.max_cells is None or len(cloud) <= self.max_cells:
            return cloud
        return cloud.resample(self.max_cells, np.random.default_rng(SCORING_SEED))

    def cloud_at(self, time: float) -> Cloud:
        """Return the measured cells of one time, scaled to the unit of the score."""
        held_out = time == self.time
        return self.to_cloud(self.held_out if held_out else self.cells_at(time).x.double().numpy())

    def _sample(self, cells: Batch) -> Batch:
        """Return the cells that `to_cloud` draws of some, in its order."""
        if self.max_cells is None or len(cells) <= self.max_cells:
            return cells
        cloud, rng = Cloud.of(cells.x.double().numpy()), np.random.default_rng(SCORING_SEED)
        return cells[torch.as_tensor(cloud.draw_rows(self.max_cells, rng))]

    def _condition_scale(self) -> float:
        """Return the factor of conditions in costs: default weight, and units of the score."""
        costs = self.cells.x if self.cells.features is None else self.cells.features
        scored = self.cells.x.double().numpy() / self.unit
        ratio = scored.var(axis=0).sum() / (float(costs.double().numpy().var(axis=0).sum()) or 1.0)
        return float(np.sqrt(DEFAULT_WEIGHT * ratio))

    @property
    def log2_ratio(self) -> float:
        """log2 of the cells of the larger side over `max_cells`; 0 if all are scored."""
        if self.max_cells is None:
            return 0.0
        if self.condition:
            n_beside = sum(map(len, self.condition.neighbours))
        else:
            n_beside = int(np.isin(self.moved_elapsed, self.neighbours).sum())
        return max(0.0, float(np.log2(max(len(self.held_out), n_beside) / self.max_cells)))

    def fraction(self, axis: TimeAxis) -> float:
        """Return the share of the interval between its neighbours that has passed on a clock."""
        start, here, stop = (axis.to_flow(t) for t in (self.before, self.time, self.after))
        return (here - start) / (stop - start)

    def score_baselines(
        self, axis: TimeAxis, *, progress: bool = False, threads: int | None = None
    ) -> Baselines:
        """Score the baselines on a clock, and split the held-out cells for the reference."""
        if self.condition is None:
            predictions = self._predict_by_times(axis)
        else:
            below, above = map(self._sample, self.condition.neighbours)
            predictions = make_condition_baselines(
                self.to_cloud(below.x.double().numpy()),
                self.to_cloud(above.x.double().numpy()),
                self.condition.share,
                labels=_labels_of(below, above),
            )
        return Baselines.fit(
            self.cloud_at(self.time),
            predictions,
            SCORING_SEED,
            log2_ratio=self.log2_ratio,
            progress=progress,
            threads=threads,
        )

    def _predict_by_times(self, axis: TimeAxis) -> dict[str, Cloud]:
        """Return the predictions without a model from the times before and after, by name.

        The midpoint couples cells as flows do: within labels, and with numeric conditions in costs.
        """
        before, after = (self._sample(self.cells_at(each)) for each in (self.before, self.after))
        clouds = [self.to_cloud(each.x.double().numpy()) for each in (before, after)]
        beside = None
        if before.condition_features is not None and after.condition_features is not None:
            scale = self._condition_scale()
            beside = (
                before.condition_features.double().numpy() * scale,
                after.condition_features.double().numpy() * scale,
            )
        predictions = make_baselines(
            clouds[0],
            clouds[1],
            self.fraction(axis),
            labels=_labels_of(before, after),
            beside=beside,
        )
        if self.replicate is not None:
            others = np.concatenate(self.replicates)
            predictions[OTHERS] = self.to_cloud(others)
            predictions[OTHERS_SHIFTED] = self.to_cloud(others + self._shift_of_replicate())
        return predictions

    def _shift_of_replicate(self) -> np.ndarray:
        """Return the mean difference of the held-out replicate from the others, shape (d,).

        It is that of the times before and after, or of one if the others lack cells at the other.
        """
        shifts = [
            (self.cells_at(time).x.mean(dim=0) - others.mean(dim=0)).double().numpy()
            for time in (self.before, self.after)
            if len(others := self.cells.x[torch.as_tensor(self.elapsed == time)])
        ]
        return np.mean(shifts, axis=0) if shifts else np.zeros(self.cells.x.shape[1])

    def score_replicates(self, reference: float) -> dict[str, float]:
        """Return `n_replicates` and `w1_replicates`, their distance at the size of `w1`.

        The distance is NaN if the held-out time does not have two replicates with enough cells.

        Parameters
        ----------
        reference
            W1 that fresh cells of the same time would have, at that size.
        """
        if len(self.replicates) < 2:
            return {"n_replicates": len(self.replicates), "w1_replicates": float("nan")}
        clouds = [self.to_cloud(points) for points in self.replicates]
        distance = replicate_distance(clouds, reference, SCORING_SEED)
        return {"n_replicates": len(clouds), "w1_replicates": distance}


class Evaluation:
    """A data set with the settings of how its times are held out.

    Parameters
    ----------
    adata
        Cells of three times or more.
    settings
        How times are held out.
    flow
        Flow to score, whose settings are used where `settings` has None.

    Attributes
    ----------
    settings
        How times are held out, with what comes from the flow or the cells.
    protocol
        Rules of the evaluation, with the start of the settings if they name one.
    points
        Times of all cells.
    time_unit
        Unit of the times, such as `hour`; empty if it is not known.
    time_axis
        Name of the clock of flows.
    baseline_axis
        Clock of baselines and external methods: that of the protocol if flows learn theirs.
    representation
        Settings of the representation; the default is at most 5 dimensions.
    origin
        Where it comes from, in words; empty for settings alone.
    replicates
        Replicate of each cell; None without `replicate_key`.

    Raises
    ------
    InputError
        For times that cannot be read, and a flow that was not fitted to cells.
    """

    def __init__(self, adata: AnnData, settings: HeldOut, flow: Flow | None = None) -> None:
        resolved = resolve_held_out(adata, settings, flow)
        settings, self.origin = resolved.settings, resolved.origin
        self.adata, self.settings, self.representation = adata, settings, resolved.representation
        protocol = PROTOCOLS[settings.protocol]
        self.protocol = replace(protocol, start=settings.start or protocol.start)
        time_key = time_key_of(adata, settings.time_key)
        if flow is not None and flow.time_key == time_key:
            self.points = time_points_for_flow(adata, flow, time_key)
        else:
            self.points = time_points_of(adata, time_key)
        if self.points.notes:
            log_times(self.points, time_key)
        self.time_unit = self.points.unit or unit_of_name(time_key)
        key = settings.replicate_key
        self.replicates = None if key is None else Replicates.read(adata, key)
        self.time_axis = settings.time_axis or self.protocol.flow_axis
        learned = self.time_axis == "learned"
        self.baseline_axis = TimeAxis(
            self.protocol.time_axis if learned else self.time_axis, self.points.times
        )

    def find_times(self) -> list[float]:
        """Find the times to hold out, in order.

        Raises
        ------
        InputError
            For a time without cells, without a neighbour on each side, or with fewer than four
            cells; for no time at all.
        """
        return find_interior_times(self.points, self.settings.times)

    def find_replicate_folds(self) -> list[tuple[str, float]]:
        """Find the folds that hold out a replicate, as (replicate, held-out time).

        Raises
        ------
        InputError
            Without `replicate_key`; if the flow depends on it; if no replicate can be held out.
        """
        if self.replicates is None:
            raise InputError(
                "hold_out 'replicate' requires the column of the replicates: give replicate_key "
                "(--replicate-key)"
            )
        key = self.replicates.key
        if key in self.settings.condition_keys:
            raise InputError(
                f"a flow with condition {key!r} cannot predict a replicate that it was not fitted "
                f"to; leave {key!r} out of condition_keys (--condition-key)"
            )
        return find_replicate_folds(self.replicates, self.points.elapsed, self.find_times())

    def find_condition_folds(self, wanted: Sequence[float] | None) -> list[tuple[float, float]]:
        """Find the folds that hold out a value of a condition, as (value, held-out time).

        Parameters
        ----------
        wanted
            Values to hold out; None uses every one that can be.

        Raises
        ------
        InputError
            Without a numeric condition; with another start than the first time; for times and
            values that cannot be held out.
        """
        if self.settings.start not in (None, "first"):
            raise InputError(
                f"start {self.settings.start!r} has no effect with hold_out 'condition': cells of "
                "the first time are moved; leave start (--start) out"
            )
        points = self.points
        if len(points.times) < 2:
            raise InputError(
                "holding a condition out needs two times or more; there is one: "
                f"{format_number(points.times[0])}"
            )
        times = list(points.times[1:])
        if self.settings.times is not None:
            times = sorted(set(points.find_all(self.settings.times)))
            if points.times[0] in times:
                raise InputError(
                    f"time {format_number(points.times[0])} is the first, from which cells of a "
                    "held-out condition are moved; times that can be predicted: "
                    f"{format_list(map(format_number, points.times[1:]))}"
                )
        return self.condition_values.find_folds(points.elapsed, times, wanted)

    @cached_property
    def condition_values(self) -> ConditionValues:
        """Values of the condition that is held out: the first that is a number."""
        return ConditionValues.read(self.adata, self.settings.condition_keys)

    def make_fold(
        self,
        time: float,
        *,
        growth_rates: bool = False,
        replicate: str | None = None,
        value: float | None = None,
        without: Collection[float] = (),
    ) -> Fold:
        """Hold one time out, or one replicate or one value of a condition at that time.

        The representation is fitted to the training cells, or to all cells if the protocol says so,
        and applied to all. With whitening, the unit of the score is the spread of all cells in that
        representation, so that scores of both protocols are comparable.

        Parameters
        ----------
        time
            The time.
        growth_rates
            Read growth rates with the training cells, of `growth_key` or `pp.growth`.
        replicate
            Hold out this replicate alone: the training cells are those of the others at all times,
            and predictions start from its own cells at its other times.
        value
            Hold out this value of the condition alone: the training cells are those of the other
            values at all times, and predictions start from its own cells of the first time.
        without
            Other times whose cells are not used either.
        """
        settings, elapsed = self.settings, self.points.elapsed
        training, moved, held_out = self._split(time, replicate, value, without)
        seen = training | self.protocol.representation_sees_held_out
        fitted = fit_representation(take_cells(self.adata, seen), self.representation)
        x = fitted.transform(self.adata)
        unit = x.std(axis=0) if settings.whiten else np.ones(x.shape[1])
        side_columns = self._side_columns(growth_rates).weigh_transitions(
            take_cells(self.adata, training), x[training], elapsed[training], 1.0
        )
        # Of weight one: methods have weights of their own, and share folds.
        batch, conditions = side_columns.encode(
            take_cells(self.adata, training),
            x[training],
            elapsed[training],
            settings.condition_keys,
            1.0,
            self.points.names,
        )
        start = batch
        if replicate is not None or value is not None:
            start = side_columns.batch(take_cells(self.adata, moved), x[moved], conditions)
        here = elapsed == time if value is None else held_out
        found = {} if self.replicates is None else self.replicates.find(here)
        return Fold(
            time,
            tuple(np.unique(elapsed[training]).tolist()),
            batch,
            elapsed[training],
            start,
            elapsed[moved],
            x[held_out],
            np.where(unit > 0, unit, 1.0),
            fitted,
            settings.max_cells,
            tuple(x[rows] for name, rows in found.items() if name != replicate),
            replicate,
            None if value is None else self._hold_out_value(value, time, x),
        )

    def _hold_out_value(self, value: float, time: float, x: np.ndarray) -> HeldOutCondition:
        """Return a held-out value with its neighbours among the points of all cells."""
        condition, here = self.condition_values, self.points.elapsed == time
        around = condition.around(value, here)
        assert around is not None
        obs, label_key = self.adata.obs, self.settings.label_key
        within = [key for key in self.settings.condition_keys if not is_number(obs[key])]
        within += [label_key] if label_key else []
        cells = Batch(
            torch.as_tensor(x),
            label=torch.as_tensor(number_groups(obs, within)) if within else None,
        )
        below, above = (
            cells[torch.as_tensor(np.flatnonzero(here & (condition.values == each)))]
            for each in around
        )
        return HeldOutCondition(
            condition.key,
            value,
            *around,
            condition.share(value, *around),
            (below, above),
        )

    def _split(
        self,
        time: float,
        replicate: str | None = None,
        value: float | None = None,
        without: Collection[float] = (),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return masks of the training cells, those that predictions start from, and the others."""
        elapsed = self.points.elapsed
        held_out = elapsed == time
        if value is not None:
            own = self.condition_values.values == value
            return ~own, own & (elapsed == self.points.times[0]), own & held_out
        training = moved = ~held_out & ~np.isin(elapsed, list(without))
        if replicate is None:
            return training, moved, held_out
        assert self.replicates is not None
        codes = self.replicates.codes
        own = codes == self.replicates.names.index(replicate)
        starts = np.isin(elapsed, self.replicates.start_times(replicate, elapsed))
        # Cells without a replicate may be of this one.
        return ~own & (codes >= 0), own & starts & ~held_out, own & held_out

    def _side_columns(self, growth_rates: bool) -> SideColumns:
        settings = self.settings
        return SideColumns(
            settings.label_key,
            settings.lineage_key,
            settings.cost_rep,
            growth_rates,
            settings.growth_key,
            KnownTransitions.read(settings.allowed_transitions, settings.group_key),
        )

    def check_columns(
        self,
        time: float,
        *,
        growth_rates: bool = False,
        replicate: str | None = None,
        value: float | None = None,
    ) -> None:
        """Check columns, keys and dimensions of a fold without reading a matrix.

        Raises
        ------
        InputError
            For those that are missing or invalid.
        """
        check_available(self.adata, self.representation)
        training, _, _ = self._split(time, replicate, value)
        self._side_columns(growth_rates).check(
            take_cells(self.adata, training),
            self.points.elapsed[training],
            self.settings.condition_keys,
            self.points.names,
        )

    def read_matrices(self) -> None:
        """Read matrices that stay in a file into memory, since every fold uses their rows."""
        self.adata = load_matrices(self.adata)

    def check_representation(self) -> None:
        """Check that points can be made from the cells, as far as that is cheap.

        Raises
        ------
        InputError
            For missing keys, NaN, more dimensions than there are, or no expression.
        """
        if self.settings.use_rep is None:
            read_expression(self.adata, self.settings.layer)
        else:
            fit_representation(self.adata, self.representation)

    def may_have_seen_held_out(self, *, growth_rates: bool) -> bool:
        """Return whether an input of the predictions may depend on the held-out cells.

        Parameters
        ----------
        growth_rates
            Whether a method uses growth rates, which were computed with all cells.
        """
        return (
            growth_rates
            or self.protocol.representation_sees_held_out
            or self.settings.use_rep is not None
            or self.settings.cost_rep is not None
        )

    def describe(self) -> dict[str, Any]:
        """Return all inputs of the folds as plain values: settings, protocol, digest of cells."""
        # Without replicates and transitions, scores are those of versions that had neither.
        left_out = {"time_key", "times", *(() if self.replicates else ("replicate_key",))}
        if not self.settings.allowed_transitions:
            left_out |= {"allowed_transitions", "group_key"}
        return {
            **self.settings.model_dump(mode="json", exclude=left_out),
            "protocol": asdict(self.protocol),
            "time_axis": self.time_axis,
            "data": self.digest(),
        }

    def digest(self) -> str:
        """Return a digest of all matrices and columns of the cells that a fold may use."""
        adata, settings = self.adata, self.settings
        digest = hashlib.sha256()
        growth = (read_record(adata.uns, GROWTH_SETTINGS) or {}).get("key_added", GROWTH)
        _update(digest, self.points.elapsed)
        if settings.use_rep is None:
            layer = settings.layer
            _update(digest, stored_expression(adata, layer))
            _update(digest, ["log1p" in adata.uns, *adata.var_names])
        for key in (settings.use_rep, settings.cost_rep, settings.lineage_key):
            if key is not None and key in adata.obsm:
                _update(digest, read_stored(adata, key))
        own = (settings.label_key, settings.lineage_key, settings.group_key, settings.growth_key)
        keys = [*own, growth]
        if settings.replicate_key is not None:
            keys.append(settings.replicate_key)
        for key in (*settings.condition_keys, *keys):
            if key in adata.obs:
                _update(digest, adata.obs[key].astype(str).tolist())
        return digest.hexdigest()[:32]


def _labels_of(one: Batch, other: Batch) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the labels of two batches; None unless both have labels."""
    if one.label is None or other.label is None:
        return None
    return one.label.numpy(), other.label.numpy()


def find_interior_times(
    points: TimePoints, times: float | str | Sequence[float | str] | None
) -> list[float]:
    """Find the times to hold out: those given, or every one with neighbours on both sides."""
    if len(points.times) < 3:
        raise InputError(
            f"holding a time out needs three times or more; there are {points.describe()}"
        )
    counts = dict(zip(points.times, points.counts, strict=True))
    interior = points.times[1:-1]
    usable = [time for time in interior if counts[time] >= _MIN_CELLS]
    if times is None and usable:
        if few := [format_number(time) for time in interior if time not in usable]:
            log_info(
                f"times with fewer than {_MIN_CELLS} cells are not held out: {format_list(few)}"
            )
        return usable
    found = list(interior) if times is None else points.find_all(times)
    for time in found:
        if time not in interior:
            raise InputError(
                f"time {format_number(time)} has no neighbours on both sides; times that can be "
                f"held out: {format_list(map(format_number, interior))}"
            )
        if time not in usable:
            raise InputError(
                f"time {format_number(time)} has fewer than {_MIN_CELLS} cells, too few to score"
            )
    return sorted(set(found))


def _update(digest: Any, values: Any) -> None:
    """Add a matrix, a column or a list to a digest."""
    values = values.to_memory() if hasattr(values, "to_memory") else values
    if sparse.issparse(values):
        rows = sparse.csr_matrix(values)
        for part in (rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)):
            _update(digest, part)
    elif isinstance(values, list) or values is None:
        digest.update(repr(values).encode())
    else:
        array = np.ascontiguousarray(
            values.to_numpy() if isinstance(values, pd.DataFrame) else values
        )
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
