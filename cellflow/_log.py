"""What verbs tell the user while they work; one logger, `cellflow`, which shows INFO on stderr."""

from __future__ import annotations

import logging
from typing import TextIO

logger = logging.getLogger("cellflow")


def tell(message: str) -> None:
    """Say in one line what a verb decided or did."""
    logger.info(message)


def show(level: int, stream: TextIO | None = None) -> None:
    """Show messages from `level` on, on `stream` (stderr where None), and nowhere else."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


show(logging.INFO)
