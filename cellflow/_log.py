"""The logger `cellflow`, which prints messages of level INFO and above to stderr."""

from __future__ import annotations

import logging
import sys
from typing import Literal

logger = logging.getLogger("cellflow")


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


def show(level: int, stream: Literal["stdout", "stderr"]) -> None:
    """Print messages of `level` and above to one stream only."""
    logger.handlers[:] = [_Console(stream)]
    logger.setLevel(level)
    logger.propagate = False


if not logger.handlers:
    show(logging.INFO, "stderr")
