"""SIGINT, SIGTERM and SIGHUP: stop a command for certain, or defer them until work is saved.

An exception that a handler raises is not enough. In a `__del__`, the callback of a weak reference
or a callback from C it is dropped, and no handler of Python runs while the main thread is in a long
call of C. So a second thread, to which C reports signals through a pipe, watches whether the main
thread ends: it sends the signal again when the exception was dropped, and ends the process after a
second. Handlers that the shell set to ignore a signal, as `nohup` does, stay.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

#: Signals that stop a command.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds between two looks at the main thread, and looks until the process is ended.
_PAUSE, _LOOKS = 0.05, 20

#: Seconds between two looks at the parent process.
_IDLE_PAUSE = 0.5

Handler = Callable[[int, FrameType | None], Any]


class Stopped(BaseException):
    """A signal as an exception, which lets unfinished files be removed; with its number."""


@dataclass
class DeferredSignal:
    """A signal received during `defer_signals`.

    Attributes
    ----------
    caught
        Number of the signal; None if none was received.
    """

    caught: int | None = None


#: Blocks of `defer_signals` that the main thread is in.
_deferring: list[DeferredSignal] = []


@contextmanager
def defer_signals(active: bool = True, *, second_stops: bool = True) -> Iterator[DeferredSignal]:
    """Defer signals to the end of the block; with `second_stops` a second one is raised at once.

    Signals are not deferred if `active` is False, and in threads other than the main one.
    """
    deferred = DeferredSignal()
    if not active or threading.current_thread() is not threading.main_thread():
        yield deferred
        return

    def restore() -> None:
        if deferred in _deferring:
            _deferring.remove(deferred)
        _restore(before)

    def catch(number: int, _: FrameType | None) -> None:
        if deferred.caught is not None and second_stops:
            restore()
            signal.raise_signal(number)
        deferred.caught = deferred.caught or number

    _deferring.append(deferred)
    before = _install(catch)
    try:
        yield deferred
    finally:
        restore()
    if deferred.caught is not None:
        signal.raise_signal(deferred.caught)


class StopWatch:
    """Hears signals in this process, and sees to it that it ends.

    Parameters
    ----------
    end
        Ends the process at once, given the number of the signal; called in another thread.
    looks
        Looks at the main thread before the process is ended.
    with_parent
        Treat the death of the parent process as SIGTERM.

    Attributes
    ----------
    received
        Number of the first signal; None if none was received.
    """

    def __init__(self, end: Callable[[int], None], *, looks: int, with_parent: bool) -> None:
        self.received: int | None = None
        self._end, self._looks = end, looks
        self._parent = os.getppid() if with_parent else None
        self._main = threading.get_ident()
        self._is_raising, self._is_closed = False, False
        self._raised: weakref.ref[Stopped] | None = None
        self._before: dict[int, Any] = {}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._thread = threading.Thread(target=self._watch, name="cellflow-signals", daemon=True)
        self._thread.start()
        self._before_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before_hook = sys.unraisablehook
        sys.unraisablehook = self._report_dropped
        self._before = _install(self._handle)

    def start_raising(self) -> None:
        """Raise `Stopped` in the main thread from now on, and for a signal that came before."""
        self._is_raising = True
        if self.received is not None:
            signal.raise_signal(self.received)

    def close(self) -> None:
        """Raise nothing from now on, and restore what was set before."""
        # First: a signal that arrives between two of these lines is recorded, not raised.
        self._is_raising, self._is_closed = False, True
        os.write(self._writer, b"\0")
        self._thread.join()
        _restore(self._before)
        sys.unraisablehook = self._before_hook
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._reader)
        os.close(self._writer)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or number
        # While an exception is on its way, files are removed; another would interrupt that.
        if not self._is_raising or (self._raised is not None and self._raised() is not None):
            return
        stop = Stopped(self.received)
        self._raised = weakref.ref(stop)
        try:
            raise stop
        finally:
            # This frame is part of the traceback and would keep the exception alive.
            del stop

    def _report_dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        """Report exceptions that were dropped, but not `Stopped`, which is raised again."""
        if not isinstance(dropped.exc_value, Stopped):
            self._before_hook(dropped)

    def _watch(self) -> None:
        """Wait for a signal, then for the end of the main thread; if it does not come, end it."""
        while self.received is None and not self._is_closed:
            if select.select([self._reader], [], [], _IDLE_PAUSE)[0]:
                # Other signals, such as SIGCHLD, are announced as well.
                numbers = [each for each in os.read(self._reader, 64) if each in self._before]
                self.received = self.received or (numbers[0] if numbers else None)
            elif self._parent not in (None, os.getppid()):
                self.received = signal.SIGTERM
                self._send()
        looks = 0
        while not self._is_closed:
            if not _deferring and looks == self._looks:
                self._end(self.received or signal.SIGTERM)
            looks = 0 if _deferring else looks + 1
            time.sleep(_PAUSE)
            if self._raised is not None and self._raised() is None:
                self._send()

    def _send(self) -> None:
        # By a signal, which also ends a wait for a lock or a queue.
        if not self._is_closed:
            signal.pthread_kill(self._main, self.received or signal.SIGTERM)


@contextmanager
def stoppable(
    end: Callable[[int], None], *, with_parent: bool = False
) -> Iterator[StopWatch | None]:
    """Raise `Stopped` in the block on a signal; yield None in threads other than the main one.

    If the block does not end within a second, `end` ends the process. Parameters are those of
    `StopWatch`. A process of a group, `with_parent`, is ended at once: it may wait for the others
    in C, also while it leaves the group.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    watch = StopWatch(end, looks=0 if with_parent else _LOOKS, with_parent=with_parent)
    try:
        if not with_parent:
            watch.start_raising()
        yield watch
    finally:
        try:
            watch.close()
        except Stopped:
            watch.close()
            raise


def end_with_parent(end: Callable[[int], None]) -> None:
    """Let `end` end this process on a signal, or when its parent process ends."""
    StopWatch(end, looks=0, with_parent=True)


@contextmanager
def block_ctrl_c() -> Iterator[None]:
    """Keep SIGINT from processes that are started in the block; this process gets it afterwards.

    Ctrl-C goes to all processes of a terminal, and those that are starting would print tracebacks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _install(handler: Handler) -> dict[int, Any]:
    """Set the handler of signals that are not ignored; return the handlers before."""
    now = {int(number): signal.getsignal(number) for number in SIGNALS}
    # None is a handler that was not set by Python.
    before = {number: old for number, old in now.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
