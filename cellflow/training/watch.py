"""Early stopping: the loss on pairs that training does not see."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from cellflow._random import torch_generator
from cellflow.couplings import Coupling
from cellflow.methods.recipes import Recipe
from cellflow.objectives import Objective

#: Unseen pairs that are looked at, and the seed of their times and noise.
_WATCHED, _WATCH_SEED = 2048, 0


class Watch:
    """Loss on a fixed batch of unseen pairs, and the weights at its lowest."""

    def __init__(
        self,
        net: nn.Module,
        check: Coupling,
        objective: Objective,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.net, self.objective, self.device = net, objective, device
        self.patience = recipe.patience or recipe.n_steps
        self.pairs = check.sample(_WATCHED, torch_generator(_WATCH_SEED, device))
        self.losses: list[float] = []
        self.best = deepcopy(net.state_dict())

    def read(self) -> bool:
        """Take a reading; True where it is time to stop."""
        # The same times and noise at every reading, so that readings differ by the weights alone.
        with torch.no_grad():
            loss = self.objective.loss(
                self.net, self.pairs, torch_generator(_WATCH_SEED, self.device)
            )
        self.losses.append(float(loss))
        lowest = min(range(len(self.losses)), key=self.losses.__getitem__)
        if lowest == len(self.losses) - 1:
            self.best = deepcopy(self.net.state_dict())
        return len(self.losses) - 1 - lowest >= self.patience
