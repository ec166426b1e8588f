"""Checkpoints of a training, written whole or not at all; a damaged one is never resumed from.

`training.loop` saves and restores through them.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from votecast.artifacts import atomic_folder, digest_of
from votecast.errors import ConfigError

logger = logging.getLogger(__name__)
FOLDER_NAME, STATE_NAME, MARKER_NAME = "checkpoints", "state.json", "complete.json"
_PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files match their hashes.

    Args:
        path: Its folder.
        state: Everything that is not a tensor.
        groups: Names of the groups of tensors it holds.
    """

    path: Path
    state: dict[str, Any]
    groups: tuple[str, ...]

    def tensors(self, group: str) -> dict[str, Tensor]:
        """Return the tensors of a group, on the CPU; none if there is no such group."""
        return dict(load_file(self.path / f"{group}.safetensors")) if group in self.groups else {}


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: Holds the partial output of this training.
        keep: How many checkpoints are kept.
        recipe: What a checkpoint must have been written with to be resumed from.
    """

    def __init__(self, folder: Path, *, keep: int, recipe: Mapping[str, object]) -> None:
        self._folder, self._keep = folder / FOLDER_NAME, keep
        self._recipe = json.loads(json.dumps(recipe))

    def save(self, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, object]) -> None:
        """Write a checkpoint atomically, then remove those that are too old.

        Args:
            step: Steps done.
            groups: Tensors by group; empty groups are left out.
            state: Everything else, JSON-able.

        Raises:
            ArtifactError: If the disk refuses, for instance because it is full; earlier checkpoints are kept.
        """
        target = self._folder / f"{_PREFIX}{step:09d}"
        cure = "earlier checkpoints are kept: make room and start the same command again with --resume"
        with atomic_folder(target, on_failure=cure) as part:
            names = [f"{group}.safetensors" for group, tensors in groups.items() if tensors]
            for name in names:
                tensors = groups[name.removesuffix(".safetensors")]
                save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, part / name)
            (part / STATE_NAME).write_text(json.dumps({**state, "recipe": self._recipe}), "utf-8")
            digests = {name: digest_of(part / name) for name in (*names, STATE_NAME)}
            (part / MARKER_NAME).write_text(json.dumps({"files": digests}), "utf-8")
        self._remove_old(target)

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is not damaged, or None.

        Raises:
            ConfigError: If it was written by a training with other settings, rows or network.
        """
        for path in sorted(self._folder.glob(f"{_PREFIX}*"), reverse=True):
            if (checkpoint := _read(path)) is not None:
                self._check_recipe(checkpoint)
                return checkpoint
        return None

    def clean(self, newest: Checkpoint | None) -> None:
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

    def _check_recipe(self, checkpoint: Checkpoint) -> None:
        written = checkpoint.state.get("recipe")
        if written == self._recipe:
            return
        known = written if isinstance(written, dict) else {}
        other = [key for key in {**known, **self._recipe} if known.get(key) != self._recipe.get(key)]
        raise ConfigError(
            f"{checkpoint.path} is a checkpoint from another recipe (different: {', '.join(other)}); continue it with "
            "the settings and rows it was made with, or name another output"
        )


def _read(path: Path) -> Checkpoint | None:
    try:
        files = json.loads((path / MARKER_NAME).read_text("utf-8"))["files"]
        damaged = [name for name, digest in files.items() if digest_of(path / Path(name).name) != digest]
        if not damaged:
            state = json.loads((path / STATE_NAME).read_text("utf-8"))
            groups = tuple(name.removesuffix(".safetensors") for name in files if name.endswith(".safetensors"))
            return Checkpoint(path, state, groups)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        damaged = [str(error)]
    logger.warning("%s is damaged (%s) and is skipped", path, ", ".join(damaged))
    return None
