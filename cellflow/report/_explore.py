"""The verb `report.explore`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice, check_positive
from cellflow._errors import InputError
from cellflow._files import atomic_file, check_ending, check_file_target
from cellflow._log import log_info
from cellflow._random import RNG, resolve_seed
from cellflow.flow import Flow
from cellflow.io import Cells, describe_cells, groups_of, select_cells
from cellflow.pl._plane import USUAL_BASES, Plane
from cellflow.report._cautions import compare_settings
from cellflow.report._cell_columns import list_columns
from cellflow.report._explore_page import ExplorePage
from cellflow.report._inputs import ReportInputs
from cellflow.report._moved_cells import draw_cells, move_cells, time_grid
from cellflow.report._page_genes import PageGenes
from cellflow.report._write import PAGES
from cellflow.representation import find_basis
from cellflow.tl._time_course import TimeCourse

#: Bytes of a megabyte.
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
        Result of `tl.holdout`, shown along the slider if it held out times or replicates, not
        values of a condition, whose score is a mean over times; None uses the scores that it
        recorded in `adata`.
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
    chosen = PageGenes.choose(course, genes, gene_symbols)
    plane = Plane.of(adata, course.representation, basis or _usual_basis(adata), components)
    moved = move_cells(
        course,
        moving,
        time_grid(course, n_steps),
        plane.place,
        None if chosen is None else chosen.decode,
        seed,
    )
    page = ExplorePage(inputs, selected, drawn, moved, plane, chosen, groups)
    page.add_cells(list(list_columns(course, drawn, groups, keys)))
    page.add_paths()
    if chosen is not None:
        page.add_genes(chosen)
    if labels is not None and ancestors:
        page.add_ancestors(labels, seed)
    text = page.render(title, describe_cells(cells), ancestors=ancestors)
    size = len(text.encode())
    if size > max_size * _MB:
        empty = size - len(page.pack.encode())
        raise InputError(_describe_size(size, empty, max_size, page.pack.sizes()))
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


def _describe_size(size: int, empty: int, largest: float, parts: dict[str, int]) -> str:
    """Return the message for a page that is too large, with what to change."""
    if empty > largest * _MB:
        return (
            f"a page without data has {empty / _MB:.1f} MB, more than max_size={largest:g}; give a "
            "larger max_size (--max-size)"
        )
    options = {
        "genes": "genes (--gene), max_cells (--max-cells)",
        "path_genes": "genes (--gene), n_paths (--n-paths)",
        "paths": "n_paths (--n-paths), n_steps (--n-steps)",
        "names": "max_cells (--max-cells)",
        "xy": "max_cells (--max-cells)",
    }
    named = sorted((name for name in parts if name in options), key=parts.__getitem__, reverse=True)
    told = ", ".join(f"{parts[name] / _MB:.2f} MB by {options[name]}" for name in named[:2])
    return (
        f"the page would have {size / _MB:.1f} MB, more than max_size={largest:g}; take less "
        f"({told}), or give a larger max_size (--max-size)"
    )
