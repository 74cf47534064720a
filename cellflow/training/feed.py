"""Batches of pairs for a training loop, drawn ahead by a second thread where that is asked."""

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
from cellflow.couplings import Coupling, waiting


@dataclass(frozen=True)
class Source:
    """Where the next pairs come from: enough to draw the same ones again.

    Attributes
    ----------
    generator
        State of the generator.
    ready
        Pairs that each part of the coupling had not served yet; None for none.
    """

    generator: Tensor
    ready: list[Pairs | None]

    @classmethod
    def of(cls, coupling: Coupling, generator: torch.Generator) -> Source:
        """What `coupling` and `generator` would draw from now."""
        lists = waiting(coupling)
        return cls(generator.get_state(), [Pairs.cat(pairs) if pairs else None for pairs in lists])

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], device: torch.device) -> Source:
        """The source that these are the `tensors` of."""
        ready: list[Pairs | None] = []
        for k in range(int(tensors["lists"])):
            columns = select_prefix(str(k), tensors)
            ready.append(Pairs(**columns).to(device) if columns else None)
        return cls(tensors["generator"], ready)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        tensors = {"generator": self.generator, "lists": torch.tensor(len(self.ready))}
        for k, pairs in enumerate(self.ready):
            tensors |= {} if pairs is None else add_prefix(str(k), pairs.columns())
        return tensors

    def restore(self, coupling: Coupling, generator: torch.Generator) -> None:
        """Let `coupling` and `generator` draw from here."""
        generator.set_state(self.generator)
        for pairs, ready in zip(waiting(coupling), self.ready, strict=True):
            pairs[:] = [] if ready is None else [ready]


class Feed:
    """Serves batches of `n` pairs in the order in which the generator gives them.

    A thread that draws ahead needs `generator` for itself; the pairs are the same with and
    without one.

    Parameters
    ----------
    coupling
        Where pairs come from.
    n
        Pairs a batch.
    generator
        Source of their randomness, not to be used elsewhere.
    """

    def __init__(self, coupling: Coupling, n: int, generator: torch.Generator) -> None:
        self.coupling, self.n, self.generator = coupling, n, generator
        self._next: Callable[[], tuple[Pairs, Source | None]] | None = None
        self._source: Source | None = None

    def next(self) -> Pairs:
        """The next batch."""
        pairs, self._source = (self._draw(), None) if self._next is None else self._next()
        return pairs

    @property
    def source(self) -> Source:
        """Where the batch after the last one served comes from."""
        return self._source or Source.of(self.coupling, self.generator)

    @contextmanager
    def ahead(self, batches: int) -> Iterator[None]:
        """Keep up to that many batches drawn ahead inside the block; 0 draws when asked."""
        if not batches:
            yield
            return
        queue: Queue[_Drawn | BaseException] = Queue(batches)
        done = threading.Event()
        stream = _stream_beside(self.generator.device)
        thread = threading.Thread(target=self._fill, args=(queue, done, stream), daemon=True)
        before, self._next = self._next, lambda: _taken(queue)
        self._source = self.source
        thread.start()
        try:
            yield
        finally:
            done.set()
            # Makes room for the one that the thread may be waiting with; it brings no other.
            while not queue.empty():
                queue.get_nowait()
            thread.join()
            if stream is not None:
                torch.cuda.current_stream(stream.device).wait_stream(stream)
            self._next = before
            # What was drawn and not served is drawn again by whoever goes on.
            if self._source is not None:
                self._source.restore(self.coupling, self.generator)
                self._source = None

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
                    source = Source.of(self.coupling, self.generator)
                    event = None if stream is None else stream.record_event()
                    drawn = _Drawn(pairs, source, event)
                except BaseException as error:
                    drawn = error
                queue.put(drawn)
                if isinstance(drawn, BaseException):
                    return


@dataclass(frozen=True)
class _Drawn:
    pairs: Pairs
    source: Source
    event: torch.cuda.Event | None


def _stream_beside(device: torch.device) -> torch.cuda.Stream | None:
    """A stream where work for pairs does not queue up behind that of the net; None on a CPU."""
    if device.type != "cuda":
        return None
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # What waits to be served, and the points, may still be on their way.
    stream.wait_stream(torch.cuda.current_stream(device))
    return stream


def _taken(queue: Queue[_Drawn | BaseException]) -> tuple[Pairs, Source]:
    drawn = queue.get()
    if isinstance(drawn, BaseException):
        # The thread has ended; whoever asks again hears the same instead of waiting for ever.
        queue.put(drawn)
        raise drawn
    if drawn.event is not None:
        stream = torch.cuda.current_stream(drawn.pairs.x0.device)
        stream.wait_event(drawn.event)
        for column in drawn.pairs.columns().values():
            # Tells the allocator that memory of the other stream is in use on this one.
            column.record_stream(stream)
    return drawn.pairs, drawn.source
