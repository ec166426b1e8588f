"""Write a file or folder beside its place, and put it there when it is whole.

All outputs of the package are written through `atomic_file` and `atomic_folder`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from votecast.artifacts.regular_files import read_json
from votecast.errors import ArtifactError

CONFIG_NAME = "config.json"
KIND = "votecast-judge"
_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2; 2 is also RENAME_SWAP of macOS
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


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

    What a killed process left of the same output is removed first.

    Raises:
        ArtifactError: If the file exists, or appears meanwhile, and may not be replaced, or the disk refuses; nothing
            is left behind.

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
    with _part_beside(target, target.suffix, is_folder=False) as part:
        try:
            yield part
            _sync(part)
            check_free(target, overwrite=True)  # a folder or a device may have appeared
            _place_file(part, target, overwrite=overwrite)
        except OSError as error:
            raise ArtifactError(f"{target} could not be written: {error}; nothing was left behind") from error


@contextlib.contextmanager
def atomic_folder(
    path: str | Path, *, overwrite: bool = False, on_failure: str = "nothing was left behind"
) -> Iterator[Path]:
    """Yield an empty folder beside `path`, and rename it to `path` on success.

    What a killed process left of the same output is removed first. `on_failure` is what the error says of the files on
    disk.

    Raises:
        ArtifactError: If the folder exists, or appears meanwhile, and may not be replaced, or the disk refuses; the
            old folder, if there was one, is in place.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "made"
        >>> with atomic_folder(folder) as part:
        ...     _ = (part / "out.txt").write_text("whole")
        >>> (folder / "out.txt").read_text()
        'whole'
    """
    target = Path(path)
    with _part_beside(target, "", is_folder=True) as part:
        try:
            yield part
            for file in filter(Path.is_file, part.rglob("*")):
                file.chmod(part.stat().st_mode & 0o666)  # safetensors makes files that only their owner can read
                _sync(file)
            if overwrite and target.is_dir():
                _exchange(part, target)  # the old folder is removed with the part
            else:
                part.rename(target)  # refused where a file or a folder that is not empty has appeared
        except (OSError, SafetensorError) as error:  # safetensors wraps the errors of the disk
            if isinstance(error, OSError) and error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise _appeared(target) from error
            raise ArtifactError(f"{target} could not be written: {error}; {on_failure}") from error


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
    if target.exists() and not target.is_file() and not target.is_dir():
        raise ArtifactError(f"{target} is a device, pipe or socket, which is never an output; name a file")
    if exists and not overwrite:
        raise ArtifactError(f"{target} already exists; pass --overwrite to replace it, or name another output")
    if is_folder and target.exists() and not target.is_dir():
        raise ArtifactError(f"{target} is a file, and a judge is a folder; name another output")
    if not is_folder and target.is_dir():
        raise ArtifactError(f"{target} is a folder; name a file")
    above = next((parent for parent in target.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise ArtifactError(f"{target} cannot be written: {above} is not a folder; name an output in a folder")
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        raise ArtifactError(f"{target} cannot be written: no permission for {above}; name an output elsewhere")
    if target.is_dir() and overwrite and any(target.iterdir()) and not _is_judge(target):
        raise ArtifactError(f"{target} is a folder that is not a judge; name another output")


def _is_judge(folder: Path) -> bool:
    try:
        config = read_json(folder / CONFIG_NAME)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):  # a damaged judge may be replaced
        return True
    return isinstance(config, dict) and config.get("kind") == KIND


def _appeared(target: Path) -> ArtifactError:
    return ArtifactError(
        f"{target} appeared while it was being written, and is left alone; pass --overwrite to replace it, or name "
        "another output"
    )


@contextlib.contextmanager
def _part_beside(target: Path, suffix: str, *, is_folder: bool) -> Iterator[Path]:
    """Make a hidden file or folder beside the target, and remove it in the end, renamed or not."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part, lock = _claim(target, suffix, is_folder=is_folder)
    except OSError as error:
        raise ArtifactError(f"{target} cannot be written: {error}; name an output in a writable folder") from error
    try:
        yield part
    finally:
        try:
            _remove(part)
        finally:
            if lock >= 0:
                os.close(lock)


def _claim(target: Path, suffix: str, *, is_folder: bool) -> tuple[Path, int]:
    """Make and lock a hidden path beside the target: a rename is atomic only within one filesystem."""
    remove_leftovers(target)
    number = -1
    while True:
        number += 1
        part = _hidden_path(target, number, suffix)
        try:
            part.mkdir() if is_folder else part.touch(exist_ok=False)
            return part, _lock(part)
        except (FileExistsError, BlockingIOError, FileNotFoundError):  # another process writes the same output
            if not target.parent.is_dir():
                raise
        except OSError:
            if not part.exists():
                raise
            return part, -1  # a filesystem without locks


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes left beside an output: hidden files and folders that no process locks."""
    old = _old_beside(target)
    if old.is_dir() and not old.is_symlink():  # killed between two renames of `_exchange`
        shutil.rmtree(old, ignore_errors=True) if target.exists() else old.replace(target)
    for suffix in {"", target.suffix}:
        number = 0
        while os.path.lexists(part := _hidden_path(target, number, suffix)):
            number += 1
            with contextlib.suppress(OSError):
                lock = _lock(part)
                _remove(part)
                os.close(lock)


def _hidden_path(target: Path, number: int, suffix: str) -> Path:
    return target.parent / f".{target.name}{f'.{number}' if number else ''}.part{suffix}"


def _lock(part: Path) -> int:
    """Lock a path until the descriptor that is returned is closed; BlockingIOError if another process holds it."""
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != part.lstat().st_ino:
            raise BlockingIOError(errno.EWOULDBLOCK, "another process has replaced it")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _place_file(part: Path, target: Path, *, overwrite: bool) -> None:
    """Move a whole file to its place; without `overwrite`, never onto another."""
    if not overwrite:
        try:
            os.link(part, target)  # unlike a rename, it replaces nothing
        except FileExistsError:
            raise _appeared(target) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(target):
                raise _appeared(target) from None
        else:
            return
    part.replace(target)


def _exchange(part: Path, target: Path) -> None:
    """Swap two folders in one step, so that a whole one is in place at every moment."""
    libc, one, two = ctypes.CDLL(None, use_errno=True), os.fsencode(part), os.fsencode(target)
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, two, _EXCHANGE)
    else:
        failed = libc.renamex_np(one, two, _EXCHANGE) if hasattr(libc, "renamex_np") else -1
    if not failed:
        return
    # not on this filesystem: the old folder steps aside, and back on failure
    old = _old_beside(target)
    target.replace(old)
    try:
        part.replace(target)
    except OSError:
        old.replace(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _old_beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
