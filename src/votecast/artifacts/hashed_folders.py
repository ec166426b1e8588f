"""Write and check judge folders, and the hashed folders of resumable runs: the bytes that were hashed are those used.

`judges.judge_folder` writes and opens judges with it; training keeps its finished parts with `write_part`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from votecast.artifacts.atomic_outputs import CONFIG_NAME, KIND, atomic_folder, check_free
from votecast.artifacts.regular_files import MOST_JSON, digest_of, open_regular, read_json
from votecast.errors import ArtifactError

CARD_NAME = "README.md"
FORMAT_VERSION = 1
# none of these formats can run code when it is read
SAFE_SUFFIXES = frozenset({".json", ".jsonl", ".safetensors", ".txt", ".md", ".parquet", ".model", ".yaml"})
PART_MANIFEST = "whole.json"
DAMAGE = (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, SafetensorError, TypeError, ValueError)
"""What parsers and numpy raise of files whose content is not what it should be."""

_PROSE = frozenset({CARD_NAME, "LICENSE"})  # not listed, or edited: predictions do not depend on it
_MOST_CONFIG = 16 << 20
_MOST_BYTES = {".json": MOST_JSON, ".txt": 512 << 20, ".md": 16 << 20, ".yaml": 16 << 20, ".parquet": 1 << 30}
"""Most bytes of files that are parsed whole; weights and logs have no limit but the disk."""
_CLOCK = 0.02  # seconds: timestamps of files are no finer than that
_CURE = "copy or train the judge again"


@dataclass(frozen=True)
class Folder:
    """A judge folder whose files match their hashes.

    Args:
        path: Where it is.
        config: The settings and figures of the judge.
        hash: SHA-256 over the settings and every file that predictions depend on.
    """

    path: Path
    config: dict[str, Any]
    hash: str


def write_folder(
    folder: str | Path, config: Mapping[str, object], write: Callable[[Path], None], *, overwrite: bool = False
) -> Folder:
    """Write a judge folder atomically.

    Args:
        folder: The final folder.
        config: JSON-able settings and figures; `kind`, `format_version`, `files` and `hash` are added.
        write: Called with an empty folder; writes every other file into it.
        overwrite: Whether an existing judge folder may be replaced.

    Returns:
        The folder as `read_folder` would return it.

    Raises:
        ArtifactError: If something is in the way, a file is of a kind that can run code, or the disk refuses.
    """
    target = Path(folder)
    check_free(target, overwrite=overwrite, is_folder=True)
    with atomic_folder(target, overwrite=overwrite) as part:
        write(part)
        digests = _digests(part)
        unsafe = [name for name in digests if Path(name).suffix not in SAFE_SUFFIXES]
        if unsafe:
            allowed = ", ".join(sorted(SAFE_SUFFIXES))
            raise ArtifactError(f"{', '.join(unsafe)}: a judge folder holds only {allowed} files")
        digests.pop(CARD_NAME, None)  # the card is prose: editing it leaves the judge the same
        whole: dict[str, Any] = dict(config) | {"kind": KIND, "format_version": FORMAT_VERSION, "files": digests}
        whole["hash"] = _folder_hash(whole)
        text = json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        (part / CONFIG_NAME).write_text(text, "utf-8", "backslashreplace")
    return Folder(target, whole, whole["hash"])


def read_folder(folder: str | Path) -> Folder:
    """Read the config of a judge folder and check every file against its hash.

    Raises:
        ArtifactError: If it is missing, foreign, damaged or written by a newer votecast.
    """
    with open_folder(folder) as found:
        return found


@contextlib.contextmanager
def open_folder(folder: str | Path) -> Iterator[Folder]:
    """Yield a judge folder whose files match their hashes, and check in the end that none was changed meanwhile.

    Whatever is read within the context is therefore what was hashed.

    Raises:
        ArtifactError: If it is missing, foreign, damaged or written by a newer votecast, holds a link or a file that
            its config does not list, or changes within the context.
    """
    path = Path(folder)
    _check_is_folder(path)
    before = _list_entries(path)
    _wait_for_clock(before)
    config = _read_config(path)
    _check_config(path, config)
    _check_files(path, config, before)
    if config.get("hash") != _folder_hash(config):
        raise ArtifactError(f"{path} is damaged: {CONFIG_NAME} does not match its hash; {_CURE}")
    yield Folder(path, config, config["hash"])
    if _list_entries(path) != before:
        raise ArtifactError(f"{path} was changed while it was read; load it again when nothing writes to it")


def _check_config(path: Path, config: Mapping[str, Any]) -> None:
    """Raise an ArtifactError unless a config is one of a judge that this version reads, and lists its files."""
    if config.get("kind") != KIND:
        kind = config.get("kind")
        raise ArtifactError(f"{path} is not a judge folder: {CONFIG_NAME} has kind {kind!r}, expected {KIND!r}")
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        rule = f"this version reads up to {FORMAT_VERSION}: upgrade votecast"
        raise ArtifactError(f"{path} has format version {version!r}; {rule}")
    files = config.get("files")
    if not isinstance(files, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in files.items()):
        raise ArtifactError(f"{path} is damaged: {CONFIG_NAME} does not list its files; {_CURE}")
    for name in files:
        # a folder from elsewhere must not lead out of itself, nor to a file that can run code
        if ".." in Path(name).parts or Path(name).is_absolute() or Path(name).suffix not in SAFE_SUFFIXES:
            allowed = ", ".join(sorted(SAFE_SUFFIXES))
            raise ArtifactError(f"{path} lists the file {name!r}; a judge folder holds only {allowed} files")


def _check_files(path: Path, config: Mapping[str, Any], entries: Mapping[str, tuple[int, ...]]) -> None:
    """Raise an ArtifactError unless a folder holds the files that its config lists, unchanged, and no others."""
    sizes = {name: entry[_SIZE] for name, entry in entries.items() if stat.S_ISREG(entry[_MODE])}
    if others := sorted(sizes.keys() - config["files"].keys() - _PROSE - {CONFIG_NAME}):
        raise ArtifactError(f"{path} holds {others[0]}, which {CONFIG_NAME} does not list; remove it, or {_CURE}")
    for name, digest in sorted(config["files"].items()):
        if name == CARD_NAME:
            continue
        if (size := sizes.get(name, 0)) > (most := _MOST_BYTES.get(Path(name).suffix, size)):
            raise ArtifactError(f"{path}: {name} has {size:,} bytes; the limit of such files is {most:,}")
        try:
            with open_regular(path / name) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:  # a name may hold a zero byte
            raise ArtifactError(f"{path} is damaged: {name} cannot be read ({error}); {_CURE}") from error
        if found != digest:
            raise ArtifactError(f"{path} is damaged: {name} has changed since it was written; {_CURE}")


def _check_is_folder(path: Path) -> None:
    if not path.exists():
        cure = "give the path of a judge folder that votecast train has written, or the name of a bundled judge"
        raise ArtifactError(f"{path} not found; {cure}, such as bundled:baseline")
    if not path.is_dir():
        raise ArtifactError(f"{path} is not a folder; a judge is a folder that votecast train has written")


_MODE, _SIZE, _CHANGED = 0, 1, 2


def _list_entries(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return mode, size, times and place on the disk of each file and folder; hidden ones at the top are passed over.

    Raises:
        ArtifactError: If one is neither a file nor a folder, such as a link, or the folder cannot be read.
    """
    found, waiting = dict[str, tuple[int, ...]](), [folder]
    try:
        found["."] = _describe(folder.stat())
        while waiting:
            for path in waiting.pop().iterdir():
                name = path.relative_to(folder).as_posix()
                if name.startswith("."):  # such as .gitattributes, and what file managers leave
                    continue
                entry = path.lstat()
                if stat.S_ISDIR(entry.st_mode):
                    waiting.append(path)
                elif not stat.S_ISREG(entry.st_mode):
                    raise ArtifactError(
                        f"{folder} holds {name}, which is a link, a pipe or a device; a judge folder holds files only: "
                        "copy it with cp -rL from where you trust it"
                    )
                found[name] = _describe(entry)
    except OSError as error:
        raise ArtifactError(f"{folder} is damaged: it cannot be read ({error}); {_CURE}") from error
    return found


