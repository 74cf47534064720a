"""What computes beside torch leaves its number of threads alone."""

import torch
from anndata import AnnData
from scipy import sparse

import cellflow as cf


def test_torch_computes_on_as_many_threads_after_an_embedding_as_before(rng):
    """numba, which scanpy computes with, takes all cores for the whole process."""
    counts = sparse.csr_matrix(rng.poisson(1.0, size=(60, 2100)).astype("float32"))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        cf.pp.embed(AnnData(counts), n_dims=3)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
