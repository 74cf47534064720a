"""The logger `cellflow`, which prints messages of level INFO and above to stderr."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("cellflow")


#: Seconds after which the progress of work is shown.
_DELAY = 2.0


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


def progress_bar(total: int, what: str, unit: str) -> tqdm[Any]:
    """Return a progress bar on stderr of work that takes more than two seconds; close it after.

    It is shown where messages of level INFO are.
    """
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        delay=_DELAY,
        leave=False,
        disable=not logger.isEnabledFor(logging.INFO),
    )


def show(level: int, stream: Literal["stdout", "stderr"]) -> None:
    """Print messages of `level` and above to one stream only."""
    logger.handlers[:] = [_Console(stream)]
    logger.setLevel(level)
    logger.propagate = False


if not logger.handlers:
    show(logging.INFO, "stderr")
