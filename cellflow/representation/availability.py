"""Check that cells have what a representation is made of, without reading a matrix."""

from __future__ import annotations

from anndata import AnnData

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow.methods.names import EXPRESSION_KINDS
from cellflow.representation.expression import stored_expression
from cellflow.representation.fitting import (
    RepresentationSettings,
    _name_limit,
    _resolve_n_dims,
)


def check_available(adata: AnnData, settings: RepresentationSettings) -> None:
    """Check keys and number of dimensions of a representation by names and shapes alone.

    Raises
    ------
    InputError
        For a missing key or layer, an unknown kind, or more dimensions than available.
    """
    check_choice(settings.kind, EXPRESSION_KINDS, "kind of expression")
    if settings.n_dims is not None:
        check_positive(settings.n_dims, "n_dims")
    key = settings.use_rep
    if key is None:
        x = stored_expression(adata, settings.layer)
        available, dimensions = min(x.shape) - 1, _name_limit(x)
    else:
        if settings.layer is not None or settings.kind != "auto":
            raise InputError(
                "use_rep uses an embedding as it is; layer and kind do not apply, leave them out"
            )
        if key not in adata.obsm:
            raise InputError(f"no obsm key {key!r}; there are: {format_list(adata.obsm) or 'none'}")
        available, dimensions = adata.obsm[key].shape[1], f"dimensions of obsm[{key!r}]"
    _resolve_n_dims(settings, available, available, dimensions)
