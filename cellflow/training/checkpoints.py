"""The state of a training on disk, from which it goes on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cellflow._errors import FileError, InputError
from cellflow._tensors import check_digest, read_tensors, write_tensors

FORMAT = "cellflow-checkpoint"
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class State:
    """All that a training needs to go on.

    Attributes
    ----------
    step
        Steps done.
    tensors
        Weights, their average, the optimiser's moments, states of generators, waiting pairs,
        losses.
    values
        Plain JSON values.
    """

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often the state of a training is kept.

    Attributes
    ----------
    path
        The file; the one before is replaced in one move, so there is a whole one at any moment.
    every
        Steps between two of them.
    resume
        Go on from the file, where there is one.
    identity
        What must be equal for the training to be the same: method, recipe, seed, data.
    """

    path: Path
    every: int = 1000
    resume: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict)

    def of(self, settings: Mapping[str, Any]) -> Checkpoint:
        """The same, of a training with these settings."""
        return replace(self, identity={**settings, **self.identity})

    def due(self, step: int) -> bool:
        """Whether the state is kept after this step."""
        return step % self.every == 0

    def save(self, state: State) -> None:
        """Write the state, whole or not at all."""
        # Two names for one memory are nothing that safetensors keeps.
        tensors = {name: tensor.detach().clone() for name, tensor in state.tensors.items()}
        texts = {
            "format": FORMAT,
            "schema_version": str(SCHEMA_VERSION),
            "state": json.dumps(
                {"step": state.step, "values": dict(state.values), "identity": self.identity}
            ),
        }
        write_tensors(self.path, tensors, texts, overwrite=True)

    def load(self) -> State | None:
        """The state to go on from; None to start anew.

        Raises
        ------
        FileError
            If the file is damaged or no checkpoint.
        InputError
            If it is of another training.
        """
        if not self.resume or not self.path.exists():
            return None
        tensors, metadata = read_tensors(self.path, "a checkpoint")
        if metadata.get("format") != FORMAT:
            raise FileError(f"{self.path} is no checkpoint of a training")
        if metadata.get("schema_version") != str(SCHEMA_VERSION):
            raise FileError(
                f"{self.path} has schema version {metadata.get('schema_version')!r}; "
                f"this cellflow reads version {SCHEMA_VERSION}"
            )
        check_digest(self.path, tensors, metadata)
        try:
            state = json.loads(metadata["state"])
            identity, step = dict(state["identity"]), int(state["step"])
            values = dict(state["values"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{self.path} holds no state of a training: {error!r}") from error
        self._check_same(identity)
        return State(step, tensors, values)

    @contextmanager
    def believed(self) -> Iterator[None]:
        """Whatever a state raises that fits no training becomes an error of its file.

        Its digest says that it is whole, not who wrote it.
        """
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise FileError(
                f"{self.path} holds no state of this training ({type(error).__name__}: {reason}); "
                "start anew without resuming"
            ) from error

    def _check_same(self, found: Mapping[str, Any]) -> None:
        mine = json.loads(json.dumps(self.identity))
        other = sorted(name for name in {*mine, *found} if mine.get(name) != found.get(name))
        if other:
            raise InputError(
                f"{self.path} belongs to a training with other settings ({', '.join(other)}); "
                "give those, or start anew without resuming"
            )
