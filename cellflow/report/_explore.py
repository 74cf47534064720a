"""The verb `report.explore`."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import colormaps

from cellflow._checks import check_choice, check_positive, format_list, format_number
from cellflow._errors import InputError
from cellflow._files import atomic_file, check_ending, check_file_target
from cellflow._keys import FATE, PROBABILITIES
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow._versions import versions
from cellflow.evaluation.comparison import compare_with_midpoint, describe_comparison
from cellflow.flow import Flow
from cellflow.io import (
    Cells,
    GeneNames,
    describe_cells,
    groups_of,
    name_time,
    plural_unit,
    select_cells,
)
from cellflow.pl._colours import category_colours, default_colours
from cellflow.pl._plane import USUAL_BASES, Plane
from cellflow.report._cautions import cautions, compare_settings
from cellflow.report._cell_columns import Column, list_columns
from cellflow.report._inputs import ReportInputs
from cellflow.report._moved_cells import (
    MovedCells,
    draw_cells,
    find_ancestors,
    move_cells,
    quantise_places,
    time_grid,
)
from cellflow.report._packing import Pack, Scale
from cellflow.report._page import pages
from cellflow.report._write import PAGES
from cellflow.representation import Representation, find_basis, read_genes
from cellflow.tl._decoding import choose_genes
from cellflow.tl._time_course import TimeCourse

#: Genes that are chosen where none are named.
_N_GENES = 30

#: Colours of the scale of numbers in the page, between which it interpolates.
_SHADES = 17

#: Points of a page that are told apart in a message: bytes of a megabyte.
_MB = 1_000_000


def explore(
    adata: AnnData,
    flow: Flow,
    path: str | Path,
    *,
    scores: pd.DataFrame | None = None,
    groups: str | None = None,
    cells: Cells = None,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    genes: str | Sequence[str] | None = None,
    gene_symbols: str | None = None,
    obs_keys: str | Sequence[str] = (),
    ancestors: bool = True,
    n_paths: int = 3_000,
    n_steps: int = 32,
    max_cells: int = 100_000,
    max_size: float = 10.0,
    time_key: str | None = None,
    title: str = "Time course",
    rng: RNG = 0,
    overwrite: bool = False,
) -> None:
    """Write one HTML page to explore a time course: cells that move along the flow, and each cell.

    The page is a single file with its data and its library, and opens without a server or a
    network. A slider moves cells along the flow on an embedding; they are coloured by groups,
    time, fates, growth, uncertainty or genes. A click on a cell shows its path, its fates, the
    groups it comes from, and its genes over time.

    Parameters
    ----------
    adata
        Annotated data matrix of the time course. Results stored in it are shown too: held-out
        scores, fates, growth, uncertainty.
    flow
        The fitted flow.
    path
        File to write, `.html`; it is complete, or not there at all.
    scores
        Result of `tl.holdout`, shown along the slider; None uses the scores that it recorded in
        `adata`.
    groups
        Column of `obs` with groups of cells, such as cell types, with the colours of
        `uns["<groups>_colors"]` or colour-blind safe ones. None colours by time, and the page
        does not say which groups cells come from.
    cells
        Cells to show: a boolean mask, names of cells, or text such as `arm=treated`. Each moves
        under its own covariates. None shows all.
    basis
        Embedding to draw on, an `obsm` key with or without `X_`. None uses the first of a usual
        name (`X_umap`, `X_phate`, `X_tsne`, `X_cellflow`, `X_pca`), else the representation.
    components
        Dimensions to draw, counted from 0.
    genes
        Names of genes, symbols or identifiers; None chooses the 30 whose decoded expression varies
        most over the cells, if the representation has a map to genes.
    gene_symbols
        As in `tl.gene_trends`.
    obs_keys
        Further columns of `obs` to colour by.
    ancestors
        Estimate the groups that each moved cell comes from, as `tl.ancestors` does with
        `by="bridge"`.
    n_paths
        Largest number of cells with a path: 40 % from the first time, the rest equally from the
        other times, drawn at random. Only these move, and have genes over time.
    n_steps
        Number of steps of the paths, about; positions between them are on straight lines.
    max_cells
        Largest number of measured cells that are drawn, at random.
    max_size
        Largest size of the page, in MB (millions of bytes).
    time_key
        Column of `obs` with the times; None uses the column that the flow was fitted to.
    title
        Heading of the page.
    rng
        Seed, or a numpy generator to draw one from, of the cells that are drawn and moved.
    overwrite
        Replace an existing file.

    Raises
    ------
    InputError
        If the cells lack genes, keys or times that are required, no chosen cell is within the times
        of the flow, or the page would be larger than `max_size`.
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.

    Notes
    -----
    Positions have 16 bits, columns of `obs` 16, and expression and probabilities 8. Paths follow
    the velocity; those of a flow with a score have no noise. Unless the embedding is an affine map
    of the representation, points on a path are placed at a weighted mean of their nearest measured
    cells, as in `pl.trajectories`: an illustration, not a prediction of coordinates.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=3)
    >>> short = cf.recipe("default", n_steps=10)
    >>> flow = cf.tl.fit(adata, time_key="time", recipe=short, progress=False)
    >>> cf.report.explore(adata, flow, "course.html", n_paths=50)  # doctest: +SKIP
    """
    path = Path(path)
    check_ending(path, PAGES, "pages")
    check_file_target(path, overwrite=overwrite)
    for name, value in {"n_paths": n_paths, "n_steps": n_steps, "max_cells": max_cells}.items():
        check_positive(value, name)
    if not max_size > 0:
        raise InputError(f"max_size must be above 0 MB, got {max_size}")
    inputs = ReportInputs.read(adata, flow, scores, time_key, groups)
    keys = [obs_keys] if isinstance(obs_keys, str) else list(obs_keys)
    for key in keys:
        check_choice(key, [str(name) for name in adata.obs], "obs column")
    if basis is not None:
        find_basis(adata, basis)
    labels = None if groups is None else groups_of(adata, groups)
    for caution in compare_settings(inputs):
        log_info(f"caution: {caution}")
    seed = resolve_seed(rng)
    course, selected = inputs.course, select_cells(adata, cells)
    generator = np.random.default_rng(seed)
    moving = draw_cells(course, selected, min(n_paths, max_cells), generator)
    drawn = _draw_measured(course, selected, moving, max_cells, generator)
    chosen = _Genes.choose(course, genes, gene_symbols)
    plane = Plane.of(adata, course.representation, basis or _usual_basis(adata), components)
    moved = move_cells(
        course,
        moving,
        time_grid(course, n_steps),
        plane.place,
        None if chosen is None else chosen.decode,
        seed,
    )
    page = _Page(inputs, selected, drawn, moved, plane, chosen, groups)
    page.add_cells(list(list_columns(course, drawn, groups, keys)))
    page.add_paths()
    if chosen is not None:
        page.add_genes(chosen)
    if labels is not None and ancestors:
        page.add_ancestors(labels, seed)
    text = page.render(title, describe_cells(cells), ancestors=ancestors)
    size = len(text.encode())
    if size > max_size * _MB:
        raise InputError(_describe_size(size, max_size, page.pack.sizes()))
    with atomic_file(path, overwrite=overwrite) as staged:
        staged.write_text(text, encoding="utf-8")
    log_info(
        f"{len(drawn):,} of {int(selected.sum()):,} cells, {len(moving):,} with paths: "
        f"{size / _MB:.2g} MB"
    )


def _usual_basis(adata: AnnData) -> str | None:
    """Return the first usual embedding that exists; None for the representation."""
    return next((key for key in USUAL_BASES if key in adata.obsm), None)


def _draw_measured(
    course: TimeCourse,
    selected: np.ndarray,
    moving: np.ndarray,
    max_cells: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the rows to draw, those that move among them, sorted by time."""
    others = np.setdiff1d(np.flatnonzero(selected), moving)
    more = generator.permutation(others)[: max_cells - len(moving)]
    rows = np.sort(np.concatenate([moving, more]))
    return rows[np.argsort(course.elapsed[rows], kind="stable")]


