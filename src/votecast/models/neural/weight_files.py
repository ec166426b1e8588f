"""Files of weights that other programs wrote: found, hashed, and read as tensors without running code."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from votecast.artifacts import digest_of
from votecast.errors import ArtifactError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files that hold weights, or name the files that do; the first that exists is read."""


def weight_files(folder: Path) -> list[Path]:
    """Find the files that hold the weights.

    Raises:
        ArtifactError: If there are none, or an index names files that are not beside it.
    """
    first = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        raise ArtifactError(f"{folder} holds no weights; allowed are {', '.join(WEIGHTS)} beside its config.json")
    if first.suffix != ".json":
        return [first]
    try:
        names = sorted(set(map(str, json.loads(first.read_text("utf-8"))["weight_map"].values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"{first} cannot be read: {type(error).__name__}: {error}; copy the folder again"
        ) from error
    suffix = ".safetensors" if "safetensors" in first.name else ".bin"
    # an index from elsewhere may name any path: only files beside it are opened
    wrong = [name for name in names if Path(name).name != name or not name.endswith(suffix)]
    wrong += [name for name in names if name not in wrong and not (folder / name).is_file()]
    if wrong or not names:
        raise ArtifactError(
            f"{first} names {', '.join(wrong[:3]) or 'no files'}, and weights are {suffix} files beside it; "
            "copy the whole folder"
        )
    return [folder / name for name in names]


def weights_digest(files: Sequence[Path]) -> str:
    """Compute the SHA-256 of a file of weights; of several, that of their names and hashes."""
    found = {file.name: _digest(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files}
    if len(found) == 1:
        return found[files[0].name]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(found.items())).encode()).hexdigest()


@cache
def _digest(file: Path, modified: int, size: int) -> str:  # noqa: ARG001 - time and size tell whether it has changed
    """SHA-256 of a file, computed once: hashing gigabytes takes seconds, and every member of a judge asks."""
    return digest_of(file)


def read_weights(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Read all tensors of some files, by name.

    Raises:
        ArtifactError: If a file is damaged, or holds anything but tensors.
    """
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(file) if file.suffix == ".safetensors" else _pickled_tensors(file)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, SafetensorError) as error:
            raise ArtifactError(
                f"{file} is damaged: {type(error).__name__}: {str(error)[:200]}; copy it again"
            ) from error
    return tensors


def _pickled_tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ArtifactError(
            f"{file} holds more than tensors, and loading it could run code; votecast does not. Where you trust it, "
            "save the model again with safetensors (save_pretrained of transformers 5 does)"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ArtifactError(f"{file} holds something else than named tensors; give what save_pretrained writes")
    return found
