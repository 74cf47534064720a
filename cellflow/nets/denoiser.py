"""Denoiser with the preconditioning of EDM, used as a velocity on straight paths from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from cellflow._checks import check_positive
from cellflow._typing import Condition, Points, Rows
from cellflow.nets.net import GridNet
from cellflow.nets.song_unet import SongUNet

#: Range of noise levels of a denoiser (Karras et al. 2022, table 1).
SIGMA_MIN, SIGMA_MAX = 0.002, 80.0


@dataclass(frozen=True)
class Preconditioning:
    """Scalings of EDM: D(x; sigma) = c_skip x + c_out F(c_in x; c_noise).

    Input and training target of the network F have unit variance at every noise level (Karras et
    al. 2022, arXiv 2206.00364, table 1).

    Attributes
    ----------
    c_skip, c_out, c_in, c_noise
        Scalings, of the shape of sigma.
    weight
        Weight lambda of the loss, 1 / c_out^2.
    """

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor
    weight: Tensor

    @classmethod
    def of(cls, sigma: Tensor, sigma_data: float) -> Preconditioning:
        """Compute the scalings at noise levels `sigma`, for data of spread `sigma_data`."""
        total = sigma.square() + sigma_data**2
        return cls(
            c_skip=sigma_data**2 / total,
            c_out=sigma * sigma_data / total.sqrt(),
            c_in=1 / total.sqrt(),
            c_noise=sigma.log() / 4,
            weight=total / (sigma * sigma_data).square(),
        )


class Denoiser(GridNet):
    """Preconditioned network of EDM (Karras et al. 2022, arXiv 2206.00364) as a velocity.

    On straight paths x_t = (1 - t) n + t y from standard normal noise n to data y, x_t / t is
    y + sigma n with sigma = (1 - t) / t. The denoiser D(y + sigma n; sigma) = E[y | x_t] gives the
    velocity E[y - n | x_t] = D - (x_t / t - D) / sigma, and conversely.

    Sigma is clamped to [0.002, 80]. Where it would be larger, near t = 0, D is evaluated at
    80 x_t / (1 - t); at t = 0 this is the start of EDM's sampler.

    Parameters
    ----------
    shape
        Channels, height and width of an image; points are images, flattened in this order.
    sigma_data
        Standard deviation of the data around their mean, shared by all coordinates.
    **sizes
        Arguments of `SongUNet`.

    Attributes
    ----------
    settings
        The arguments, for JSON.
    """

    roles: ClassVar[tuple[str, ...]] = ("velocity",)

    def __init__(self, shape: Sequence[int], *, sigma_data: float = 0.5, **sizes: Any) -> None:
        super().__init__()
        check_positive(sigma_data, "sigma_data")
        self.sigma_data = sigma_data
        self.net = SongUNet(shape, **sizes)
        self.shape, self.condition_dim = self.net.hourglass.shape, self.net.condition_dim
        self.settings = {**self.net.settings, "sigma_data": sigma_data}

    def forward(self, t: Rows, x: Points, condition: Condition | None = None) -> Points:
        """Return the velocity at flow times `t`, shape (n,), and points `x`, shape (n, c * h * w).

        Parameters
        ----------
        t
            Flow times, from 0 (noise) to 1 (data).
        x
            Points on the path.
        condition
            Covariates, as `SongUNet` takes them.

        Returns
        -------
        Velocity, of the shape of `x`.
        """
        first, last = 1 / (1 + SIGMA_MAX), 1 / (1 + SIGMA_MIN)
        clamped = t.clamp(first, last)
        # 1 / t, and SIGMA_MAX / (1 - t) before the first time.
        scale = (1 - first) / (1 - t.clamp(max=first)) / t.clamp(min=first)
        sigma, x = ((1 - clamped) / clamped)[:, None], scale[:, None] * x
        scaled, output = self._outputs(x, sigma, condition)
        # D and (x - D) / sigma, computed apart to avoid cancellation: c_skip + c_in^2 sigma^2 = 1.
        denoised = scaled.c_skip * x + scaled.c_out * output
        noise = sigma * scaled.c_in.square() * x - self.sigma_data * scaled.c_in * output
        return denoised - noise

    def denoise(self, x: Points, sigma: Rows, condition: Condition | None = None) -> Points:
        """Return the denoised images D(x; sigma) = E[y | x] for `x` = y + sigma n.

        Parameters
        ----------
        x
            Noisy images, shape (n, c * h * w).
        sigma
            Noise levels, shape (n,), positive.
        condition
            As in `forward`.

        Returns
        -------
        Denoised images, of the shape of `x`.
        """
        scaled, output = self._outputs(x, sigma[:, None], condition)
        return scaled.c_skip * x + scaled.c_out * output

    def _outputs(
        self, x: Points, sigma: Tensor, condition: Condition | None
    ) -> tuple[Preconditioning, Points]:
        """Return the scalings, each of shape (n, 1), and the output of F, shape (n, c * h * w)."""
        scaled = Preconditioning.of(sigma, self.sigma_data)
        return scaled, self.net(scaled.c_noise[:, 0], scaled.c_in * x, condition)
