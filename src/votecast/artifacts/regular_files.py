"""Read files of folders that anybody may have written: never a link, pipe or device, and never without a limit.

Judge folders are hashed and read with it; so is every JSON in a folder from elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from votecast.errors import ArtifactError

MOST_JSON: Final = 64 << 20
"""Bytes of a JSON file; the largest vocabularies of tokenizers have about half of that."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: If it is missing, a link, a folder, a pipe or a device, or cannot be read.
    """
    # a pipe that nobody writes to would block
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(f"{path.name} is not a regular file")
    return file


def read_limited(path: Path, most: int) -> bytes:
    """Read a regular file whole.

    Raises:
        OSError: If it is no regular file, or larger than `most` bytes.
    """
    with open_regular(path) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(f"{path.name} is larger than {most:,} bytes")
    return found


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """Read JSON of a regular file.

    Raises:
        OSError: If it is no regular file, or larger than `most` bytes.
        ValueError: If it is not JSON in UTF-8.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(read_limited(path, most).decode("utf-8"))


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file, as hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_text_files(folder: Path) -> None:
    """Raise an ArtifactError if a file that parsers read whole, such as a vocabulary, is no file or too large.

    Files of a checkpoint may be links, as in the cache of a hub.
    """
    for path in folder.iterdir():
        if path.suffix in {".json", ".txt", ".jinja", ".model"} and not path.is_dir():
            if path.exists() and not path.is_file():
                raise ArtifactError(f"{path} is a pipe or a device; copy the folder again")
            if path.is_file() and path.stat().st_size > MOST_JSON:
                raise ArtifactError(
                    f"{path} has {path.stat().st_size:,} bytes; the limit of such files is {MOST_JSON:,}"
                )
