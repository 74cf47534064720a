"""A denoiser in the preconditioning of EDM, which is a velocity on straight paths from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from cellflow._checks import check_positive
from cellflow._typing import Condition, Points, Rows
from cellflow.nets.net import GridNet
from cellflow.nets.song_unet import SongUNet

#: Levels of noise outside of which a denoiser is not asked (Karras et al. 2022, table 1).
SIGMA_MIN, SIGMA_MAX = 0.002, 80.0


@dataclass(frozen=True)
class Preconditioning:
    """Scalings by which the net sees numbers of order one, whatever the noise.

    D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), with the input of F and the error that it has
    to fit both of unit variance (Karras et al. 2022, arXiv 2206.00364, table 1).

    Attributes
    ----------
    skip, out, into, noise
        c_skip, c_out, c_in and c_noise, of the shape of sigma.
    weight
        lambda of the loss, 1 / c_out^2.
    """

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor
    weight: Tensor

    @classmethod
    def of(cls, sigma: Tensor, sigma_data: float) -> Preconditioning:
        """Those at noise `sigma`, for data of standard deviation `sigma_data`."""
        total = sigma.square() + sigma_data**2
        return cls(
            skip=sigma_data**2 / total,
            out=sigma * sigma_data / total.sqrt(),
            into=1 / total.sqrt(),
            noise=sigma.log() / 4,
            weight=total / (sigma * sigma_data).square(),
        )


class Denoiser(GridNet):
    """The preconditioned net of EDM (Karras et al. 2022, arXiv 2206.00364) as a velocity.

    On straight paths x_t = (1 - t) n + t y from standard normal noise n to data y, x_t / t is
    y + sigma n with sigma = (1 - t) / t. Its denoiser D(y + sigma n; sigma) = E[y | x_t] therefore
    gives the velocity E[y - n | x_t] = D - (x_t / t - D) / sigma, and the other way round.

    Sigma is held in [0.002, 80]. Above, near t = 0, the net is asked at 80 x_t / (1 - t), which is
    the start of EDM's sampler where t = 0.

    Parameters
    ----------
    shape
        Channels, height and width of one image; each point is one, flat, in this order.
    sigma_data
        Standard deviation of the data around their mean, one number for all coordinates.
    **sizes
        Of `SongUNet`.

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
        """Velocity at flow times `t`, shape (n,), and positions `x`, shape (n, c * h * w).

        Parameters
        ----------
        t
            Flow times from 0, where the noise is, to 1.
        x
            Points on the path.
        condition
            Covariates, as `SongUNet` takes them.

        Returns
        -------
        Velocity, of the shape of `x`.
        """
        first, last = 1 / (1 + SIGMA_MAX), 1 / (1 + SIGMA_MIN)
        held = t.clamp(first, last)
        # 1 / t, but before the first time SIGMA_MAX / (1 - t).
        scale = (1 - first) / (1 - t.clamp(max=first)) / t.clamp(min=first)
        sigma, x = ((1 - held) / held)[:, None], scale[:, None] * x
        scaled, output = self._outputs(x, sigma, condition)
        # D and (x - D) / sigma, each without the other's cancellation: c_skip + c_in^2 sigma^2 = 1.
        denoised = scaled.skip * x + scaled.out * output
        noise = sigma * scaled.into.square() * x - self.sigma_data * scaled.into * output
        return denoised - noise

    def denoise(self, x: Points, sigma: Rows, condition: Condition | None = None) -> Points:
        """Expected data D(x; sigma) behind `x` = y + sigma n.

        Parameters
        ----------
        x
            Noisy images, shape (n, c * h * w).
        sigma
            Standard deviation of the noise in each, shape (n,), positive.
        condition
            As in `forward`.

        Returns
        -------
        Denoised images, of the shape of `x`.
        """
        scaled, output = self._outputs(x, sigma[:, None], condition)
        return scaled.skip * x + scaled.out * output

    def _outputs(
        self, x: Points, sigma: Tensor, condition: Condition | None
    ) -> tuple[Preconditioning, Points]:
        """Scalings, each of shape (n, 1), and what the net gives."""
        scaled = Preconditioning.of(sigma, self.sigma_data)
        return scaled, self.net(scaled.noise[:, 0], scaled.into * x, condition)
