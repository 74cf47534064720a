"""Genes of a page to explore: which, and their expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellflow._errors import InputError
from cellflow._log import log_info
from cellflow.io import GeneNames
from cellflow.representation import Representation, read_genes
from cellflow.tl._decoding import choose_genes
from cellflow.tl._time_course import TimeCourse

#: Genes that are chosen where none are named.
_N_GENES = 30


@dataclass(frozen=True)
class PageGenes:
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
    ) -> PageGenes | None:
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
