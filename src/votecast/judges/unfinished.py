"""The folder in which the unfinished work of a training lies, beside the judge folder it will become."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from votecast.artifacts import atomic_file
from votecast.config import Launch, current_launch
from votecast.errors import ArtifactError, ConfigError

RUN, LOCK, LAUNCH = "run.json", "lock", "launch.json"
_WAIT_SECONDS = 600.0
_SHOWN = 6


def work_folder(out: str | Path) -> Path:
    """Where the unfinished work of a judge lies.

    Example:
        >>> work_folder("judges/deberta").name
        '.deberta.work'
    """
    out = Path(out)
    return out.parent / f".{out.name}.work"


@contextlib.contextmanager
def at_work(out: str | Path, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Hold the work folder of a judge; remove it when the block ends well, or when nothing in it is worth keeping.

    An error that ends the block gets a note that says where the work is kept and how to continue.

    Args:
        out: The judge folder to be.
        resume: Whether to continue what an earlier run left.
        overwrite: Whether to discard it.

    Raises:
        ArtifactError: If work is left over and neither is said, or another process holds the folder.
    """
    folder = work_folder(out)
    if not current_launch().is_main:
        yield folder
        return
    if _worth_keeping(folder) and not resume and not overwrite:
        raise ArtifactError(
            f"{folder} holds unfinished work on {out}; pass --resume to continue it, or --overwrite to start anew"
        )
    with _locked(folder):
        if not resume or not _worth_keeping(folder):
            _empty(folder)
        try:
            yield folder
        except BaseException as error:
            if _worth_keeping(folder):
                if not isinstance(error, ConfigError):
                    error.add_note(f"the work so far is kept in {folder}; the same command with --resume continues it")
            else:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        if resume:
            _sweep(Path(out))


def take_up(folder: Path, identity: Mapping[str, Any]) -> None:
    """Begin work in a folder, or make sure that what lies there is of the same work.

    Args:
        folder: The work folder.
        identity: JSON-able: everything the result depends on.

    Raises:
        ConfigError: If the work there is of another recipe, other data or other versions; the message says what
            differs.
        ArtifactError: If the disk refuses.
    """
    launch = current_launch()
    if not launch.is_main:
        _await_main(folder, launch)
    ours = json.loads(json.dumps(identity))
    found = _read(folder / RUN)
    if found is not None and found != ours:
        raise ConfigError(
            f"the work in {folder} is of another recipe or other data: {_differences(found, ours)}; "
            "drop --resume and pass --overwrite to start anew"
        )
    if launch.is_main:
        _write(folder / RUN, ours)
        if launch.processes > 1:
            _write(folder / LAUNCH, {"token": launch.token})


def _worth_keeping(folder: Path) -> bool:
    if not folder.exists():
        return False
    if not folder.is_dir():
        return True
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    whole = (file for file in files if not any(part.startswith(".") for part in file.parts))
    return any(file.parts[0] not in {RUN, LOCK, LAUNCH} for file in whole)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[IO[str]]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error}; name an output elsewhere") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtifactError(
                f"another votecast is at work in {folder}; wait for it or stop it, or name another output"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield file


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _sweep(out: Path) -> None:
    """Remove what a killed process left of a judge folder it was about to rename."""
    for path in out.parent.glob(f".{out.name}.*.part"):
        shutil.rmtree(path, ignore_errors=True)


def _await_main(folder: Path, launch: Launch) -> None:
    """Wait until the main process has settled what lies in the folder."""
    until = time.monotonic() + _WAIT_SECONDS
    while _read(folder / LAUNCH) != {"token": launch.token}:
        if time.monotonic() > until:
            raise ArtifactError(f"process {launch.rank} has waited {_WAIT_SECONDS:g} s for the main one in {folder}")
        time.sleep(0.1)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); pass --overwrite to start anew") from error


def _write(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_file(path, overwrite=True) as part:
        part.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8", "backslashreplace")


def _differences(found: Any, ours: Any) -> str:
    lines = [f"{name} is {_short(new)}, there {_short(old)}" for name, old, new in _unequal("", found, ours)]
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return ", ".join(lines[:_SHOWN]) + more


def _unequal(name: str, found: Any, ours: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(found, Mapping) and isinstance(ours, Mapping):
        for key in sorted({*found, *ours}):
            yield from _unequal(f"{name}.{key}" if name else key, found.get(key), ours.get(key))
    elif found != ours:
        yield name, found, ours


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:12] + "…"
