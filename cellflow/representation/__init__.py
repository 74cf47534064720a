"""Representations: the space that flows are fitted in, as an object fitted to cells."""

from cellflow.representation.chunks import cluster_at
from cellflow.representation.fitting import (
    fit_representation,
    kind_of,
    settings_of,
)
from cellflow.representation.more_genes import extend_to_genes, read_genes
from cellflow.representation.placement import Placement, find_basis, fit_affine
from cellflow.representation.representation import LinearMap, Representation, check_components
from cellflow.representation.settings import RepresentationSettings, check_available
from cellflow.representation.slots import (
    cells_of,
    columns_of,
    current_representation,
    from_context,
    points_of,
    read_slots,
    stored_points,
    to_context,
    write_map,
    write_slots,
)

__all__ = [
    "LinearMap",
    "Placement",
    "Representation",
    "RepresentationSettings",
    "cells_of",
    "check_available",
    "check_components",
    "cluster_at",
    "columns_of",
    "current_representation",
    "extend_to_genes",
    "find_basis",
    "fit_affine",
    "fit_representation",
    "from_context",
    "kind_of",
    "points_of",
    "read_genes",
    "read_slots",
    "settings_of",
    "stored_points",
    "to_context",
    "write_map",
    "write_slots",
]
