"""The only code that writes or loads a judge folder, and the way every output file is written: whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
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
SAFE_SUFFIXES = frozenset({".json", ".jsonl", ".safetensors", ".txt", ".md", ".parquet", ".model", ".yaml"})
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Folder:
    """A judge folder that was read and found whole.

    Args:
        path: Where it is.
        config: The settings and figures of the judge.
        hash: SHA-256 over the settings and every file that predictions depend on.
    """

    path: Path
    config: dict[str, Any]
    hash: str


@contextlib.contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it over `path` when the block ends well, remove it when not.

    Args:
        path: The file to end up with.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ArtifactError: If the file exists and may not be replaced, or the disk refuses; nothing is left behind.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_file(folder / "out.txt") as part:
        ...     _ = part.write_text("whole")
        >>> (folder / "out.txt").read_text()
        'whole'
    """
    target = Path(path)
    check_free(target, overwrite=overwrite)
    part = _beside(target, is_folder=False)
    try:
        yield part
        _sync(part)
        part.replace(target)
    except OSError as error:
        raise ArtifactError(f"{target} could not be written: {error}; nothing was left behind") from error
    finally:
        part.unlink(missing_ok=True)


def check_free(path: str | Path, *, overwrite: bool = False, is_folder: bool = False) -> None:
    """Refuse an output that exists, unless it may be replaced.

    Args:
        path: The output.
        overwrite: Whether an existing one may be replaced.
        is_folder: Whether a judge folder is to be written; a file is never replaced by one.

    Raises:
        ArtifactError: If something is in the way; the message names the way out.
    """
    target = Path(path)
    if _exists(target) and not overwrite:
        raise ArtifactError(
            f"{target} exists and is left alone; pass --overwrite to replace it, or name another output"
        )
    if is_folder and target.exists() and not target.is_dir():
        raise ArtifactError(f"{target} is a file, and a judge is a folder; it is left alone, name another output")
    above = next((parent for parent in target.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise ArtifactError(f"{target} cannot be written: {above} is not a folder; name an output in a folder")
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        raise ArtifactError(f"{target} cannot be written: no permission for {above}; name an output elsewhere")
    if target.is_dir() and overwrite and any(target.iterdir()) and not _may_be_judge(target):
        raise ArtifactError(f"{target} is a folder that is not a judge; it is left alone, name another output")


def write_folder(
    folder: str | Path, config: Mapping[str, Any], write: Callable[[Path], None], *, overwrite: bool = False
) -> Folder:
    """Write a judge folder whole or not at all.

    Args:
        folder: Where it is to be.
        config: JSON-able settings and figures; `kind`, `format_version`, `files` and `hash` are added.
        write: Called with an empty folder; puts every other file into it.
        overwrite: Whether an existing judge folder may be replaced.

    Returns:
        The folder as `read_folder` would give it.

    Raises:
        ArtifactError: If something is in the way, a file is of a kind that can run code, or the disk refuses.
    """
    target = Path(folder)
    check_free(target, overwrite=overwrite, is_folder=True)
    part = _beside(target, is_folder=True)
    try:
        write(part)
        names = _names(part)
        digests = {name: digest_of(part / name) for name in names if name != CARD_NAME}
        whole = dict(config) | {"kind": KIND, "format_version": FORMAT_VERSION, "files": digests}
        whole["hash"] = _folder_hash(whole)
        (part / CONFIG_NAME).write_text(
            json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8", "backslashreplace"
        )
        for name in (*names, CONFIG_NAME):
            (part / name).chmod(0o666 & ~_umask())
            _sync(part / name)
        replace_folder(part, target)
    except (OSError, SafetensorError) as error:  # safetensors wraps what the disk says
        raise ArtifactError(f"{target} could not be written: {error}; nothing was left behind") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Folder(target, whole, whole["hash"])


def read_folder(folder: str | Path) -> Folder:
    """Read a judge folder and check that it is whole.

    Raises:
        ArtifactError: If it is absent, foreign, damaged or written by a newer votecast.
    """
    path = Path(folder)
    config = _read_config(path)
    if config.get("kind") != KIND:
        raise ArtifactError(
            f"{path} is not a judge folder: {CONFIG_NAME} has kind {config.get('kind')!r}, expected {KIND!r}"
        )
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path} has format version {version!r}; this one reads up to {FORMAT_VERSION}: upgrade votecast to read it"
        )
    files = config.get("files")
    if not isinstance(files, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in files.items()):
        raise ArtifactError(f"{path} is damaged: {CONFIG_NAME} does not list its files; copy or train the judge again")
    for name, digest in files.items():
        if name != CARD_NAME:
            _check_file(path, name, digest)
    if config.get("hash") != _folder_hash(config):
        raise ArtifactError(f"{path} is damaged: {CONFIG_NAME} does not match its hash; copy or train the judge again")
    return Folder(path, config, config["hash"])


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ArtifactError(
            f"there is no {path}, neither a file nor a judge folder; give the path of a folder that votecast train has "
            "written, or the name of a judge that ships with votecast, such as bundled:baseline"
        )
    if not path.is_dir():
        raise ArtifactError(f"{path} is not a folder; a judge is a folder that votecast train has written")
    try:
        config = json.loads((path / CONFIG_NAME).read_text("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is not a judge folder: it has no {CONFIG_NAME}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is damaged: {CONFIG_NAME} cannot be read ({error}); copy or train it again"
        ) from error
    if not isinstance(config, dict):
        raise ArtifactError(
            f"{path} is not a judge folder: {CONFIG_NAME} holds {type(config).__name__}, expected an object"
        )
    return config


def _check_file(path: Path, name: str, digest: str) -> None:
    file = path / name
    if ".." in Path(name).parts or Path(name).is_absolute() or file.suffix not in SAFE_SUFFIXES:
        raise ArtifactError(
            f"{path} lists the file {name!r}; a judge folder holds only {', '.join(sorted(SAFE_SUFFIXES))} files"
        )
    try:
        found = digest_of(file)
    except OSError as error:
        raise ArtifactError(
            f"{path} is damaged: {name} cannot be read ({error}); copy or train the judge again"
        ) from error
    if found != digest:
        raise ArtifactError(
            f"{path} is damaged: {name} has changed since it was written; copy or train the judge again"
        )


def _names(folder: Path) -> list[str]:
    names = sorted(str(p.relative_to(folder).as_posix()) for p in folder.rglob("*") if p.is_file())
    unsafe = [name for name in names if Path(name).suffix not in SAFE_SUFFIXES]
    if unsafe:
        raise ArtifactError(f"{', '.join(unsafe)}: a judge folder holds only {', '.join(sorted(SAFE_SUFFIXES))} files")
    return names


def _folder_hash(config: Mapping[str, Any]) -> str:
    files = {name: digest for name, digest in config["files"].items() if name != CARD_NAME}
    settled = {key: value for key, value in config.items() if key not in {"hash", "files"}} | {"files": files}
    return hashlib.sha256(json.dumps(settled, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _beside(target: Path, *, is_folder: bool) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
            part.chmod(0o777 & ~_umask())
            return part
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part" + target.suffix, dir=target.parent)
        os.fchmod(handle, 0o666 & ~_umask())
        os.close(handle)
        return Path(name)
    except OSError as error:
        raise ArtifactError(
            f"{target} cannot be written: {error}; name an output in a folder that can be written to"
        ) from error


def _may_be_judge(folder: Path) -> bool:
    """Whether a folder is a judge, or too damaged to tell; a model of another program is none."""
    try:
        config = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(config, dict) and config.get("kind") == KIND


def _exists(target: Path) -> bool:
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{str(target)[:200]!r} cannot be an output: {error}; name another") from error
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def replace_folder(part: Path, target: Path) -> None:
    """Let a finished folder take the place of another, or of nothing; if that fails, the other one is where it was.

    Args:
        part: The finished folder, on the same file system.
        target: Its place.

    Raises:
        OSError: If the disk refuses.
    """
    if not target.exists():
        part.replace(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    target.replace(old)
    try:
        part.replace(target)
    except OSError:
        old.replace(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fsync(file.fileno())