@dataclass(frozen=True)
class _Genes:
    """Genes of a page, and the map to them.

    Attributes
    ----------
    names
        Names to show, g.
    ids
        Their names in the data, g.
    columns
        Their positions in the map.
    fitted
        The representation, with a map to these genes.
    unit
        Scale of the expression.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    columns: np.ndarray
    fitted: Representation
    unit: str

    @classmethod
    def choose(
        cls, course: TimeCourse, genes: str | Sequence[str] | None, gene_symbols: str | None
    ) -> _Genes | None:
        """Choose genes by name, or those that vary most; None if there is no map to any."""
        if genes is None and course.representation.linear is None:
            return None
        table = GeneNames.read(course.gene_table, gene_symbols)
        fitted, decoded, columns = choose_genes(course, table, genes)
        if genes is None:
            columns = _most_variable(course, fitted, columns)
        columns = np.array(list(dict.fromkeys(columns.tolist())))
        labels, ids = decoded.labels[columns], np.array(decoded.ids, dtype=object)[columns]
        return cls(tuple(map(str, labels)), tuple(ids), columns, fitted, _gene_unit(fitted))

    def decode(self, points: np.ndarray) -> np.ndarray:
        """Return the expression of points, shape (n, g)."""
        return self.fitted.decode(points.astype(np.float64), self.columns)

    def measure(self, course: TimeCourse, rows: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return the expression of measured cells, shape (n, g), and whether it is as measured.

        Of cells whose expression is not in the file, it is decoded from their points.
        """
        try:
            return read_genes(self.fitted, course.adata, self.ids)[rows], True
        except InputError as error:
            log_info(f"expression of the measured cells is decoded from their points: {error}")
            return self.decode(course.cells.x.cpu().numpy()[rows]), False


