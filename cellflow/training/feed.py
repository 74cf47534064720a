"""Batches of pairs for the trainer, which a second thread may draw ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from queue import Queue

import torch
from torch import Tensor

from cellflow._batch import Pairs
from cellflow._tensors import add_prefix, select_prefix
from cellflow.couplings import Coupling


@dataclass(frozen=True)
class FeedState:
    """State of a coupling and a generator from which the next pairs can be drawn again.

    Attributes
    ----------
    generator
        State of the generator.
    pending
        Pairs that each component of the coupling has solved for and not returned yet, or None.
    """

    generator: Tensor
    pending: list[Pairs | None]

    @classmethod
    def capture(cls, coupling: Coupling, generator: torch.Generator) -> FeedState:
        """Return the present state of a coupling and a generator."""
        lists = coupling.pending_pairs()
        return cls(generator.get_state(), [Pairs.cat(pairs) if pairs else None for pairs in lists])

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], device: torch.device) -> FeedState:
        """Return the state that has these `tensors`."""
        pending: list[Pairs | None] = []
        for k in range(int(tensors["lists"])):
            columns = select_prefix(str(k), tensors)
            pending.append(Pairs(**columns).to(device) if columns else None)
        return cls(tensors["generator"], pending)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors."""
        tensors = {"generator": self.generator, "lists": torch.tensor(len(self.pending))}
        for k, pairs in enumerate(self.pending):
            tensors |= {} if pairs is None else add_prefix(str(k), pairs.columns())
        return tensors

    def restore(self, coupling: Coupling, generator: torch.Generator) -> None:
        """Put a coupling and a generator into this state."""
        generator.set_state(self.generator)
        for pairs, pending in zip(coupling.pending_pairs(), self.pending, strict=True):
            pairs[:] = [] if pending is None else [pending]


class Feed:
    """Draw batches of `n` pairs; the batches are the same with and without prefetching.

    Parameters
    ----------
    coupling
        Draws the pairs.
    n
        Pairs per batch.
    generator
        Source of randomness, not to be used elsewhere: a prefetching thread needs it for itself.
    """

    def __init__(self, coupling: Coupling, n: int, generator: torch.Generator) -> None:
        self.coupling, self.n, self.generator = coupling, n, generator
        self._next: Callable[[], tuple[Pairs, FeedState | None]] | None = None
        self._state: FeedState | None = None

    def next(self) -> Pairs:
        """Return the next batch."""
        pairs, self._state = (self._draw(), None) if self._next is None else self._next()
        return pairs

    @property
    def state(self) -> FeedState:
        """State from which the batch after the last returned one is drawn."""
        return self._state or FeedState.capture(self.coupling, self.generator)

    @contextmanager
    def prefetch(self, batches: int) -> Iterator[None]:
        """Draw up to `batches` batches ahead inside the block; 0 draws each when it is needed."""
        if not batches:
            yield
            return
        queue: Queue[_Drawn | BaseException] = Queue(batches)
        done = threading.Event()
        stream = _side_stream(self.generator.device)
        thread = threading.Thread(target=self._fill, args=(queue, done, stream), daemon=True)
        before, self._next = self._next, lambda: _take(queue)
        self._state = self.state
        thread.start()
        try:
            yield
        finally:
            done.set()
            # Makes room for a batch that the thread may be waiting with; no other follows.
            while not queue.empty():
                queue.get_nowait()
            thread.join()
            if stream is not None:
                torch.cuda.current_stream(stream.device).wait_stream(stream)
            self._next = before
            # Batches that were drawn and not returned are drawn again.
            if self._state is not None:
                self._state.restore(self.coupling, self.generator)
                self._state = None

    def _draw(self) -> Pairs:
        return self.coupling.sample(self.n, self.generator)

    def _fill(
        self,
        queue: Queue[_Drawn | BaseException],
        done: threading.Event,
        stream: torch.cuda.Stream | None,
    ) -> None:
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            while not done.is_set():
                drawn: _Drawn | BaseException
                try:
                    pairs = self._draw()
                    state = FeedState.capture(self.coupling, self.generator)
                    event = None if stream is None else stream.record_event()
                    drawn = _Drawn(pairs, state, event)
                except BaseException as error:
                    drawn = error
                queue.put(drawn)
                if isinstance(drawn, BaseException):
                    return


@dataclass(frozen=True)
class _Drawn:
    pairs: Pairs
    state: FeedState
    event: torch.cuda.Event | None


def _side_stream(device: torch.device) -> torch.cuda.Stream | None:
    """Return a stream on which pairs do not queue behind the net; None on a CPU."""
    if device.type != "cuda":
        return None
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # Pending pairs and points may still be on their way to the GPU.
    stream.wait_stream(torch.cuda.current_stream(device))
    return stream


def _take(queue: Queue[_Drawn | BaseException]) -> tuple[Pairs, FeedState]:
    drawn = queue.get()
    if isinstance(drawn, BaseException):
        # The thread has ended; the next call must get the error, too, and not wait for ever.
        queue.put(drawn)
        raise drawn
    if drawn.event is not None:
        stream = torch.cuda.current_stream(drawn.pairs.x0.device)
        stream.wait_event(drawn.event)
        for column in drawn.pairs.columns().values():
            # The allocator must know that memory of the other stream is in use on this one.
            column.record_stream(stream)
    return drawn.pairs, drawn.state
