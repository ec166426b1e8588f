"""Find the files that a user names by path, glob, folder or URL, in a fixed order.

`votecast predict` and `predict_folder` call it.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pyarrow import fs

from votecast.data.io.detection import split_suffixes
from votecast.errors import ConfigError, DataError
from votecast.jobs.remote_files import FilePlace, is_url, refuse_secrets

_SIDE_SUFFIXES: Final = (".settings.json", ".truth.parquet", ".quarantine.jsonl", ".unscored.jsonl")
"""Suffixes of side files that votecast writes."""
_PLAIN: Final = "/=,:@+"
"""Characters that are not quoted in URLs, beside letters, digits and dashes."""


@dataclass(frozen=True)
class InputFile:
    """A file to predict.

    Args:
        number: Its place among the inputs, from 0.
        name: The name given, or found by a glob or folder.
        place: Where it is.
        size: Bytes.
        changed: When it was last written, in nanoseconds.
    """

    number: int
    name: str
    place: FilePlace
    size: int
    changed: int


def find_inputs(given: Sequence[str]) -> list[InputFile]:
    """Find the files named: in the order given; those of a glob or a folder by name.

    A folder stands for the tables in it, except hidden ones; subfolders are reached with `**`. Side files that votecast
    writes are left out, unless a glob ends with their suffix.

    Args:
        given: Paths, globs, folders and URLs.

    Raises:
        DataError: If one of them names no file.
        ConfigError: If a file is named twice, or is standard input.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = [(folder / name).touch() for name in ("b.csv", "a.csv", "notes.md")]
        >>> [Path(each.name).name for each in find_inputs([str(folder)])]
        ['a.csv', 'b.csv']
    """
    found: list[InputFile] = []
    seen: dict[str, str] = {}
    for number, name in enumerate(name for each in given for name in _expand(each)):
        place = FilePlace.of(name)
        # two links to one file are one input
        real = str(place.path.resolve()) if place.path is not None else place.where
        if real in seen:
            raise ConfigError(f"{name} is given twice (as {seen[real]} before); name each input once")
        seen[real] = name
        try:
            info = place.info()
        except OSError as error:
            raise DataError(f"{name} cannot be accessed: {error}; check the URL and your permissions") from error
        if info.type != fs.FileType.File:
            raise DataError(f"{name} not found; check the path (the working folder is {Path.cwd()})")
        found.append(InputFile(number, name, place, info.size, info.mtime_ns or 0))
    return found


def wants_folder(inputs: Sequence[str], out: str) -> bool:
    """Return whether predictions of these inputs go to a folder rather than to one file.

    Raises:
        ConfigError: If the inputs can be several and the output is named like a file, or a URL holds a secret.

    Example:
        >>> wants_folder(["a.csv"], "p.csv"), wants_folder(["a.csv"], "out/"), wants_folder(["a.csv", "b.csv"], "out")
        (False, True, True)
    """
    for each in (*inputs, out):
        refuse_secrets(each)
    if out.endswith("/") or is_url(out) or Path(out).expanduser().is_dir():
        return True
    path = Path(inputs[0]).expanduser()
    is_pattern = is_url(inputs[0]) or path.is_dir() or (glob.has_magic(inputs[0]) and not path.exists())
    if len(inputs) == 1 and not is_pattern:
        return False
    if split_suffixes(out)[0] is not None:
        raise ConfigError(
            f"{', '.join(inputs)} can be several files, and {out} is named like a file; predictions of several files "
            f"go to a folder: name one, such as {Path(out).stem}/"
        )
    return True


def _expand(given: str) -> list[str]:
    """List the files that a path, glob, folder or URL stands for."""
    if given == "-":
        raise ConfigError("standard input needs one output file; name files, or one output file instead of a folder")
    if is_url(given) and not given.startswith("file://"):
        found = _expand_url(given)
    else:
        place = FilePlace.of(given)
        path = place.path or Path(given)
        if path.is_dir():
            names = [name for name in place.names() if _is_table(name) and (path / name).is_file()]
            found = [f"{given.rstrip('/')}/{name}" for name in names]
        elif glob.has_magic(str(path)) and not path.exists():
            pattern = str(path) if is_url(given) else str(Path(given).expanduser())
            matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - names stay as they are given
            found = [name for name in matches if Path(name).is_file() and _is_wanted(name, given)]
        else:
            return [given]
    if not found:
        raise DataError(f"{given} matches no file; check the pattern, in quotes (the working folder is {Path.cwd()})")
    return sorted(found)


def _expand_url(given: str) -> list[str]:
    bare, mark, query = given.partition("?")
    # a listing begins at the last folder without a wildcard
    parts = bare.split("/")  # s3: "" votes 2024-* a.csv
    fixed_parts = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    fixed, pattern = "/".join(parts[:fixed_parts]), "/".join(parts[fixed_parts:])
    base = FilePlace.of(fixed + mark + query)
    try:
        if not pattern and not base.is_folder:
            return [given]
        with base.reached() as (system, path):
            selector = fs.FileSelector(path, recursive="/" in pattern, allow_not_found=True)
            infos = system.get_file_info(selector)
    except OSError as error:
        raise DataError(f"{given} cannot be accessed: {error}; check the URL and your permissions") from error
    names = [info.path[len(path) :].strip("/") for info in infos if info.type == fs.FileType.File]
    fits = [
        name for name in names if (_matches(name, pattern) and _is_wanted(name, bare) if pattern else _is_table(name))
    ]
    return [f"{fixed.rstrip('/')}/{quote(name, safe=_PLAIN)}{mark}{query}" for name in fits]


def _matches(name: str, pattern: str) -> bool:
    """Return whether a path matches a pattern part by part; `**` is any number of folders.

    Example:
        >>> _matches("x/y/a.csv", "**/*.csv"), _matches("x/a.csv", "*.csv")
        (True, False)
    """
    head, _, rest = pattern.partition("/")
    first, _, below = name.partition("/")
    if head == "**":
        return _matches(name, rest) or bool(below and _matches(below, pattern))
    if not fnmatch.fnmatchcase(first, head) or (first.startswith(".") and not head.startswith(".")):
        return False
    return _matches(below, rest) if below and rest else not below and not rest


def _is_wanted(name: str, pattern: str) -> bool:
    """Return whether a match is no side file, or one that the pattern asks for."""
    return not name.endswith(_SIDE_SUFFIXES) or pattern.endswith(_SIDE_SUFFIXES)


def _is_table(name: str) -> bool:
    is_hidden = name.startswith((".", "_")) or name.endswith(_SIDE_SUFFIXES)
    return not is_hidden and split_suffixes(name)[0] is not None
