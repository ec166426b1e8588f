"""Find the files that a user names by path, glob, folder or URL, in a fixed order.

`votecast predict` and `predict_folder` call it.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pyarrow import fs

from votecast.data.io.detection import split_suffixes
from votecast.errors import ConfigError, DataError
from votecast.jobs.remote_files import FilePlace, is_url, reach, refuse_secrets

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
    names = [name for each in given for name in _files_of(each)]
    places = [FilePlace.of(name) for name in names]
    found: list[InputFile] = []
    seen: dict[str, str] = {}
    for number, (name, place) in enumerate(zip(names, places, strict=True)):
        real = str(place.path.resolve()) if place.path is not None else place.where
        if real in seen:
            raise ConfigError(f"{name} is given twice (as {seen[real]} before); name each input once")
        seen[real] = name
        found.append(_checked(number, name, place))
    return found


def is_several(given: str) -> bool:
    """Return whether a name can stand for more than one file.

    Example:
        >>> is_several("pairs/*.csv"), is_several("pairs.csv")
        (True, False)
    """
    if is_url(given):
        return True
    path = Path(given).expanduser()
    return path.is_dir() or (glob.has_magic(given) and not path.exists())


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
    if len(inputs) == 1 and not is_several(inputs[0]):
        return False
    if split_suffixes(out)[0] is not None:
        raise ConfigError(
            f"{', '.join(inputs)} can be several files, and {out} is named like a file; predictions of several files "
            f"go to a folder: name one, such as {Path(out).stem}/"
        )
    return True


def _files_of(given: str) -> list[str]:
    if given == "-":
        raise ConfigError("standard input needs one output file; name files, or one output file instead of a folder")
    if is_url(given) and not given.startswith("file://"):
        return _remote(given)
    place = FilePlace.of(given)
    path = place.path or Path(given)
    if path.is_dir():
        return _require_files(given, (f"{given.rstrip('/')}/{name}" for name in place.names() if _is_table(name, path)))
    if glob.has_magic(str(path)) and not path.exists():
        pattern = str(path) if is_url(given) else str(Path(given).expanduser())
        return _require_files(
            given,
            (
                each
                for each in glob.glob(pattern, recursive=True)  # noqa: PTH207 - names stay as they are given
                if Path(each).is_file() and _is_wanted(each, given)
            ),
        )
    return [given]


def _remote(given: str) -> list[str]:
    """List the files that a URL stands for."""
    bare, mark, query = given.partition("?")
    fixed, pattern = _fixed_part(bare)
    base = FilePlace.of(fixed + mark + query)
    try:
        if not pattern and not base.is_folder():
            return [given]
        system, path = reach(base)
        infos = system.get_file_info(fs.FileSelector(path, recursive="/" in pattern, allow_not_found=True))
    except OSError as error:
        raise DataError(f"{given} cannot be accessed: {error}; check the URL and your permissions") from error
    files = [info.path[len(path) :].strip("/") for info in infos if info.type == fs.FileType.File]
    fits = [
        name for name in files if (_matches(name, pattern) and _is_wanted(name, bare) if pattern else _is_table(name))
    ]
    return _require_files(given, (f"{fixed.rstrip('/')}/{quote(name, safe=_PLAIN)}{mark}{query}" for name in fits))


def _fixed_part(bare: str) -> tuple[str, str]:
    """Split a URL at the first folder with a wildcard.

    Example:
        >>> _fixed_part("s3://votes/2024-*/a.csv")
        ('s3://votes', '2024-*/a.csv')
    """
    parts = bare.split("/")
    at = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:at]), "/".join(parts[at:])


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


def _is_table(name: str, folder: Path | None = None) -> bool:
    if name.startswith((".", "_")) or name.endswith(_SIDE_SUFFIXES) or split_suffixes(name)[0] is None:
        return False
    return folder is None or (folder / name).is_file()


def _require_files(given: str, names: Iterable[str]) -> list[str]:
    found = sorted(names)
    if not found:
        raise DataError(f"{given} matches no file; check the pattern, in quotes (the working folder is {Path.cwd()})")
    return found


def _checked(number: int, name: str, place: FilePlace) -> InputFile:
    try:
        stat = place.stat()
    except OSError as error:
        raise DataError(f"{name} cannot be accessed: {error}; check the URL and your permissions") from error
    if stat is None:
        raise DataError(f"{name} not found; check the path (the working folder is {Path.cwd()})")
    return InputFile(number, name, place, stat.size, stat.changed)
