"""The training step of TorchCFM's example on CIFAR-10, with its own net and pairs.

Release 1.0.7, `examples/images/cifar10`: its U-Net of 128 channels, batches of 128, exact transport
within a batch, Adam at 2e-4 with a warm-up, gradients clipped at 1, an average of the weights. The
images are on the device already, so it waits for no loader.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

_RATE, _WARMUP, _CLIP, _DECAY = 2e-4, 5000, 1.0, 0.9999


class TorchCFMStep:
    """A training that goes on by one step when it is called.

    Parameters
    ----------
    pixels
        Images, uint8, shape (n, h, w, 3).
    coupled
        Whether pairs come from transport, as in OT-CFM, or are independent.
    channels, multipliers, batch_size
        Of the net and of a step.
    device
        Where to train.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        *,
        coupled: bool,
        channels: int,
        multipliers: tuple[int, ...],
        batch_size: int,
        device: str,
    ) -> None:
        from torchcfm import conditional_flow_matching as matchers
        from torchcfm.models.unet.unet import UNetModelWrapper

        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        self.images = images.to(device).float().div(127.5).sub(1)
        self.batch_size, self.device = batch_size, device
        self.matcher = (
            matchers.ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
            if coupled
            else matchers.ConditionalFlowMatcher(sigma=0.0)
        )
        self.net = UNetModelWrapper(
            dim=tuple(images.shape[1:]), num_res_blocks=2, num_channels=channels,
            channel_mult=multipliers, num_heads=4, num_head_channels=64,
            attention_resolutions="16" if images.shape[-1] >= 32 else "4", dropout=0.1,
        ).to(device)  # fmt: skip
        self.average = deepcopy(self.net)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=_RATE)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: min(step, _WARMUP) / _WARMUP
        )

    def __call__(self) -> None:
        """Take a step."""
        self.optimiser.zero_grad()
        x1 = self._draw()
        t, x, u = self.matcher.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        loss = (self.net(t, x) - u).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), _CLIP)
        self.optimiser.step()
        self.schedule.step()
        with torch.no_grad():
            weights = self.net.state_dict()
            for name, mean in self.average.state_dict().items():
                mean.copy_(mean * _DECAY + weights[name] * (1 - _DECAY))

    def _draw(self) -> Tensor:
        rows = torch.randint(len(self.images), (self.batch_size,), device=self.device)
        mirrored = torch.rand(self.batch_size, 1, 1, 1, device=self.device) < 0.5
        images = self.images[rows]
        return torch.where(mirrored, images.flip(-1), images)
