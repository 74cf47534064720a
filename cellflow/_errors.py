"""Errors and warnings that cellflow raises.

`InputError` reports a mistake of the caller: its message names the bad value and the valid choices;
the command line prints it on one line and exits with status 2. Other subclasses of `CellflowError`
report failures of cellflow itself.
"""

from __future__ import annotations


class CellflowError(Exception):
    """Base class of all errors that cellflow raises."""


class InputError(CellflowError, ValueError):
    """A value, a file or a combination of options is not valid."""


class FileError(InputError):
    """A file or folder is missing, damaged, of another kind, in the way or not writable."""


class SolverError(CellflowError, RuntimeError):
    """A solver did not reach a valid solution."""


class DivergenceError(InputError, SolverError):
    """Numbers of a fit or of moved points are not finite, or points left the data by far.

    Settings and files lead to it, such as a learning rate or a damaged flow.

    Parameters
    ----------
    fact
        What is not finite, and how many.
    way_out
        What to do about it.
    index
        Index of the first time of a solution at which it is so, if that is known.
    """

    def __init__(self, fact: str, way_out: str = "", index: int | None = None) -> None:
        super().__init__(f"{fact}: {way_out}" if way_out else fact)
        self.fact, self.way_out, self.index = fact, way_out, index


class CellflowWarning(UserWarning):
    """A problem that cellflow worked around and the caller should know about."""
