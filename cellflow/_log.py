"""What verbs tell the user while they work; one logger, `cellflow`, which shows INFO on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Literal

logger = logging.getLogger("cellflow")


class _Console(logging.Handler):
    """Prints to what is stdout or stderr at the time, so that notebooks and tests may swap them."""

    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        stream = getattr(sys, self.stream)
        stream.write(self.format(record) + "\n")
        stream.flush()


def log_info(message: str) -> None:
    """Say in one line what a verb decided or did."""
    logger.info(message)


def show(level: int, stream: Literal["stdout", "stderr"]) -> None:
    """Show messages from `level` on, on one stream and nowhere else."""
    logger.handlers[:] = [_Console(stream)]
    logger.setLevel(level)
    logger.propagate = False


if not logger.handlers:
    show(logging.INFO, "stderr")
