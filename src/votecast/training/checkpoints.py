"""Checkpoints that are whole or not there: written beside, hashed, marked last, renamed."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from votecast.errors import ArtifactError, ConfigError
from votecast.training import disk

logger = logging.getLogger(__name__)
FOLDER_NAME = "checkpoints"
STATE_NAME = "state.json"
MARKER_NAME = "complete.json"
_PREFIX = "step-"
_PART = ".part"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole.

    Args:
        path: Its folder.
        state: Everything that is not a tensor.
        groups: Names of the groups of tensors it holds.
    """

    path: Path
    state: dict[str, Any]
    groups: tuple[str, ...]

    def tensors(self, group: str) -> dict[str, Tensor]:
        """Tensors of a group, on the CPU; none if there is no such group."""
        return disk.read_tensors(self.path / f"{group}.safetensors") if group in self.groups else {}


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: Where unfinished work of this training is kept.
        keep: How many checkpoints are kept.
        recipe: What a checkpoint must have been written with to be continued.
    """

    def __init__(self, folder: Path, *, keep: int, recipe: Mapping[str, Any]) -> None:
        self._folder, self._keep = folder / FOLDER_NAME, keep
        self._recipe = json.loads(json.dumps(recipe))

    def save(self, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Write a checkpoint whole or not at all, then drop those that are too old.

        Args:
            step: Steps done.
            groups: Tensors by group; empty groups are left out.
            state: JSON-able; everything else.

        Raises:
            ArtifactError: If the disk refuses, for instance because it is full; earlier checkpoints are kept.
        """
        target = self._folder / f"{_PREFIX}{step:09d}"
        part: Path | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=_PART, dir=self._folder))
            self._fill(part, groups, {**state, "recipe": self._recipe})
            if target.exists():  # damaged, or it would have been continued
                disk.remove(target)
            disk.rename(part, target)
        except (OSError, SafetensorError) as error:  # safetensors wraps what the disk says
            raise ArtifactError(
                f"the checkpoint of step {step} could not be written to {self._folder}: {error}; earlier checkpoints "
                "are kept: make room and start the same command again with --resume"
            ) from error
        finally:
            if part is not None:
                disk.remove(part)
        self._drop_old(target)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None.

        Raises:
            ConfigError: If it was written by a training with other settings, rows or network.
        """
        for path in sorted(self._finished(), reverse=True):
            checkpoint = _read(path)
            if checkpoint is not None:
                self._check_recipe(checkpoint)
                return checkpoint
        return None

    def clean(self, newest: Checkpoint | None) -> None:
        """Remove what a killed process has left: half-written checkpoints, and those older than the kept ones."""
        for path in self._folder.glob(f"*{_PART}"):
            disk.remove(path)
        if newest is not None:
            self._drop_old(newest.path)

    def _fill(self, part: Path, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        names = [f"{group}.safetensors" for group, tensors in groups.items() if tensors]
        for group, tensors in groups.items():
            if tensors:
                disk.write_tensors(part / f"{group}.safetensors", tensors)
        disk.write_text(part / STATE_NAME, json.dumps(state))
        marker = {"files": {name: disk.digest(part / name) for name in (*names, STATE_NAME)}}
        disk.write_text(part / MARKER_NAME, json.dumps(marker))
        disk.sync(part)

    def _finished(self) -> list[Path]:
        return [path for path in self._folder.glob(f"{_PREFIX}*") if path.suffix != _PART]

    def _drop_old(self, newest: Path) -> None:
        """Later ones are damaged, and are written anew when their step comes."""
        for path in sorted((path for path in self._finished() if path <= newest), reverse=True)[self._keep :]:
            disk.remove(path)

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
        torn = [name for name, digest in files.items() if disk.digest(path / Path(name).name) != digest]
        if not torn:
            state = json.loads((path / STATE_NAME).read_text("utf-8"))
            groups = tuple(name.removesuffix(".safetensors") for name in files if name.endswith(".safetensors"))
            return Checkpoint(path, state, groups)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        torn = [str(error)]
    logger.warning("%s is not whole (%s) and is passed over", path, ", ".join(torn))
    return None