def _most_variable(course: TimeCourse, fitted: Representation, columns: np.ndarray) -> np.ndarray:
    """Return the genes whose decoded expression has the largest variance over the cells."""
    points = course.cells.x.cpu().numpy().astype(np.float64)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(points, rowvar=False)))
    axes = (vectors * np.sqrt(np.maximum(values, 0))).T
    variance = (fitted.decode_velocity(axes, columns) ** 2).sum(axis=0)
    return columns[np.sort(np.argsort(-variance, kind="stable")[:_N_GENES])]


def _gene_unit(fitted: Representation) -> str:
    """Return the scale of decoded expression."""
    if fitted.kind in ("counts", "linear"):
        return f"log(1 + x), cells normalised to {fitted.target_sum:,.6g}"
    return "logarithmic scale" if fitted.kind == "normalised" else "scale of the data"


class _Page:
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
        genes: _Genes | None,
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
        labels = dict(zip(times, course.time_points.labels, strict=True))
        bounds = np.searchsorted(position, np.arange(len(present) + 1)).tolist()
        everyone = course.elapsed[self.selected]
        self.about["points"] = [
            {
                "time": time,
                "label": labels[time],
                "name": name_time(time, course.time_points.unit),
                "n": int((everyone == time).sum()),
                "from": start,
                "to": stop,
            }
            for time, (start, stop) in zip(present, pairwise(bounds), strict=True)
        ]
        shades = colormaps["viridis"](np.linspace(0, 0.97, len(present)))
        colours = [
            "#" + "".join(f"{round(255 * part):02x}" for part in each[:3]) for each in shades
        ]
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

    def add_genes(self, genes: _Genes) -> None:
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
            "scores_note": "" if self.inputs.scores is not None else (
                "How far predictions are off was not measured: cellflow holdout does."
            ),
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
            "move along the flow."
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
    if inputs.scores is None:
        return []
    table = compare_with_midpoint(inputs.scores)
    times = sorted(float(time) for time in inputs.scores["time"].unique())
    known = sorted({*inputs.course.time_points.times, *times})
    found = []
    for time, (_, row) in zip(times, table.iterrows(), strict=False):
        if not grid[0] <= time <= grid[-1]:
            continue
        here = inputs.scores[inputs.scores["time"] == time]
        here.attrs = dict(inputs.scores.attrs)
        at = known.index(time)
        before, after = known[max(at - 1, 0)], known[min(at + 1, len(known) - 1)]
        gain = round(100 - float(row["percent"])) if np.isfinite(row["percent"]) else 0
        side = "nearer" if gain > 0 else "farther" if gain < 0 else "open"
        sign = {"nearer": "▲", "farther": "▼", "open": "="}[side]
        mark = f"{sign} {abs(gain)} % {side}" if gain else f"{sign} as near"
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


def _describe_size(size: int, largest: float, parts: dict[str, int]) -> str:
    """Return the message for a page that is too large, with what to change."""
    options = {
        "genes": "genes (--gene), max_cells (--max-cells)",
        "path_genes": "genes (--gene), n_paths (--n-paths)",
        "paths": "n_paths (--n-paths), n_steps (--n-steps)",
        "names": "max_cells (--max-cells)",
        "xy": "max_cells (--max-cells)",
    }
    named = sorted((name for name in parts if name in options), key=parts.__getitem__, reverse=True)
    told = ", ".join(f"{parts[name] / _MB:.1f} MB by {options[name]}" for name in named[:2])
    return (
        f"the page would have {size / _MB:.1f} MB, more than max_size={largest:g}; take less "
        f"({told}), or give a larger max_size (--max-size)"
    )


@functools.cache
def _read(name: str) -> str:
    """Read a file of the package."""
    return (files("cellflow.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the source of a content security policy that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
