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


class CellflowWarning(UserWarning):
    """A problem that cellflow worked around and the caller should know about."""
