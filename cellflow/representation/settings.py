"""Settings of a representation, and their check against cells without reading a matrix."""

from __future__ import annotations

from dataclasses import dataclass

from anndata import AnnData

from cellflow._checks import check_choice, check_positive, format_list
from cellflow._errors import InputError
from cellflow._keys import embedding_keys
from cellflow.io.matrices import Matrix, check_is_matrix, unsliced
from cellflow.methods.names import EXPRESSION_KINDS
from cellflow.representation.expression import stored_expression


@dataclass(frozen=True)
class RepresentationSettings:
    """Settings of a representation.

    Attributes
    ----------
    use_rep
        `obsm` key to use as it is; None embeds expression.
    layer
        Layer with the expression; None uses `X`.
    kind
        Kind of expression; `auto` detects it from the values.
    n_dims
        Number of dimensions to keep, exactly.
    max_dims
        Largest number of dimensions to keep if `n_dims` is None; None keeps all dimensions of an
        `obsm` key, and 50 components of expression.
    whiten
        Scale each dimension to unit variance.
    """

    use_rep: str | None = None
    layer: str | None = None
    kind: str = "auto"
    n_dims: int | None = None
    max_dims: int | None = None
    whiten: bool = False


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
        available, dimensions = min(x.shape) - 1, name_limit(x)
    else:
        if settings.layer is not None or settings.kind != "auto":
            raise InputError(
                "use_rep uses an embedding as it is; layer and kind do not apply, leave them out"
            )
        if key not in adata.obsm:
            known = format_list(embedding_keys(adata.obsm)) or "none"
            raise InputError(f"no obsm key {key!r}; there are: {known}")
        # A view would take rows of a matrix that is not checked yet.
        whole = unsliced(adata).obsm[key]
        check_is_matrix(whole, f"obsm[{key!r}]")
        available, dimensions = whole.shape[1], f"dimensions of obsm[{key!r}]"
    resolve_n_dims(settings, available, available, dimensions)


def name_limit(x: Matrix) -> str:
    """Name the dimensions that principal components of a matrix can have."""
    n_cells, n_genes = x.shape
    fewer = f"{n_cells:,} cells" if n_cells <= n_genes else f"{n_genes:,} genes"
    return f"dimensions that {fewer} span"


def resolve_n_dims(
    settings: RepresentationSettings, available: int, default: int, dimensions: str
) -> int:
    """Return the number of dimensions to keep; `dimensions` says in messages whose they are."""
    if available < 1:
        raise InputError(f"there are no {dimensions}; nothing can be embedded")
    if settings.n_dims is None:
        return min(settings.max_dims or default, available)
    if settings.n_dims > available:
        raise InputError(f"n_dims {settings.n_dims} is more than the {available} {dimensions}")
    return settings.n_dims
