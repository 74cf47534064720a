"""Decode points of a flow to the genes that the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cellflow._checks import format_list
from cellflow._log import log_info
from cellflow.io import GeneNames
from cellflow.representation import Representation, extend_to_genes
from cellflow.tl._time_course import TimeCourse


def choose_genes(
    course: TimeCourse, names: GeneNames, genes: str | Sequence[str] | None
) -> tuple[Representation, GeneNames, np.ndarray]:
    """Return a map to the chosen genes, the names of all that it decodes, and their positions.

    Genes of the data that the representation was not made of are added to its map; all that are
    named, if it has none.

    Parameters
    ----------
    course
        The cells, and the representation of the flow.
    names
        Names of the genes of the data.
    genes
        Names to choose; None chooses the genes of the representation.

    Raises
    ------
    InputError
        If a gene is unknown; or the representation has no map to genes, and none were named or the
        cells have no expression.
    """
    fitted = course.representation
    if genes is None or course.adata.X is None or not names.ids:
        fitted.require_linear()
    decoded = names.of(() if fitted.linear is None else fitted.linear.genes)
    if genes is None:
        return fitted, decoded, decoded.find_all(None)
    given = [genes] if isinstance(genes, str) else list(genes)
    if any(not decoded.find(name) for name in given):
        # Unknown names are refused with all that there are.
        names.find_all([name for name in given if not decoded.find(name)])
    wanted = [names.ids[column] for name in given for column in names.find(name)]
    if not set(wanted) <= set(decoded.ids):
        points = course.cells.x.cpu().numpy()
        fitted, explained = extend_to_genes(fitted, course.adata, wanted, points)
        _report(names, explained, fitted.n_dims)
        decoded = names.of(fitted.require_linear().genes)
    return fitted, decoded, decoded.find_all(given)


def _report(names: GeneNames, explained: Mapping[str, float], n_dims: int) -> None:
    """Report the genes that are decoded by regression, and how well."""
    labels = names.of(list(explained)).labels
    shares = (
        f"{label} ({share:.0%})" for label, share in zip(labels, explained.values(), strict=True)
    )
    log_info(
        "genes that the representation was not made of are decoded by regression on its "
        f"{n_dims} dimensions (share of their variance explained): {format_list(shares)}"
    )
