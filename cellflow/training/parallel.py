"""Train one net in several processes, each on its share of every batch.

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
from cellflow._files import end_process
from cellflow._signals import stoppable

#: Numbers of the groups that this process joins, the same in all processes.
_numbers = count()


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one net.

    Attributes
    ----------
    rank
        Number of this process, from 0.
    size
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> ProcessGroup:
        """Return the group of this process; outside `process_group` it has one member."""
        if not distributed.is_available() or not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def check_batch_size(self, batch_size: int) -> None:
        """Validate that each process has a pair of every batch.

        Raises
        ------
        InputError
            If there are more processes than pairs.
        """
        if batch_size < self.size:
            raise InputError(
                f"recipe setting batch_size={batch_size} leaves some of {self.size} processes "
                f"without a pair; take {self.size} or more"
            )

    def share(self, pairs: Pairs) -> Pairs:
        """Return the pairs that this process computes on."""
        return pairs if self.size == 1 else pairs[self.rank :: self.size]

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module with its gradients averaged over the processes."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes."""
        if self.size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.size

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether `flag` is set in any of the processes."""
        return flag if self.size == 1 else bool(self.mean(torch.tensor(float(flag), device=device)))

    def gather(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return the tensors of each process, by rank; every process must call this."""
        if self.size == 1:
            return [tensors]
        all_of_them: list[Any] = [None] * self.size
        distributed.all_gather_object(all_of_them, tensors)
        return all_of_them


def launch(processes: int, function: Callable[..., None], *args: Any) -> None:
    """Run `function(*args)` in several processes of this machine that train one net.

    Raises
    ------
    InputError
        If the processes raise one.
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
    errors = elastic_launch(config, _return_input_error)(function, *args)
    for error in errors.values():
        if error is not None:
            raise error


def _return_input_error(function: Callable[..., None], *args: Any) -> InputError | None:
    """Return an InputError as a result, so that the launching process gets it unchanged."""
    try:
        with stoppable(end_process, with_parent=True):
            function(*args)
    except InputError as error:
        return error
    return None


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join the processes that `launch` or torchrun started, if any; yield this one's device."""
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    gpu = torch.cuda.is_available() and device in {"auto", "cuda"}
    mine = f"cuda:{os.environ['LOCAL_RANK']}" if gpu else device
    if gpu:
        torch.cuda.set_device(mine)
    store, rank, size = next(rendezvous("env://"))
    # A second group must not find the addresses of the first one.
    own = PrefixStore(f"cellflow-{next(_numbers)}", store)
    backend = "nccl" if gpu else "gloo"
    distributed.init_process_group(backend, store=own, rank=rank, world_size=size)
    try:
        yield mine
    finally:
        distributed.destroy_process_group()
