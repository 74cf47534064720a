"""The verb `pp.embed`."""

from __future__ import annotations

from anndata import AnnData

from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION
from cellflow._log import tell
from cellflow.representation import Settings, fit_representation, write_slots


def embed(
    adata: AnnData,
    *,
    use_rep: str | None = None,
    layer: str | None = None,
    kind: str = "auto",
    n_dims: int | None = None,
    whiten: bool = False,
    key_added: str = REPRESENTATION,
    copy: bool = False,
) -> AnnData | None:
    """Make the representation that flows live in, with its way back to genes.

    Counts are normalised to the median depth, log1p-transformed, reduced to the 2,000 most
    variable genes where there are more, and projected on their principal components, all by
    scanpy. Other values are taken as they are, each gene scaled to variance one, and projected.

    Parameters
    ----------
    adata
        Annotated data matrix.
    use_rep
        Take this `obsm` key instead. With `X_pca`, scanpy's loadings give the way back to genes.
    layer
        Layer with the expression; None takes `X`.
    kind
        `counts`, `normalised` (on a logarithmic scale), `other`, or `auto`: whole, non-negative
        numbers are counts; other values are `normalised` where scanpy's `log1p` left its mark in
        `uns`, else `other`.
    n_dims
        Dimensions to keep, the first ones. None keeps all of an `obsm` key and 50 components of
        expression, or as many as there are.
    whiten
        Scale each dimension to variance one. Distances, and so couplings, then weigh all alike.
    key_added
        Where the points are written.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obsm[key_added]`
        Points, shape (cells, n_dims), float32.
    `uns["cellflow"]["representations"][key_added]`
        The map: `kind`, `source`, `target_sum`, `n_genes`, `genes`, `mean`, `scale`, `loadings`,
        `centre`, `spread`, `whitened`.

    Raises
    ------
    InputError
        For a missing key or layer, NaN or infinite values, an unknown kind, or more dimensions
        than there are.

    Warns
    -----
    CellflowWarning
        If cells have no counts; they are embedded as cells that express nothing.

    Examples
    --------
    >>> import cellflow as cf
    >>> adata = cf.datasets.semrau2017()
    >>> adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    >>> cf.pp.embed(adata, n_dims=5, whiten=True)
    >>> adata.obsm["X_cellflow"].shape
    (2434, 5)
    """
    if use_rep == key_added:
        raise InputError(f"use_rep and key_added are both {use_rep!r}; write to another key")
    adata = adata.copy() if copy else adata
    settings = Settings(use_rep=use_rep, layer=layer, kind=kind, n_dims=n_dims, whiten=whiten)
    fitted = fit_representation(adata, settings)
    write_slots(adata, fitted, key_added)
    tell(f"embedded: {fitted.describe()}")
    return adata if copy else None
