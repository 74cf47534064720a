"""The path from noise to data of the first flow matching paper."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cellflow._batch import Pairs
from cellflow._typing import Rows
from cellflow.paths.sample import PathSample, progress


@dataclass(frozen=True)
class TargetPath:
    """x_t = (1 - (1 - sigma) s) x0 + s x1, x0 noise (Lipman et al. 2023).

    Given x1 alone that is N(s x1, (1 - (1 - sigma) s)^2), and its velocity
    (x1 - (1 - sigma) x) / (1 - (1 - sigma) s) is x1 - (1 - sigma) x0, which stays finite at the
    end (arXiv 2210.02747, equations 20 to 22).

    Attributes
    ----------
    sigma
        Standard deviation around x1 at the end, in units of the noise.
    centre
        Mean of the noise, shape (d,), which coordinates are taken from; None takes zero.
    """

    sigma: float = 0.1
    centre: torch.Tensor | None = None

    def sample(
        self,
        pairs: Pairs,
        t: Rows,
        generator: torch.Generator,  # noqa: ARG002
    ) -> PathSample:
        """Draw x_t for each pair; the noise is in x0, so none is drawn here."""
        s, length = progress(pairs, t)
        kept = 1 - self.sigma
        centre = torch.zeros_like(pairs.x0[0]) if self.centre is None else self.centre
        x0, x1 = pairs.x0 - centre, pairs.x1 - centre
        x = centre + (1 - kept * s) * x0 + s * x1
        return PathSample(x, (x1 - kept * x0) / length)
