"""Coordinates to draw at: two dimensions of a representation, or an embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from cellflow._checks import check_finite, format_list
from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION, embedding_keys
from cellflow.io.matrices import read_numbers
from cellflow.pl._canvas import INK, frame
from cellflow.representation import (
    Placement,
    Representation,
    check_components,
    find_basis,
    points_of,
)

#: Embeddings to draw by default, in order of preference.
USUAL_BASES = ("X_umap", "X_phate", "X_tsne", REPRESENTATION, "X_pca")


#: Axis labels of embeddings that differ from the key.
_NAMES = {
    "umap": "UMAP",
    "pca": "PC",
    "tsne": "t-SNE",
    "phate": "PHATE",
    REPRESENTATION.removeprefix("X_"): "component",
}


@dataclass(frozen=True)
class Plane:
    """Coordinates of the measured cells in a plane, and the map of predicted points into it.

    Attributes
    ----------
    cells
        Coordinates of the measured cells, shape (n, 2).
    label
        Label of the axes.
    components
        Dimensions drawn, counted from 0.
    placement
        Map of predicted points into an embedding; None if the plane is two dimensions of the
        representation.
    """

    cells: np.ndarray
    label: str
    components: tuple[int, int]
    placement: Placement | None = None

    @classmethod
    def of(
        cls,
        adata: AnnData,
        representation: Representation,
        basis: str | None,
        components: tuple[int, int],
    ) -> Plane:
        """Return the plane of two dimensions of a representation, or of an embedding.

        Raises
        ------
        InputError
            If the embedding or a dimension does not exist.
        """
        if basis is not None:
            find_basis(adata, basis)
        points = points_of(adata, representation)
        if basis is None:
            check_components(representation, components)
            return cls(points[:, list(components)], "component", components)
        cells, label = embedding(adata, basis, components)
        return cls(cells, label, components, Placement.fit(points, cells))

    def place(self, predicted: np.ndarray) -> np.ndarray:
        """Map points of the representation, shape (m, d), into the plane, shape (m, 2).

        In an embedding each is placed by a `Placement`.
        """
        if self.placement is None:
            return predicted[:, list(self.components)]
        return self.placement.place(predicted)

    def frame(self, ax: Axes) -> None:
        """Label axes, and say below them if predicted points are placed by neighbours."""
        frame(ax, self.label, self.components)
        if self.placement is not None and self.placement.matrix is None:
            note = "places of predicted cells: means of their nearest measured cells"
            ax.text(
                0.0,
                -0.07,
                note,
                transform=ax.transAxes,
                fontsize="x-small",
                color=INK,
                verticalalignment="top",
            )


def embedding(
    adata: AnnData, basis: str | None, components: tuple[int, int] = (0, 1)
) -> tuple[np.ndarray, str]:
    """Return coordinates of the cells, shape (n, 2), and the label of the axes.

    Parameters
    ----------
    adata
        The cells.
    basis
        `obsm` key, with or without `X_`; None uses the first usual embedding that exists.
    components
        Its dimensions, counted from 0.

    Raises
    ------
    InputError
        If the embedding or a dimension does not exist.
    """
    key = _usual_basis(adata) if basis is None else find_basis(adata, basis)
    values = read_numbers(adata, key).astype(np.float64)
    if any(not 0 <= component < values.shape[1] for component in components):
        raise InputError(
            f"no components {components}: obsm[{key!r}] has dimensions 0 to {values.shape[1] - 1}"
        )
    check_finite(values, f"obsm[{key!r}]", list(adata.obs_names))
    name = key.removeprefix("X_")
    return values[:, list(components)], _NAMES.get(name, name)


def _usual_basis(adata: AnnData) -> str:
    """Return the first usual embedding that exists."""
    for key in USUAL_BASES:
        if key in adata.obsm:
            return key
    raise InputError(
        "there is no embedding to draw on: give one of obsm as basis (there are: "
        f"{format_list(embedding_keys(adata.obsm)) or 'none'}), or compute one first "
        "(cellflow embed, cellflow.pp.embed, scanpy.tl.umap)"
    )
