"""One entry of each row: the highest, or that at a quantile."""

from __future__ import annotations

import torch
from torch import Tensor

from cellflow._typing import Rows


def argmax(scores: Tensor) -> Tensor:
    """Column of the highest score of each row."""
    # On a CPU, torch takes longer to find the maxima than to multiply the matrices.
    if scores.device.type == "cpu":
        return torch.from_numpy(scores.detach().numpy().argmax(axis=1))
    return scores.argmax(dim=1)


def quantile(shares: Tensor, marks: Rows) -> tuple[Tensor, Rows]:
    """Index at which the sum of a row's shares passes its mark, and the sum before it."""
    sums = shares.cumsum(dim=1)
    index = torch.searchsorted(sums, marks[:, None], right=True)[:, 0]
    # Where rounding leaves the whole sum below the mark, the last entry with a share is taken.
    index = index.minimum(sums.argmax(dim=1))
    return index, (sums - shares).gather(1, index[:, None])[:, 0]
