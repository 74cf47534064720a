"""Deferred handling of SIGINT and SIGTERM, until work can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class DeferredSignal:
    """A signal received during `defer_signals`.

    Attributes
    ----------
    caught
        Number of the signal; None if none was received.
    """

    caught: int | None = None


@contextmanager
def defer_signals(active: bool) -> Iterator[DeferredSignal]:
    """Defer SIGINT and SIGTERM to the end of the block; a second one is raised at once.

    Signals are not deferred if `active` is False, and in threads other than the main one.
    """
    deferred = DeferredSignal()
    if not active or threading.current_thread() is not threading.main_thread():
        yield deferred
        return
    before = {each: signal.getsignal(each) for each in _SIGNALS}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler or signal.SIG_DFL)

    def catch(number: int, _: FrameType | None) -> None:
        if deferred.caught is not None:
            restore()
            signal.raise_signal(number)
        deferred.caught = number

    for each in _SIGNALS:
        signal.signal(each, catch)
    try:
        yield deferred
    finally:
        restore()
    if deferred.caught is not None:
        signal.raise_signal(deferred.caught)
