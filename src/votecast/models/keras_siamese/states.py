"""Where a training stands, in one file: written beside and renamed, with its hash in its name."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from votecast.artifacts import atomic_file
from votecast.errors import ArtifactError, ConfigError

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
_FACTS, _DIGITS = "facts", 16


@dataclass(frozen=True)
class State:
    """Where a training stands after a number of epochs.

    Args:
        arrays: Weights, the optimizer's variables, the best weights.
        facts: Everything else, JSON-able.
    """

    arrays: Arrays
    facts: dict[str, Any]


class States:
    """The states of one training; the newest is kept.

    Args:
        folder: Where unfinished work is kept; None keeps nothing.
        made_from: What a state must have been made from to be taken up.

    Example:
        >>> States(None, {}).latest() is None
        True
    """

    def __init__(self, folder: Path | None, made_from: Mapping[str, Any]) -> None:
        self._folder, self._made_from = folder, json.loads(json.dumps(made_from))

    def save(self, epoch: int, state: State) -> None:
        """Write a state whole or not at all, then drop the older ones.

        Raises:
            ArtifactError: If the disk refuses; earlier states are kept.
        """
        if self._folder is None:
            return
        facts = json.dumps(state.facts | {"made_from": self._made_from})
        whole = save({name: np.asarray(array, order="C") for name, array in state.arrays.items()}, {_FACTS: facts})
        target = self._folder / f"epoch-{epoch:05d}-{_digest(whole)}.safetensors"
        try:
            with atomic_file(target, overwrite=True) as part:
                part.write_bytes(whole)
        except ArtifactError as error:
            raise ArtifactError(
                f"the state after epoch {epoch} could not be written: {error}; earlier ones are kept: make room and "
                "start the same command again with --resume"
            ) from error
        for path in self._found():
            if path != target:
                path.unlink(missing_ok=True)

    def latest(self) -> State | None:
        """The newest state that is whole, or None.

        Raises:
            ConfigError: If it was made with other settings or from other rows.
        """
        for path in sorted(self._found(), reverse=True):
            state = _read(path)
            if state is None:
                continue
            if state.facts.get("made_from") != self._made_from:
                raise ConfigError(
                    f"{path} is of a training with other settings or rows; continue it with those it was made with, or "
                    "name another output"
                )
            return state
        return None

    def _found(self) -> list[Path]:
        return [] if self._folder is None else list(self._folder.glob("epoch-*.safetensors"))


def _read(path: Path) -> State | None:
    try:
        if path.stem.rpartition("-")[2] != _digest(path.read_bytes()):
            raise ValueError("its hash is another")
        with safe_open(path, "numpy") as file:
            facts = json.loads(file.metadata()[_FACTS])
            return State({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118 - no mapping
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        logger.warning("%s is not whole (%s) and is passed over", path, error)
        return None


def _digest(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()[:_DIGITS]
