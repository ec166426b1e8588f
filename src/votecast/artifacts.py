"""Write files and folders atomically; write and check judge folders and the hashed folders of resumable runs.

Every package that writes an output calls this module; nothing else creates temporary names or calls fsync on outputs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from votecast.errors import ArtifactError

CONFIG_NAME = "config.json"
CARD_NAME = "README.md"
KIND = "votecast-judge"
FORMAT_VERSION = 1
# none of these formats can run code when it is read
SAFE_SUFFIXES = frozenset({".json", ".jsonl", ".safetensors", ".txt", ".md", ".parquet", ".model", ".yaml"})
PART_MANIFEST = "whole.json"
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


def settings_path(path: str | Path) -> Path:
    """Return the path of the settings beside an output.

    Example:
        >>> settings_path("runs/votes.parquet").name
        'votes.parquet.settings.json'
    """
    return Path(f"{path}.settings.json")


@contextlib.contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` on success.

    Raises:
        ArtifactError: If the file exists and may not be replaced, or the disk refuses; nothing is left behind.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_file(folder / "out.txt") as part:
        ...     _ = part.write_text("whole")
        >>> (folder / "out.txt").read_text()
        'whole'
    """
    target = Path(path)
    check_free(target, overwrite=overwrite)
    # the suffix stays, so that writers that go by it write the right format
    part = _path_beside(target, f".part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
    except OSError as error:
        raise ArtifactError(f"{target} cannot be written: {error}; name an output in a writable folder") from error
    try:
        yield part
        _sync(part)
        part.replace(target)
    except OSError as error:
        raise ArtifactError(f"{target} could not be written: {error}; nothing was left behind") from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, on_failure: str = "nothing was left behind") -> Iterator[Path]:
    """Yield an empty folder beside `path`, and rename it to `path` on success.

    An existing folder is replaced: call `check_free` first where that is not allowed. `on_failure` is what the error
    says of the files on disk.

    Raises:
        ArtifactError: If the disk refuses; the old folder, if there was one, is in place.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "made"
        >>> with atomic_folder(folder) as part:
        ...     _ = (part / "out.txt").write_text("whole")
        >>> (folder / "out.txt").read_text()
        'whole'
    """
    target = Path(path)
    part, old = _path_beside(target, ".part"), _path_beside(target, ".old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
    except OSError as error:
        raise ArtifactError(f"{target} cannot be written: {error}; name an output in a writable folder") from error
    try:
        yield part
        for file in filter(Path.is_file, part.rglob("*")):
            file.chmod(part.stat().st_mode & 0o666)  # safetensors makes files that only their owner can read
            _sync(file)
        try:
            # a folder cannot be renamed over one that is not empty: the old one steps aside, and back on failure
            if target.exists():
                target.replace(old)
            part.replace(target)
        except OSError:
            if old.exists():
                old.replace(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:  # safetensors wraps the errors of the disk
        raise ArtifactError(f"{target} could not be written: {error}; {on_failure}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_free(path: str | Path, *, overwrite: bool = False, is_folder: bool = False) -> None:
    """Raise if an output already exists or cannot be written.

    Args:
        path: The output.
        overwrite: Whether an existing file, or an existing judge folder, may be replaced.
        is_folder: Whether a judge folder is to be written; it never replaces a file.

    Raises:
        ArtifactError: If something is in the way; the message names the cure.
    """
    target = Path(path)
    try:
        target.lstat()  # a dangling link is in the way too
        exists = True
    except (FileNotFoundError, NotADirectoryError):
        exists = False
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{str(target)[:200]!r} cannot be an output: {error}; name another") from error
    if exists and not overwrite:
        raise ArtifactError(f"{target} already exists; pass --overwrite to replace it, or name another output")
    if is_folder and target.exists() and not target.is_dir():
        raise ArtifactError(f"{target} is a file, and a judge is a folder; name another output")
    above = next((parent for parent in target.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise ArtifactError(f"{target} cannot be written: {above} is not a folder; name an output in a folder")
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        raise ArtifactError(f"{target} cannot be written: no permission for {above}; name an output elsewhere")
    if target.is_dir() and overwrite and any(target.iterdir()):
        try:
            config = json.loads((target / CONFIG_NAME).read_text("utf-8"))
            is_judge = isinstance(config, dict) and config.get("kind") == KIND
        except FileNotFoundError:
            is_judge = False
        except (OSError, ValueError, RecursionError):  # a damaged judge may be replaced
            is_judge = True
        if not is_judge:
            raise ArtifactError(f"{target} is a folder that is not a judge; name another output")


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
    with atomic_folder(target) as part:
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
    path = Path(folder)
    config = _read_config(path)
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
    for name, digest in files.items():
        # a folder from elsewhere must not lead out of itself, nor to a file that can run code
        if ".." in Path(name).parts or Path(name).is_absolute() or Path(name).suffix not in SAFE_SUFFIXES:
            allowed = ", ".join(sorted(SAFE_SUFFIXES))
            raise ArtifactError(f"{path} lists the file {name!r}; a judge folder holds only {allowed} files")
        try:
            if name != CARD_NAME and digest_of(path / name) != digest:  # the card is prose, which may be edited
                raise ArtifactError(f"{path} is damaged: {name} has changed since it was written; {_CURE}")
        except OSError as error:
            raise ArtifactError(f"{path} is damaged: {name} cannot be read ({error}); {_CURE}") from error
    if config.get("hash") != _folder_hash(config):
        raise ArtifactError(f"{path} is damaged: {CONFIG_NAME} does not match its hash; {_CURE}")
    return Folder(path, config, config["hash"])


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        cure = "give the path of a judge folder that votecast train has written, or the name of a bundled judge"
        raise ArtifactError(f"{path} not found; {cure}, such as bundled:baseline")
    if not path.is_dir():
        raise ArtifactError(f"{path} is not a folder; a judge is a folder that votecast train has written")
    try:
        config = json.loads((path / CONFIG_NAME).read_text("utf-8"))
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
    with atomic_folder(folder, on_failure=on_failure) as part:
        write(part)
        (part / PART_MANIFEST).write_text(json.dumps({"files": _digests(part)}, indent=2) + "\n", "utf-8")


def is_whole(folder: Path) -> bool:
    """Return whether a folder is as `write_part` wrote it: no file missing, none changed."""
    try:
        files = json.loads((folder / PART_MANIFEST).read_text("utf-8"))["files"]
        return all(digest_of(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file, as hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: digest_of(folder / name) for name in names}


def _sync(path: Path) -> None:
    """Wait until a file is on the disk; a pipe or a device is passed over."""
    with path.open("rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fsync(file.fileno())


def _path_beside(target: Path, suffix: str) -> Path:
    """Return a hidden path in the folder of the target: a rename is atomic only within one filesystem."""
    return target.parent / f".{target.name}.{secrets.token_hex(4)}{suffix}"
