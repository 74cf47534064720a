"""The logger `cellflow`, which prints messages of level INFO and above to stderr."""

from __future__ import annotations

import logging
import sys
import time
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
        stream.write(self.format(record) + "\n")
        stream.flush()


def log_info(message: str) -> None:
    """Report in one line a decision or a result to the user."""
    logger.info(message)


def progress_bar(total: int | None, what: str, unit: str, *, shown: bool = True) -> tqdm[Any]:
    """Return a progress bar on stderr of work that takes more than two seconds; close it after.

    It is shown where messages of level INFO are, unless `shown` is false. A total of None is not
    known, and only what is done is counted. Many short parts may take long, so the seconds of a bar
    inside another one count from the start of the outer one, and half a second is enough.
    """
    from tqdm.auto import tqdm

    now = time.time()
    first = min((bar.start_t for bar in _open if not bar.disable), default=now)
    bar = tqdm(
        total=total,
        desc=what,
        unit=unit,
        delay=max(_DELAY - (now - first), min(_DELAY, _DELAY_INSIDE)),
        leave=False,
        disable=not (shown and logger.isEnabledFor(logging.INFO)),
    )
    _open.add(bar)
    return bar


def show(level: int, stream: Literal["stdout", "stderr"]) -> None:
    """Print messages of `level` and above to one stream only."""
    logger.handlers[:] = [_Console(stream)]
    logger.setLevel(level)
    logger.propagate = False


if not logger.handlers:
    show(logging.INFO, "stderr")
