"""Values of the measured cells of a page: what they are coloured by and what a click reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cellflow._errors import InputError
from cellflow._keys import (
    ENTROPY,
    FATE,
    FROM_DATA,
    GROWTH,
    PROBABILITIES,
    RADIUS,
    UNCERTAINTY,
    is_relative_growth,
    read_record,
)
from cellflow.io import is_continuous, name_group, per_unit
from cellflow.io.matrices import read_numbers
from cellflow.pl._colours import category_colours
from cellflow.report._packing import Pack, Scale
from cellflow.tl._time_course import TimeCourse

#: Percentiles of a column between which colours differ; outliers would compress those of the rest.
_SHOWN = (1, 99)

#: Groups of a column that a page shows at most.
_MOST_GROUPS = 200


@dataclass(frozen=True)
class Column:
    """Something that cells are coloured by.

    Attributes
    ----------
    name
        Name to show, and what it is in a few words.
    about
        Meaning in a sentence; empty if the name says it.
    values
        Numbers of the cells, float, or codes of groups, int with -1 for none; shape (n,).
    names, colours
        Names of the groups and their colours; empty for numbers.
    size
        Bytes of a number.
    fate
        Whether it is the probability of a fate.
    """

    name: str
    about: str
    values: np.ndarray
    names: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    size: int = 2
    fate: bool = False

    def write(self, pack: Pack, key: str) -> dict[str, Any]:
        """Append the values under `key`; return the description for the page."""
        about = {"name": self.name, "about": self.about, "key": key, "fate": self.fate}
        if self.names:
            size = 1 if len(self.names) < 255 else 2
            # The code -1 of no group becomes the largest whole number.
            pack.add(key, self.values.astype(f"<u{size}"))
            return {**about, "groups": list(self.names), "colours": list(self.colours)}
        scale = Scale.of(self.values, self.size)
        pack.add(key, scale.quantise(self.values))
        known = self.values[np.isfinite(self.values)]
        low, high = np.percentile(known, _SHOWN) if known.size else (0.0, 1.0)
        if self.fate:
            low, high = 0.0, 1.0
        shown = {"shown": [float(low), float(high)]}
        return {**about, **scale.describe(), **shown}


def list_columns(
    course: TimeCourse, rows: np.ndarray, groups: str | None, obs_keys: Sequence[str]
) -> Iterator[Column]:
    """Yield the columns of some cells: groups, what verbs wrote, covariates, and those named."""
    obs, inputs = course.adata.obs, course.flow.inputs
    covariates = [*inputs.condition_keys, *([inputs.label_key] if inputs.label_key else [])]
    named = dict.fromkeys([*([groups] if groups else []), *obs_keys, *covariates])
    for key in named:
        if key in obs:
            about = "a covariate of the flow" if key in inputs.condition_keys else ""
            yield _read_column(course, key, rows, about)
    yield from _read_fates(course, rows)
    per = per_unit(course.time_points)
    relative = "relative to the mean of the cells of a time" if GROWTH in obs and (
        is_relative_growth(course.adata.uns, GROWTH)
    ) else "births minus deaths"  # fmt: skip
    written = {
        GROWTH: ("growth rate", f"{relative}, {per}"),
        UNCERTAINTY: (
            "disagreement of fits",
            "on where the cell goes, in units of the spread of the cells; agreement of seeds is "
            "not accuracy",
        ),
        FROM_DATA: ("distance from data", "of where the fits take the cell; 1 is usual among data"),
        RADIUS: ("radius of 90 % of descendants", "in units of the spread of the cells"),
    }
    for key, (name, about) in written.items():
        if key in obs and key not in named and pd.api.types.is_numeric_dtype(obs[key]):
            yield Column(name, about, obs[key].to_numpy(dtype=np.float64)[rows])


def _read_column(course: TimeCourse, key: str, rows: np.ndarray, about: str) -> Column:
    """Read a column of `obs` as numbers of a measurement or as groups."""
    values = course.adata.obs[key]
    if is_continuous(values):
        return Column(key, about, values.to_numpy(dtype=np.float64)[rows])
    colours = category_colours(course.adata, key)
    names = tuple(colours)
    if not 0 < len(names) <= _MOST_GROUPS:
        raise InputError(
            f"obs[{key!r}] has {len(names):,} groups, and a page shows 1 to {_MOST_GROUPS}; choose "
            "another column"
        )
    known = {name: code for code, name in enumerate(names)}
    codes = [
        -1 if pd.isna(value) else known.get(name_group(value), -1) for value in values.iloc[rows]
    ]
    return Column(key, about, np.array(codes), names, tuple(colours.values()))


def _read_fates(course: TimeCourse, rows: np.ndarray) -> Iterator[Column]:
    """Yield probabilities of fates and their entropy, if `tl.fates` wrote them."""
    uns, key = course.adata.uns, FATE + PROBABILITIES
    entry = read_record(uns, key)
    if entry is None or key not in course.adata.obsm:
        return
    values = read_numbers(course.adata, key)[rows]
    about = f"probability to end in this group of {entry['groups']}, by {entry['by']}"
    if entry.get("certain_by_construction"):
        about += "; nearly certain by construction, also where nothing can be known"
    for k, name in enumerate(map(str, entry["names"])):
        yield Column(f"fate {name}", about, values[:, k], size=1, fate=True)
    if FATE + ENTROPY in course.adata.obs:
        entropy = course.adata.obs[FATE + ENTROPY].to_numpy(dtype=np.float64)[rows]
        yield Column("fate entropy", "in nats; high where fates are open", entropy, size=1)
