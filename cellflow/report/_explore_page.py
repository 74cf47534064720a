"""The page to explore: what is in it, and its rendering as one self-contained HTML file."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps

from cellflow._checks import format_list, format_number
from cellflow._keys import FATE, PROBABILITIES
from cellflow._versions import versions
from cellflow.evaluation.comparison import compare_with_midpoint, describe_comparison
from cellflow.io import name_time, plural_unit
from cellflow.pl._colours import category_colours, default_colours, sequential_colours
from cellflow.pl._plane import Plane
from cellflow.report._cautions import cautions
from cellflow.report._cell_columns import Column
from cellflow.report._inputs import ReportInputs
from cellflow.report._moved_cells import MovedCells, find_ancestors, quantise_places
from cellflow.report._packing import Pack, Scale
from cellflow.report._page import pages
from cellflow.report._page_genes import PageGenes

#: Colours of the scale of numbers in the page, between which it interpolates.
_SHADES = 17


class ExplorePage:
    """The page while its parts are added.

    Parameters
    ----------
    inputs
        The time course, its flow and scores.
    selected
        Mask of the cells that were chosen.
    drawn
        Rows of the measured cells, sorted by time.
    moved
        Cells with paths.
    plane
        Coordinates that are drawn.
    genes
        Genes, or None.
    groups
        Column of `obs` with groups, or None.
    """

    def __init__(
        self,
        inputs: ReportInputs,
        selected: np.ndarray,
        drawn: np.ndarray,
        moved: MovedCells,
        plane: Plane,
        genes: PageGenes | None,
        groups: str | None,
    ) -> None:
        self.inputs, self.course = inputs, inputs.course
        self.selected, self.drawn, self.plane = selected, drawn, plane
        self.genes, self.groups = genes, groups
        # Paths are in the order of the cells that are drawn.
        place = {row: k for k, row in enumerate(drawn.tolist())}
        self.order = np.argsort([place[row] for row in moved.rows.tolist()], kind="stable")
        self.moved = moved
        self.rows = moved.rows[self.order]
        self.pack = Pack()
        self.notes: list[str] = []
        self.about: dict[str, Any] = {"ancestors": None, "genes": [], "gene_unit": ""}

    def add_cells(self, columns: Sequence[Column]) -> None:
        """Add positions, times, names and columns of the measured cells."""
        course, drawn = self.course, self.drawn
        positions = self.plane.cells[drawn]
        both = [positions.T.ravel().reshape(2, -1), self.moved.places.transpose(1, 0, 2)]
        spans = [np.concatenate([each[k].ravel() for each in both]) for k in range(2)]
        scales = [Scale.of(values, 2) for values in spans]
        self.scales = (scales[0], scales[1])
        self.pack.add("xy", quantise_places(positions[..., None], self.scales)[..., 0].T)
        times = course.time_points.times
        present = [time for time in times if (course.elapsed[drawn] == time).any()]
        position = np.searchsorted(present, course.elapsed[drawn])
        self.pack.add("time", position.astype("<u1" if len(present) < 256 else "<u2"))
        self.pack.add("moves", np.isin(drawn, self.rows).astype("<u1"))
        self.pack.add_text("names", [str(name) for name in course.adata.obs_names[drawn]])
        labels = course.time_points.labels_in_words
        bounds = np.searchsorted(position, np.arange(len(present) + 1)).tolist()
        everyone = course.elapsed[self.selected]
        self.about["points"] = [
            {
                "time": time,
                "label": labels.get(time) or format_number(time),
                "name": name_time(time, course.time_points.unit),
                "n": int((everyone == time).sum()),
                "from": start,
                "to": stop,
            }
            for time, (start, stop) in zip(present, pairwise(bounds), strict=True)
        ]
        colours = sequential_colours(len(present))
        time = {"name": "time", "about": "", "key": "time", "fate": False, "size": 2}
        names = [point["name"] for point in self.about["points"]]
        described = [{**time, "groups": names, "colours": colours}]
        fate_colours = self._fate_colours(columns)
        for k, column in enumerate(columns):
            entry = {**column.write(self.pack, f"column{k}"), "size": column.size}
            if column.fate:
                entry["colour"] = fate_colours[column.name]
            described.append(entry)
        self.about["columns"] = described
        self.about["colour"] = 1 if self.groups else 0

    def _fate_colours(self, columns: Sequence[Column]) -> dict[str, str]:
        """Return the colour of each fate: that of its group if the groups of the page are fates."""
        fates = [column.name for column in columns if column.fate]
        known: dict[str, str] = {}
        if self.groups is not None:
            known = dict(category_colours(self.course.adata, self.groups))
        default = default_colours(fates)
        return {name: known.get(name.removeprefix("fate "), default[name]) for name in fates}

    def add_paths(self) -> None:
        """Add the paths of the moved cells, and their mass if it changes."""
        moved, order = self.moved, self.order
        self.pack.add("start", moved.starts[order].astype("<u2"))
        self.pack.add("paths", quantise_places(moved.places[order], self.scales), delta=True)
        self.about["mass"] = None
        if moved.log_mass is not None:
            scale = Scale.of(moved.log_mass, 1)
            self.pack.add("mass", scale.quantise(moved.log_mass[order]), delta=True)
            self.about["mass"] = scale.describe()
        self.about["grid"] = moved.times.tolist()
        self.about["gene_grid"] = moved.times[moved.gene_times].tolist()

    def add_genes(self, genes: PageGenes) -> None:
        """Add the expression of measured cells, and of moved ones along their paths."""
        values, measured = genes.measure(self.course, self.drawn)
        assert self.moved.genes is not None
        along = self.moved.genes[self.order]
        whole = np.empty(values.T.shape, dtype=np.uint8)
        whole_along = np.empty(along.shape, dtype=np.uint8)
        for k, name in enumerate(genes.names):
            scale = Scale.of(np.concatenate([values[:, k], along[:, k].ravel()]), 1)
            whole[k], whole_along[:, k] = scale.quantise(values[:, k]), scale.quantise(along[:, k])
            shown = np.percentile(values[:, k], (1, 99)).tolist()
            if shown[0] == shown[1]:
                shown = [float(values[:, k].min()), float(values[:, k].max())]
            span = [float(along[:, k].min()), float(along[:, k].max())]
            self.about["genes"].append(
                {"name": name, **scale.describe(), "shown": shown, "range": span}
            )
        self.pack.add("genes", whole)
        self.pack.add("path_genes", whole_along, delta=True)
        self.about["gene_unit"] = genes.unit
        self.notes.append(
            "Genes along a path are decoded from the representation, which smooths them. Between "
            f"the {len(self.about['gene_grid'])} times that are kept they are on straight lines: "
            f"off by {self.moved.gene_error:.1%} of their range or less in 95 % of the cells."
        )
        if not measured:
            self.notes.append("Expression of measured cells is decoded from their points, too.")

    def add_ancestors(self, labels: pd.Series, seed: int) -> None:
        """Add the groups that moved cells stem from."""
        found = find_ancestors(self.course, self.rows, labels, seed)
        for key, values in zip(("before", "first"), found, strict=True):
            whole = np.where(np.isnan(values), 255, np.rint(254 * np.nan_to_num(values)))
            self.pack.add(f"ancestors_{key}", whole.astype("<u1"))
        assert self.groups is not None
        colours = category_colours(self.course.adata, self.groups)
        names = [str(name) for name in labels.cat.categories]
        self.about["ancestors"] = {
            "names": [*names, "no group"],
            "colours": [*(colours[name] for name in names), "#c9ccd3"],
        }
        self.notes.append(
            "Where a cell comes from: probabilities by entropic transport plans between "
            "consecutive times (tl.ancestors, by bridge), not by its drawn path, which a flow "
            "without noise has only one of."
        )

    def render(self, title: str, which: str, *, ancestors: bool) -> str:
        """Return the page."""
        course, adata = self.course, self.course.adata
        unit = plural_unit(course.time_points.unit)
        fates_note = "" if FATE + PROBABILITIES in adata.obsm else (
            "Fates are not in the file: cellflow fates writes them."
        )  # fmt: skip
        first = self.about["points"][self._first_moving()]["time"]
        self.about |= {
            "unit": unit,
            "n_drawn": len(self.drawn),
            "n_paths": len(self.rows),
            "first_time": first,
            "axes": [scale.describe() for scale in self.scales],
            "palette": [
                [round(255 * part) for part in shade[:3]]
                for shade in colormaps["viridis"](np.linspace(0, 1, _SHADES))
            ],
            "scores": _describe_scores(self.inputs, self.moved.times),
            "scores_note": _note_scores(self.inputs.scores),
            "fates_note": fates_note,
            "ancestors_note": (
                "Where cells come from was not estimated: --no-ancestors."
                if not ancestors
                else "The groups that cells come from need --groups."
            ),
            "arrays": self.pack.arrays,
        }  # fmt: skip
        one, other = (str(component + 1) for component in self.plane.components)
        axes = f"{self.plane.label} {one} and {other}"
        style, script = _read("explore.css"), _read("explore.js")
        library = _read("deck/deck.min.js")
        policy = (
            f"default-src 'none'; script-src {_digest(library)} {_digest(script)}; "
            f"style-src {_digest(style)}; img-src data: blob:; base-uri 'none'; form-action 'none'"
        )
        return (
            pages()
            .get_template("explore.html.jinja")
            .render(
                title=title,
                summary=self._summarise(which),
                axes=axes,
                policy=policy,
                style=style,
                script=script,
                library=library,
                licences=_read("deck/LICENSE"),
                about=self.about,
                data=self.pack.encode(),
                cautions=cautions(self.inputs),
                notes=[*self._describe(which), *self.notes],
            )
        )

    def _first_moving(self) -> int:
        """Return the place of the first time with moved cells among the times that are drawn."""
        times = [point["time"] for point in self.about["points"]]
        return times.index(float(self.course.elapsed[self.rows].min()))

    def _summarise(self, which: str) -> str:
        """Describe the cells in a line."""
        n = int(self.selected.sum())
        drawn = "" if len(self.drawn) == n else f"; {len(self.drawn):,} of them are drawn"
        chosen = "" if which == "all" else f" ({which})"
        return (
            f"{n:,} cells{chosen} at {len(self.about['points'])} times{drawn}; {len(self.rows):,} "
            "have a path along the flow."
        )

    def _describe(self, which: str) -> list[str]:
        """Return sentences on what the page shows and leaves out."""
        flow, moved = self.course.flow, self.moved
        n = int(self.selected.sum())
        low, high = flow.axis.times[0], flow.axis.times[-1]
        found = [
            f"Moving cells: {len(self.rows):,} measured cells, drawn at random, on their paths "
            f"along the flow, forward and backward from their own time, at {len(moved.times)} "
            f"times from {format_number(low)} to {format_number(high)}; straight lines in between. "
            "'From the time before' shows those of the latest time point, which jump when the next "
            "one is reached: by so much predictions and measured cells differ."
        ]
        if len(self.drawn) < n:
            found.append(
                f"{len(self.drawn):,} of {n:,} measured cells are in the page, drawn at random."
            )
        if which != "all":
            found.append(f"Only cells of this choice are in the page: {which}.")
        if self.plane.placement is not None and self.plane.placement.matrix is None:
            found.append(
                "The embedding has no map for new points. Places of moving cells are weighted "
                "means of their nearest measured cells: they show which measured cells a "
                "prediction is like, and cannot leave these. Left-out cells of five data sets were "
                "placed .06 to .18 spreads of the embedding off (median)."
            )
        if moved.log_mass is not None:
            found.append(
                "Areas of moving cells are in proportion to their mass, which grows along the flow "
                "(not for 'from all times')."
            )
        if "score" in flow.nets.roles:
            found.append("Paths follow the velocity; the noise of this flow is not shown.")
        if flow.inputs.condition_keys:
            keys = format_list(flow.inputs.condition_keys)
            found.append(f"Each cell moves under its own covariates: {keys}.")
        found.append(
            "Positions are rounded to 1/65,534 of the width, columns to 1/65,534 and expression "
            "and probabilities to 1/254 of their range."
        )
        made = ", ".join(f"{name} {number}" for name, number in versions().items())
        found.append(f"Flow {flow.fingerprint}. Made with {made}.")
        return found


def _describe_scores(inputs: ReportInputs, grid: np.ndarray) -> list[dict[str, Any]]:
    """Return the score of each held-out time, and the span of the slider that it is shown on."""
    if inputs.scores is None or "condition" in inputs.scores:
        return []
    table = compare_with_midpoint(inputs.scores)
    times = sorted(float(time) for time in inputs.scores["time"].unique())
    known = sorted({*inputs.course.time_points.times, *times})
    found = []
    # The last row of several is their mean.
    for time, (_, row) in zip(times, table.iloc[: len(times)].iterrows(), strict=True):
        if not grid[0] <= time <= grid[-1]:
            continue
        here = inputs.scores[inputs.scores["time"] == time]
        here.attrs = dict(inputs.scores.attrs)
        at = known.index(time)
        before, after = known[max(at - 1, 0)], known[min(at + 1, len(known) - 1)]
        gain = round(100 - float(row["percent"])) if np.isfinite(row["percent"]) else 0
        side = "nearer" if gain > 0 else "farther" if gain < 0 else "open"
        sign = {"nearer": "▲", "farther": "▼", "open": "="}[side]
        mark = f"{sign} {abs(gain)}\u202f% {side}" if gain else f"{sign} equal"
        found.append(
            {
                "time": time,
                "from": (before + time) / 2,
                "to": (time + after) / 2,
                "verdict": side,
                "mark": mark,
                "text": " ".join(
                    f"{each}."
                    for each in (
                        f"Held out at {name_time(time, inputs.course.time_points.unit)}: W1 "
                        f"{row['w1']:.3g}, midpoint {row['w1_midpoint']:.3g}",
                        *describe_comparison(here),
                    )
                ),
            }
        )
    return found


def _note_scores(scores: pd.DataFrame | None) -> str:
    """Return why no scores are shown; empty if there are scores of times."""
    if scores is None:
        return "How far predictions are off was not measured: cellflow holdout does."
    if "condition" in scores:
        return (
            "The scores are of held-out values of a condition, each over several times, and have "
            "no place on the slider; those of cellflow holdout without --hold-out condition have."
        )
    return ""


@functools.cache
def _read(name: str) -> str:
    """Read a file of the package."""
    return (files("cellflow.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the source of a content security policy that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
