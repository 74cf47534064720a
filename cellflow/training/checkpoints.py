"""Checkpoints of a training: a resumed fit gives the same weights as one never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cellflow._errors import FileError, InputError
from cellflow._files import check_file_target, check_not_named, parse_json
from cellflow._log import log_info
from cellflow._tensors import check_digest, read_tensors, write_tensors

FORMAT = "cellflow-checkpoint"
SCHEMA_VERSION = 3


@dataclass(frozen=True)
class State:
    """State of a training from which it can continue.

    Attributes
    ----------
    step
        Number of steps done.
    tensors
        Weights, their average, moments of the optimiser, states of generators, pending pairs,
        losses, states of callbacks.
    values
        Plain JSON values.
    """

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A file with the state of a training, so that a fit that was stopped can continue.

    A resumed fit ends with the weights of a fit that was never stopped, to the last bit. With a
    checkpoint, Ctrl-C and SIGTERM save the state before they stop the fit.

    Attributes
    ----------
    path
        The file. It is replaced atomically, so it is complete at any moment.
    every
        Steps between two checkpoints.
    resume
        Continue from the file if it exists; otherwise start from the first step.
    identity
        Filled in by the fit: method, recipe, seed and data, which a resumed fit must share.

    Examples
    --------
    >>> import cellflow as cf
    >>> cf.Checkpoint("state.safetensors", every=100, resume=True).every
    100
    """

    path: str | Path
    every: int = 500
    resume: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | Path):
            raise InputError(f"checkpoint must be a path or a cf.Checkpoint, got {self.path!r}")
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise InputError(f"every must be a whole number of steps from 1, got {self.every!r}")
        path = Path(self.path)
        if path.is_dir():
            raise FileError(
                f"{path} is a folder, and a checkpoint is a file: give a path such as "
                f"{path / 'state.safetensors'}"
            )
        object.__setattr__(self, "path", path)

    def with_identity(self, identity: Mapping[str, Any]) -> Checkpoint:
        """Return a copy with further settings that a resumed training must share.

        Parameters
        ----------
        identity
            Settings by name, as plain JSON values.

        Returns
        -------
        The copy.
        """
        return replace(self, identity={**identity, **self.identity})

    def is_due(self, step: int) -> bool:
        """Return whether the state is saved after a step.

        Parameters
        ----------
        step
            Number of steps done.

        Returns
        -------
        True at every multiple of `every`.
        """
        return step % self.every == 0

    def save(self, state: State) -> None:
        """Write the state of a training, completely or not at all.

        Parameters
        ----------
        state
            Steps done, tensors and plain values.
        """
        # safetensors raises an error for tensors that share memory.
        tensors = {name: tensor.detach().clone() for name, tensor in state.tensors.items()}
        texts = {
            "format": FORMAT,
            "schema_version": str(SCHEMA_VERSION),
            "state": json.dumps(
                {"step": state.step, "values": dict(state.values), "identity": self.identity}
            ),
        }
        write_tensors(Path(self.path), tensors, texts, overwrite=True)

    def load(self) -> State | None:
        """Read the state to continue from.

        Returns
        -------
        The state; None to start from the first step.

        Raises
        ------
        FileError
            If the file is damaged or not a checkpoint.
        InputError
            If it belongs to another training.
        """
        path = Path(self.path)
        if not self.resume:
            return None
        if not path.exists():
            log_info(f"checkpoint {path} does not exist yet: training starts from the first step")
            return None
        tensors, text = self._read()
        try:
            state = parse_json(text)
            identity, step = dict(state["identity"]), int(state["step"])
            values = dict(state["values"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} does not hold the state of a training: {error!r}") from error
        self._check_identity(identity)
        return State(step, tensors, values)

    def check(self) -> None:
        """Check the file to continue from, if there is one; call it before long work.

        Raises
        ------
        FileError
            If the file is damaged or not a checkpoint.
        """
        if self.resume and Path(self.path).exists():
            self._read()

    def _read(self) -> tuple[dict[str, Tensor], str]:
        """Return the tensors and the text of the state of an undamaged file."""
        path = Path(self.path)
        tensors, metadata = read_tensors(
            path, "a checkpoint", "; delete it, and the fit starts from the first step"
        )
        if metadata.get("format") != FORMAT:
            raise FileError(f"{path} is not a checkpoint of a training")
        if metadata.get("schema_version") != str(SCHEMA_VERSION):
            raise FileError(
                f"{path} has schema version {metadata.get('schema_version')!r}; "
                f"this cellflow reads version {SCHEMA_VERSION}: start without resume"
            )
        check_digest(path, tensors, metadata)
        return tensors, metadata.get("state", "")

    def _check_identity(self, stored: Mapping[str, Any]) -> None:
        own = json.loads(json.dumps(self.identity))
        other = sorted(name for name in {*own, *stored} if own.get(name) != stored.get(name))
        if other:
            raise InputError(
                f"{self.path} belongs to a training with other settings ({', '.join(other)}); "
                "use those, or start without resume"
            )


def make_checkpoint(given: Checkpoint | str | Path | None) -> Checkpoint | None:
    """Return the `Checkpoint` for a path or a `Checkpoint` given by the user, before long work.

    Raises
    ------
    InputError
        If its file cannot be written, or has the name of a file of another kind.
    FileError
        If the file to continue from is damaged or not a checkpoint.
    """
    if given is None:
        return None
    checkpoint = given if isinstance(given, Checkpoint) else Checkpoint(given)
    check_not_named(Path(checkpoint.path), "a checkpoint")
    check_file_target(Path(checkpoint.path), overwrite=True)
    checkpoint.check()
    return checkpoint
