"""Finished parts of unfinished work: written beside and renamed, with hashes, so that a torn one is never taken."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from votecast.errors import ArtifactError

MARKER = "whole.json"


def write_part(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder whole or not at all; what lies there already is replaced.

    Args:
        folder: Where it is to be; the folder above it exists.
        write: Called with an empty folder; puts every file into it.

    Raises:
        ArtifactError: If the disk refuses; other parts are not touched.

    Example:
        >>> place = Path(tempfile.mkdtemp()) / "done"
        >>> write_part(place, lambda folder: (folder / "a.txt").write_text("whole") and None)
        >>> is_whole(place)
        True
    """
    part: Path | None = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        write(part)
        files = sorted(path for path in part.rglob("*") if path.is_file())
        digests = {path.relative_to(part).as_posix(): _digest(path) for path in files}
        (part / MARKER).write_text(json.dumps({"files": digests}, indent=2) + "\n", "utf-8")
        for path in (*files, part / MARKER):
            _sync(path)
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except (OSError, SafetensorError) as error:  # safetensors wraps what the disk says
        raise ArtifactError(f"{folder} could not be written: {error}; what was finished before is kept") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def make_place(folder: Path) -> None:
    """Make a folder for parts, if it is not there yet.

    Raises:
        ArtifactError: If the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be made: {error}; what was finished before is kept") from error


def is_whole(folder: Path) -> bool:
    """Whether a folder is as `write_part` wrote it: every file there, none changed."""
    try:
        files = json.loads((folder / MARKER).read_text("utf-8"))["files"]
        return all(_digest(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def copy_files(source: Path, target: Path) -> None:
    """Bring the files of one folder into another, empty one; on one disk they are not copied but shared."""
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
