"""The logger `cellflow`, which prints messages of level INFO and above to stderr."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("cellflow")


#: Seconds after which the progress of work is shown, and that of a part of shown work.
_DELAY, _DELAY_INSIDE = 2.0, 0.5

#: Bars that are not closed.
_open: WeakSet[tqdm[Any]] = WeakSet()


class _Console(logging.Handler):
    """Print to the current `sys.stdout` or `sys.stderr`, which notebooks and tests replace."""

    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        stream = getattr(sys, self.stream)
        # A line that starts where a bar stands would be mixed with it.
        bars = [bar for bar in list(_open) if _is_visible(bar)]
        for bar in bars:
            bar.clear()
        stream.write(self.format(record) + "\n")
        stream.flush()
        for bar in bars:
            bar.refresh()


def log_info(message: str) -> None:
    """Report in one line a decision or a result to the user."""
    logger.info(message)


def progress_bar(
    total: int | None,
    what: str,
    unit: str,
    *,
    shown: bool = True,
    at_once: bool = False,
    done: int = 0,
) -> tqdm[Any]:
    """Return a progress bar on stderr of work that takes more than two seconds; close it after.

    It is shown where messages of level INFO are, unless `shown` is false, and goes away when it is
    closed. Many short parts may take long, so the seconds of a bar inside another one count from
    the start of the outer one, and half a second is enough.

    Parameters
    ----------
    total
        Number of units; None if it is not known, and only what is done is counted.
    what
        Name of the work.
    unit
        Name of a unit of it.
    shown
        Whether to show it.
    at_once
        Show it from the start, where the work is known to be long.
    done
        Number of units that were done before.
    """
    with warnings.catch_warnings():
        # In notebooks without ipywidgets tqdm asks to install it, and a bar of text will do.
        warnings.filterwarnings("ignore", "IProgress not found")
        from tqdm.auto import tqdm

    now = time.time()
    first = min((bar.start_t for bar in _open if not bar.disable), default=now)
    later = max(_DELAY - (now - first), min(_DELAY, _DELAY_INSIDE))
    bar = tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        delay=0.0 if at_once else later,
        leave=False,
        disable=not (shown and logger.isEnabledFor(logging.INFO)),
    )
    _open.add(bar)
    return bar


def _is_visible(bar: tqdm[Any]) -> bool:
    """Report whether a bar was drawn; before its delay has passed it is not."""
    return not bar.disable and ((bar.delay or 0) <= 0 or bar.last_print_t > bar.start_t)


def show(level: int, stream: Literal["stdout", "stderr"]) -> None:
    """Print messages of `level` and above to one stream only."""
    logger.handlers[:] = [_Console(stream)]
    logger.setLevel(level)
    logger.propagate = False


if not logger.handlers:
    show(logging.INFO, "stderr")