def _describe(entry: os.stat_result) -> tuple[int, ...]:
    """Return what changes with the content of a file; nobody can set the time of the last change back."""
    return entry.st_mode, entry.st_size, entry.st_ctime_ns, entry.st_mtime_ns, entry.st_dev, entry.st_ino


def _wait_for_clock(entries: Mapping[str, tuple[int, ...]]) -> None:
    """Wait until a change from now on has another time than the last one."""
    if time.time() - max(entry[_CHANGED] for entry in entries.values()) / 1e9 < _CLOCK:
        time.sleep(_CLOCK)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path / CONFIG_NAME, _MOST_CONFIG)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is not a judge folder: it has no {CONFIG_NAME}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged: {CONFIG_NAME} cannot be read ({error}); {_CURE}") from error
    if not isinstance(config, dict):
        kind = type(config).__name__
        raise ArtifactError(f"{path} is not a judge folder: {CONFIG_NAME} holds {kind}, expected an object")
    return config


def _folder_hash(config: Mapping[str, Any]) -> str:
    files = {name: digest for name, digest in config["files"].items() if name != CARD_NAME}
    # sorted keys and ASCII: the hash depends on neither the order of keys nor the encoding
    hashed = {key: value for key, value in config.items() if key not in {"hash", "files"}} | {"files": files}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def write_part(folder: Path, write: Callable[[Path], None], *, on_failure: str = "finished parts are kept") -> None:
    """Write one part of a resumable run atomically, with the hashes of its files.

    Args:
        folder: The final folder; an existing one is replaced.
        write: Called with an empty folder; writes every file into it.
        on_failure: What the error says of the files on disk.

    Raises:
        ArtifactError: If the disk refuses; other parts are not touched.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "done"
        >>> write_part(place, lambda folder: (folder / "a.txt").write_text("whole") and None)
        >>> is_whole(place)
        True
    """
    with atomic_folder(folder, overwrite=True, on_failure=on_failure) as part:
        write(part)
        (part / PART_MANIFEST).write_text(json.dumps({"files": _digests(part)}, indent=2) + "\n", "utf-8")


def is_whole(folder: Path) -> bool:
    """Return whether a folder is as `write_part` wrote it: no file missing, none changed."""
    try:
        files = json.loads((folder / PART_MANIFEST).read_text("utf-8"))["files"]
        return all(digest_of(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: digest_of(folder / name) for name in names}
