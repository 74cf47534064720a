"""Signals that ask a program to end, held back until what it does can be kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Held:
    """What has been asked.

    Attributes
    ----------
    caught
        The signal that came; None while there was none.
    """

    caught: int | None = None


@contextmanager
def defer_signals(active: bool) -> Iterator[Held]:
    """Hold SIGINT and SIGTERM back until the block ends; a second one is served at once.

    Where it is not `active`, and in threads that get no signals, nothing is held.
    """
    held = Held()
    if not active or threading.current_thread() is not threading.main_thread():
        yield held
        return
    before = {each: signal.getsignal(each) for each in _ASKING}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler or signal.SIG_DFL)

    def catch(number: int, _: FrameType | None) -> None:
        if held.caught is not None:
            restore()
            signal.raise_signal(number)
        held.caught = number

    for each in _ASKING:
        signal.signal(each, catch)
    try:
        yield held
    finally:
        restore()
    if held.caught is not None:
        signal.raise_signal(held.caught)
