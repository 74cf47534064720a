"""What can go wrong, by whose fault.

`InputError` is the caller's mistake: its message names the bad value and the valid choices, and
the command line prints it on one line and exits with 2. Everything else under `CellflowError` is
ours.
"""

from __future__ import annotations


class CellflowError(Exception):
    """Base of every error that cellflow raises on purpose."""


class InputError(CellflowError, ValueError):
    """A value, a file or a combination that cellflow cannot work with."""


class FileError(InputError):
    """A file or folder that is missing, damaged, foreign, in the way or not writable."""


class SolverError(CellflowError, RuntimeError):
    """A solver ended without the answer that was asked of it."""


class CellflowWarning(UserWarning):
    """Something was handled that the caller will want to know of."""
