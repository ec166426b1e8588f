"""The few operations by which a checkpoint reaches the disk, and stays there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

_CHUNK = 1 << 22


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors and make sure they are on the disk."""
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    sync(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors on the CPU."""
    return dict(load_file(path))


def write_text(path: Path, text: str) -> None:
    """Write text and make sure it is on the disk."""
    path.write_text(text, "utf-8")
    sync(path)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Give a finished folder its name, for good."""
    os.rename(source, target)  # noqa: PTH104 - tests let this one fail
    sync(target.parent)


def remove(folder: Path) -> None:
    """Remove a folder; what cannot be removed is left for the next time."""
    shutil.rmtree(folder, ignore_errors=True)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
