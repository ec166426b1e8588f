"""Files of weights that other programs wrote: found, checked, hashed, and read as tensors without running code.

All readers of checkpoints ask `weight_files`, which reads no tensor and so finds in a moment what was not copied whole.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
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
    """Find the files that hold the weights, and check that they are whole without reading them.

    Raises:
        ArtifactError: If there are none, one is truncated, or an index names files that are not beside it or do not
            hold what it says.
    """
    first = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        raise ArtifactError(f"{folder} holds no weights; allowed are {', '.join(WEIGHTS)} beside its config.json")
    if first.suffix != ".json":
        _check_whole(first)
        return [first]
    try:
        places = {str(name): str(file) for name, file in json.loads(first.read_text("utf-8"))["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"{first} cannot be read: {type(error).__name__}: {error}; copy the folder again"
        ) from error
    names, suffix = sorted(set(places.values())), ".safetensors" if "safetensors" in first.name else ".bin"
    # an index from elsewhere may name any path: only files beside it are opened
    wrong = [name for name in names if Path(name).name != name or not name.endswith(suffix)]
    if wrong or not names:
        raise ArtifactError(
            f"{first} names {', '.join(wrong[:3]) or 'no files'}, and weights are {suffix} files beside it; "
            "copy the folder again"
        )
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise ArtifactError(
            f"{folder} lacks {', '.join(absent[:3])}, {len(absent)} of {len(names)} files that {first.name} names; "
            "copy the whole folder"
        )
    for file in names:
        _check_shard(first, folder / file, {name for name, place in places.items() if place == file})
    return [folder / name for name in names]


def _check_shard(index: Path, file: Path, expected: set[str]) -> None:
    """Raise an ArtifactError if a shard is truncated, or lacks tensors that an index places there."""
    held = _check_whole(file)
    if absent := sorted(expected - set(expected if held is None else held)):
        raise ArtifactError(
            f"{index} places {absent[0]} in {file.name}, which lacks it and {len(absent) - 1} others; copy index and "
            "shards of one model"
        )


def _check_whole(file: Path) -> Mapping[str, object] | None:
    """Raise an ArtifactError if a file is truncated; return its tensors by name, None of a .bin."""
    with file.open("rb") as opened:
        start = opened.read(64)
        if start.startswith(b"version https://git-lfs"):
            raise ArtifactError(
                f"{file} is a pointer of Git LFS, not the weights; run `git lfs pull` in its folder, or download the "
                "model with `hf download`"
            )
        if file.suffix != ".safetensors":
            if start.startswith(b"PK") and not zipfile.is_zipfile(opened):
                raise ArtifactError(f"{file} is damaged: the end of its archive is missing; copy it again")
            return None
        size, length = file.stat().st_size, int.from_bytes(start[:8], "little")
        opened.seek(8)
        try:
            header = json.loads(opened.read(min(length, size)))
            header.pop("__metadata__", None)
            end = 8 + length + max((int(each["data_offsets"][1]) for each in header.values()), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"{file} is damaged: its header cannot be read; copy it again") from error
    if size != end:
        raise ArtifactError(f"{file} is damaged: it has {size:,} bytes, and its header says {end:,}; copy it again")
    found: Mapping[str, object] = header
    return found


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
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":  # of the module pickle, which is not imported here
            raise
        raise ArtifactError(
            f"{file} holds more than tensors, and loading it could run code; votecast does not. Where you trust it, "
            "save the model again with safetensors (save_pretrained of transformers 5 does)"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ArtifactError(f"{file} holds something else than named tensors; give what save_pretrained writes")
    return found
