"""The verb `pp.embed`."""

from __future__ import annotations

from anndata import AnnData

from cellflow._errors import InputError
from cellflow._keys import REPRESENTATION
from cellflow._log import log_info
from cellflow.representation import (
    RepresentationSettings,
    check_available,
    cluster_at,
    fit_representation,
    write_slots,
)
from cellflow.representation.chunks import is_in_memory
from cellflow.representation.expression import stored_expression


def embed(
    adata: AnnData,
    *,
    use_rep: str | None = None,
    layer: str | None = None,
    kind: str = "auto",
    n_dims: int | None = None,
    whiten: bool = False,
    key_added: str = REPRESENTATION,
    cluster: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Compute the representation that flows are fitted in.

    Counts are normalised to the median depth, log1p-transformed, and reduced to the 2,000 most
    variable genes if there are more, all by scanpy, and projected on their principal components,
    which equal scanpy's. Expression on another scale is brought to a logarithmic scale first (see
    `kind`), so that cells have much the same neighbours on each scale that their counts are stored
    on.

    Expression may stay on disk: in `adata` backed by a file (`anndata.read_h5ad(..., backed="r")`),
    in a layer or `X` that is an on-disk array, or in a Dask array. Dask arrays, and expression of
    more than 1 GB, are processed in chunks of some thousand cells, one Dask thread each; components
    are then computed from the gene covariance summed over chunks, equal up to rounding.

    Parameters
    ----------
    adata
        Annotated data matrix.
    use_rep
        Use this `obsm` key instead. `X_pca` can be decoded to genes by scanpy's loadings.
    layer
        Layer with the expression, or `raw`; None uses `X`.
    kind
        Kind of expression:

        - `counts`: whole numbers, or counts that were corrected (SoupX, CellBender) or estimated
          (alevin, RSEM).
        - `linear`: values normalised by depth or gene length (CPM, TPM, FPKM). They are normalised
          and log-transformed as counts are, in units of one count where these make nearly all
          values whole.
        - `normalised`: log-normalised values. Where these show their counts, as log1p of 10,000 per
          cell does, components are of the logarithm in units of one count, and predicted
          expression is on the scale of the values again. Others are used as they are.
        - `other`: values below zero, or panels of up to 200 features, such as proteins. Channels of
          a panel are scaled to unit variance.
        - `auto`: whole numbers are counts. Of other values without negative ones, those are
          `normalised` whose `expm1` has one sum in all cells, and those up to 20 that scanpy marked
          or that have the noise of logarithms. Others are `linear`, with a warning. Panels
          without such a sign are `other`.
    n_dims
        Number of dimensions to keep, the first ones. None keeps all of an `obsm` key, and 50
        components of expression or all if fewer.
    whiten
        Scale each dimension to unit variance, so that all count equally in distances and couplings.
    key_added
        Key of `obsm` to write the points to.
    cluster
        Address of a dask.distributed scheduler to compute on, for expression on disk (its workers
        must see it under the same path) or in a Dask array. A cluster that is already in use
        (`dask.distributed.Client`) is found without it.
    copy
        Return an annotated copy instead of writing to `adata`.

    Returns
    -------
    None, or the copy. Written are:

    `obsm[key_added]`
        Points, shape (cells, n_dims), float32.
    `uns["cellflow"]["representations"][key_added]`
        The map: `kind`, `source`, `log_base`, `unit`, `target_sum`, `n_genes`, `genes`,
        `gene_units`, `mean`, `scale`, `decoded_mean`, `decoded_scale`, `loadings`, `centre`,
        `spread`, `whitened`.

    Raises
    ------
    InputError
        For a missing key or layer, NaN or infinite values, an unknown kind, or more dimensions
        than available; for a cluster that does not answer, or is given for expression in memory.

    Warns
    -----
    CellflowWarning
        If cells have no counts: the map is computed without them, and they are placed as cells that
        express nothing; if `auto` finds expression on a linear scale that is not counts.

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
    settings = RepresentationSettings(
        use_rep=use_rep, layer=layer, kind=kind, n_dims=n_dims, whiten=whiten
    )
    check_available(adata, settings)
    if cluster is not None and (
        use_rep is not None or is_in_memory(stored_expression(adata, layer))
    ):
        raise InputError(
            "cluster requires expression on disk or in a Dask array; open the file with "
            "anndata.read_h5ad(..., backed='r'), or leave cluster out"
        )
    with cluster_at(cluster):
        fitted = fit_representation(adata, settings)
        write_slots(adata, fitted, key_added)
    log_info(f"embedded: {fitted.describe()}")
    return adata if copy else None
