"""Checkpoints of a training, written whole or not at all; a damaged one is never resumed from.

`training.loop` saves and restores through them, and so does the training of the Keras family.
"""

from __future__ import annotations

import importlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

from votecast.artifacts import is_whole, write_part
from votecast.errors import ConfigError

logger = logging.getLogger(__name__)
FOLDER_NAME, STATE_NAME = "checkpoints", "state.json"
_PREFIX = "step-"
_CURE = "earlier checkpoints are kept: make room and start the same command again with --resume"

T = TypeVar("T")
Framework = Literal["torch", "numpy"]


@dataclass(frozen=True)
class Checkpoint(Generic[T]):
    """A checkpoint whose files match their hashes.

    Args:
        path: Its folder.
        state: Everything that is not a tensor.
        framework: Whose tensors it holds.
    """

    path: Path
    state: dict[str, Any]
    framework: Framework

    def tensors(self, group: str) -> dict[str, T]:
        """Return the tensors of a group, on the CPU; none if there is no such group."""
        file = self.path / f"{group}.safetensors"
        found: dict[str, T] = _safetensors(self.framework).load_file(file) if file.is_file() else {}
        return found


class Checkpoints(Generic[T]):
    """The checkpoints of one training.

    Args:
        folder: Holds the partial output of this training.
        keep: How many checkpoints are kept.
        recipe: What a checkpoint must have been written with to be resumed from.
        framework: Whose tensors they hold; torch is not imported for those of numpy.
    """

    def __init__(
        self, folder: Path, *, keep: int, recipe: Mapping[str, object], framework: Framework = "torch"
    ) -> None:
        self._folder, self._keep, self._framework = folder / FOLDER_NAME, keep, framework
        self._recipe = json.loads(json.dumps(recipe))  # as it is read back: tuples become lists

    def save(self, step: int, groups: Mapping[str, Mapping[str, T]], state: Mapping[str, object]) -> None:
        """Write a checkpoint atomically, then remove those that are too old.

        Args:
            step: Steps done.
            groups: Contiguous tensors on the CPU by group; empty groups are left out.
            state: Everything else, JSON-able.

        Raises:
            ArtifactError: If the disk refuses, for instance because it is full; earlier checkpoints are kept.
        """

        def _write(part: Path) -> None:
            """Write the tensors, then the rest."""
            for name, tensors in groups.items():
                if tensors:
                    _safetensors(self._framework).save_file(dict(tensors), part / f"{name}.safetensors")
            (part / STATE_NAME).write_text(json.dumps({**state, "recipe": self._recipe}), "utf-8")

        target = self._folder / f"{_PREFIX}{step:09d}"
        write_part(target, _write, on_failure=_CURE)
        self._remove_old(target)

    def latest(self) -> Checkpoint[T] | None:
        """Return the newest checkpoint that is not damaged, or None.

        Raises:
            ConfigError: If it was written by a training with other settings, rows or network.
        """
        for path in sorted(self._folder.glob(f"{_PREFIX}*"), reverse=True):
            if not is_whole(path):
                logger.warning("%s is damaged and is skipped", path)
                continue
            state = json.loads((path / STATE_NAME).read_text("utf-8"))
            written = state["recipe"]
            if other := [key for key in {**written, **self._recipe} if written.get(key) != self._recipe.get(key)]:
                raise ConfigError(
                    f"{path} is a checkpoint from another recipe (different: {', '.join(other)}); continue it with "
                    "the settings and rows it was made with, or name another output"
                )
            return Checkpoint(path, state, self._framework)
        return None

    def clean(self, newest: Checkpoint[T] | None) -> None:
        """Remove what a killed process has left: half-written checkpoints, and those older than the kept ones."""
        for path in self._folder.glob(f".{_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)
        if newest is not None:
            self._remove_old(newest.path)

    def _remove_old(self, newest: Path) -> None:
        # Later ones are damaged, and are replaced when their step comes.
        paths = (path for path in self._folder.glob(f"{_PREFIX}*") if path <= newest)
        for path in sorted(paths, reverse=True)[self._keep :]:
            shutil.rmtree(path, ignore_errors=True)


def _safetensors(framework: Framework) -> ModuleType:
    return importlib.import_module(f"safetensors.{framework}")
