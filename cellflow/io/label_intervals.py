"""Labels that have cells at one end of an interval only, in the names and times of the user."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from cellflow._checks import format_list, format_number
from cellflow._errors import CellflowWarning, InputError
from cellflow.io.conditions import read_column
from cellflow.io.groups import check_groups

#: Names of times by elapsed time, as the column of the user has them.
TimeNames = Mapping[float, str]


def check_label_intervals(
    obs: pd.DataFrame,
    keys: Sequence[str],
    elapsed: np.ndarray,
    names: TimeNames | None,
    *,
    warn: bool = True,
) -> None:
    """Check that cells of each label can be coupled between consecutive times.

    Parameters
    ----------
    obs
        Columns of the cells.
    keys
        Columns within whose values cells are coupled; a label is a combination of their values.
    elapsed
        Time of each cell, shape (n,).
    names
        Name of each time in messages; None writes numbers.
    warn
        Warn of labels with cells at one end of an interval only.

    Raises
    ------
    InputError
        If no label has cells at both ends of an interval.

    Warns
    -----
    CellflowWarning
        If some labels have cells at one end of an interval only.
    """
    if not keys:
        return
    columns = " and ".join(f"obs[{key!r}]" for key in keys)
    values = [read_column(obs, key).astype(str).to_numpy() for key in keys]
    labels = np.array([", ".join(row) for row in zip(*values, strict=True)], dtype=object)
    found = []
    for start, stop in pairwise(np.unique(elapsed)):
        before, after = (set(labels[elapsed == time]) for time in (start, stop))
        interval = f"{name_time_point(start, names)} to {name_time_point(stop, names)}"
        if not before & after:
            for key in keys:
                check_groups(obs[key])
            raise InputError(
                f"no value of {columns} has cells both at {name_time_point(start, names)} "
                f"({format_list(sorted(before))}) and at {name_time_point(stop, names)} "
                f"({format_list(sorted(after))}), so nothing can be coupled within it; leave it "
                "out of label_key (--label-key) and condition_keys (--condition-key)"
            )
        if alone := sorted(before ^ after):
            found.append(f"{format_list(alone)} from {interval}")
    if found and warn:
        warnings.warn(
            f"cells are coupled within {columns}; values with cells at one end of an interval only "
            f"are not coupled there: {'; '.join(found)}",
            CellflowWarning,
            stacklevel=2,
        )


def name_time_point(time: float, names: TimeNames | None) -> str:
    """Return the name of a time in a sentence; `time 3` without one."""
    return (names or {}).get(float(time), f"time {format_number(time)}")
