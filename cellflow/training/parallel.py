"""Several processes that train one net, each on its share of every batch.

Each process draws the whole batch, from generators in the same state, and keeps every k-th pair of
it. Couplings therefore act on whole batches: the method is the same on any number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from cellflow._batch import Pairs
from cellflow._errors import InputError

#: Numbers of the times that this process joins others, the same in all of them.
_joins = count()


@dataclass(frozen=True)
class Crew:
    """The processes that train together.

    Attributes
    ----------
    rank
        Number of this process, from 0.
    size
        How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> Crew:
        """The processes that this one belongs to: itself alone, where no group was made."""
        if not distributed.is_available() or not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and shows."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Refuse batches in which a process would have no pair.

        Raises
        ------
        InputError
            With both numbers.
        """
        if batch_size < self.size:
            raise InputError(
                f"recipe setting batch_size={batch_size} leaves some of {self.size} processes "
                f"without a pair; take {self.size} or more"
            )

    def share(self, pairs: Pairs) -> Pairs:
        """The pairs that this process computes on."""
        return pairs if self.size == 1 else pairs[self.rank :: self.size]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, with gradients averaged over the processes."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes."""
        if self.size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.size

    def gather(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """The tensors of each process, by rank; every process must ask."""
        if self.size == 1:
            return [tensors]
        all_of_them: list[Any] = [None] * self.size
        distributed.all_gather_object(all_of_them, tensors)
        return all_of_them


def launch(processes: int, function: Callable[..., None], *args: Any) -> None:
    """Run `function(*args)` in that many processes of this machine that train together.

    Raises
    ------
    InputError
        That of the processes, where they refuse what they are given.
    torch.distributed.elastic.multiprocessing.errors.ChildFailedError
        If one of them fails.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="cellflow",
        max_restarts=0,
    )
    refused = elastic_launch(config, _reported)(function, *args)
    for error in refused.values():
        if error is not None:
            raise error


def _reported(function: Callable[..., None], *args: Any) -> InputError | None:
    """The user's mistake as a result, which comes back to the launching process as it is."""
    try:
        function(*args)
    except InputError as error:
        return error
    return None


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that a launcher started, if one did; yields the device of this one.

    `launch` and torchrun both tell a process by its environment.
    """
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    gpu = torch.cuda.is_available() and device in {"auto", "cuda"}
    mine = f"cuda:{os.environ['LOCAL_RANK']}" if gpu else device
    if gpu:
        torch.cuda.set_device(mine)
    store, rank, size = next(rendezvous("env://"))
    # Processes that join once more must not find the addresses of the time before.
    own = PrefixStore(f"cellflow-{next(_joins)}", store)
    backend = "nccl" if gpu else "gloo"
    distributed.init_process_group(backend, store=own, rank=rank, world_size=size)
    try:
        yield mine
    finally:
        distributed.destroy_process_group()
