"""A data set with the settings of how parts of it are held out, and the folds that it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from cellflow._batch import Batch
from cellflow._checks import check_choice, format_list, format_number
from cellflow._errors import InputError
from cellflow._keys import GROWTH, GROWTH_SETTINGS, read_record
from cellflow._log import log_info
from cellflow.evaluation.condition_folds import ConditionValues, HeldOutCondition
from cellflow.evaluation.fold import Fold
from cellflow.evaluation.held_out import HeldOut
from cellflow.evaluation.held_out_parts import HeldOutPart, find_interior_times
from cellflow.evaluation.inheritance import resolve_held_out
from cellflow.evaluation.protocols import HOLD_OUT, PROTOCOLS
from cellflow.evaluation.replicates import Replicates
from cellflow.flow import Flow
from cellflow.io import (
    KnownTransitions,
    SideColumns,
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
from cellflow.representation import check_available, fit_representation
from cellflow.representation.expression import read_expression, stored_expression


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

    def find_parts(
        self, hold_out: str = "time", values: float | Sequence[float] | None = None
    ) -> list[HeldOutPart]:
        """Find what the folds hold out, in order.

        Parameters
        ----------
        hold_out
            `time`, `replicate` or `condition`, as in `tl.holdout`.
        values
            With `condition`: value to hold out, or several; None uses every one that can be.

        Raises
        ------
        InputError
            For an unknown `hold_out`, values without `condition`, and times, replicates or values
            that cannot be held out.
        """
        check_choice(hold_out, HOLD_OUT, "hold_out")
        if values is not None and hold_out != "condition":
            raise InputError(
                f"values has no effect with hold_out {hold_out!r}: give hold_out 'condition' "
                "(--hold-out condition), or times (--time)"
            )
        if self.replicates is not None and (missing := self.replicates.describe_missing()):
            log_info(missing)
        if hold_out == "replicate":
            return self._find_replicates()
        if hold_out == "condition":
            return self._find_values(None if values is None else _read_values(values))
        return [HeldOutPart(time) for time in self.find_times()]

    def _find_replicates(self) -> list[HeldOutPart]:
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
        return self.replicates.find_parts(self.points.elapsed, self.find_times())

    def _find_values(self, wanted: Sequence[float] | None) -> list[HeldOutPart]:
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
        return self.condition_values.find_parts(points.elapsed, times, wanted)

    @cached_property
    def condition_values(self) -> ConditionValues:
        """Values of the condition that is held out: the first that is a number."""
        return ConditionValues.read(self.adata, self.settings.condition_keys)

    def make_fold(
        self, part: HeldOutPart, *, growth_rates: bool = False, without: Collection[float] = ()
    ) -> Fold:
        """Hold one part out.

        The representation is fitted to the training cells, or to all cells if the protocol says so,
        and applied to all. With whitening, the unit of the score is the spread of all cells in that
        representation, so that scores of both protocols are comparable.

        Parameters
        ----------
        part
            What is held out.
        growth_rates
            Read growth rates with the training cells, of `growth_key` or `pp.growth`.
        without
            Other times whose cells are not used either, if a time is held out.
        """
        settings, elapsed = self.settings, self.points.elapsed
        training, moved, held_out = self._split(part, without)
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
        if not part.is_time:
            start = side_columns.batch(take_cells(self.adata, moved), x[moved], conditions)
        here = elapsed == part.time if part.value is None else held_out
        found = {} if self.replicates is None else self.replicates.find(here)
        return Fold(
            part,
            tuple(np.unique(elapsed[training]).tolist()),
            batch,
            elapsed[training],
            start,
            elapsed[moved],
            x[held_out],
            np.where(unit > 0, unit, 1.0),
            fitted,
            settings.max_cells,
            tuple(x[rows] for name, rows in found.items() if name != part.replicate),
            None if part.value is None else self._hold_out_value(part.value, part.time, x),
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
        self, part: HeldOutPart, without: Collection[float] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return masks of the training cells, those that predictions start from, and the others."""
        elapsed = self.points.elapsed
        here = elapsed == part.time
        if part.value is not None:
            own = self.condition_values.values == part.value
            return ~own, own & (elapsed == self.points.times[0]), own & here
        if part.replicate is not None:
            assert self.replicates is not None
            codes = self.replicates.codes
            own = codes == self.replicates.names.index(part.replicate)
            starts = np.isin(elapsed, self.replicates.start_times(part.replicate, elapsed))
            # Cells without a replicate may be of this one.
            return ~own & (codes >= 0), own & starts & ~here, own & here
        training = ~here & ~np.isin(elapsed, list(without))
        return training, training, here

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

    def check_columns(self, part: HeldOutPart, *, growth_rates: bool = False) -> None:
        """Check columns, keys and dimensions of a fold without reading a matrix.

        Raises
        ------
        InputError
            For those that are missing or invalid.
        """
        check_available(self.adata, self.representation)
        training, _, _ = self._split(part)
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


def _read_values(values: float | Sequence[float]) -> tuple[float, ...]:
    """Return values of a condition as numbers."""
    given = values if isinstance(values, Sequence | np.ndarray) else [values]
    try:
        return tuple(float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise InputError(f"values {values!r} are not numbers of the condition") from error


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
