"""The folder that holds the partial output of a resumable run, beside the output it becomes.

Training and every job in `votecast.jobs` keep their finished parts here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from votecast.artifacts import atomic_file, remove_leftovers, settings_path
from votecast.config.launch import current_launch
from votecast.errors import ArtifactError, ConfigError

RUN, LOCK, LAUNCH, COMMIT = "run.json", "lock", "launch.json", "commit.json"
_WAIT_SECONDS = 600.0
_SHOWN_DIFFERENCES = 6


def work_folder(out: str | Path) -> Path:
    """Return the folder for the partial output of a run: `.deberta.work` beside `deberta`."""
    out = Path(out)
    return out.parent / f".{out.name}.work"


@contextlib.contextmanager
def hold_work_folder(out: str | Path, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Lock the work folder of an output; remove it when the block succeeds in all processes of a launch.

    An error that ends the block gets a note that names the partial output and how to resume.

    Args:
        out: The output of the run.
        resume: Whether to continue from the partial output of an earlier run.
        overwrite: Whether to discard it.

    Raises:
        ArtifactError: If there is partial output and neither is asked for, or another process holds the folder.
    """
    folder = work_folder(out)
    launch = current_launch()
    if not launch.is_main:
        yield folder
        _write_json(folder / f".left-{launch.rank}", {"token": launch.token})
        return
    if _has_parts(folder) and not resume and not overwrite:
        raise ArtifactError(
            f"{folder} holds partial output for {out}; pass --resume to continue it, or --overwrite to start over"
        )
    with _lock(folder):
        if not resume or not _has_parts(folder):
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
        try:
            yield folder
        except BaseException as error:
            if not _has_parts(folder):
                shutil.rmtree(folder, ignore_errors=True)
            elif not isinstance(error, ConfigError):
                error.add_note(f"partial output is kept in {folder}; run the same command with --resume to continue it")
            raise
        for rank in range(1, launch.processes):  # they still read what the main process has written
            while _read_json(folder / f".left-{rank}") != {"token": launch.token}:
                time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)
        # a process that was killed just after its output was in place
        remove_leftovers(Path(out))
        remove_leftovers(settings_path(out))


def begin_work(folder: Path, identity: Mapping[str, object]) -> None:
    """Record what a run depends on, or check it against the partial output.

    Args:
        folder: The work folder.
        identity: JSON-able: everything the result depends on.

    Raises:
        ConfigError: If the partial output is of another recipe, other data or other versions; it lists the differences.
    """
    launch = current_launch()
    until = time.monotonic() + _WAIT_SECONDS
    # The other processes of this launch wait until the main one has checked the folder.
    while not launch.is_main and _read_json(folder / LAUNCH) != {"token": launch.token}:
        if time.monotonic() > until:
            raise ArtifactError(f"process {launch.rank} has waited {_WAIT_SECONDS:g} s for the main one in {folder}")
        time.sleep(0.1)
    ours = json.loads(json.dumps(identity))
    found = _read_json(folder / RUN)
    if found is not None and found != ours:
        lines = [f"{name} is {_shorten(new)}, there {_shorten(old)}" for name, old, new in _compare("", found, ours)]
        more = f" and {len(lines) - _SHOWN_DIFFERENCES} more" if len(lines) > _SHOWN_DIFFERENCES else ""
        raise ConfigError(
            f"the partial output in {folder} is of another recipe or other data: "
            f"{', '.join(lines[:_SHOWN_DIFFERENCES])}{more}; drop --resume and pass --overwrite to start over"
        )
    if launch.is_main:
        _write_json(folder / RUN, ours)
        if launch.processes > 1:
            _write_json(folder / LAUNCH, {"token": launch.token})


def keep_commit(folder: Path, commit: str) -> str:
    """Return the commit of a hub model that an earlier run began with; record this run's where none did."""
    found = _read_json(folder / COMMIT)
    if isinstance(found, dict):
        return str(found["commit"])
    if current_launch().is_main:
        _write_json(folder / COMMIT, {"commit": commit})
    return commit


def _has_parts(folder: Path) -> bool:
    """Whether a folder holds finished parts; files that were being written begin with a dot."""
    if not folder.is_dir():
        return folder.exists()
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    finished = (file for file in files if not any(part.startswith(".") for part in file.parts))
    return any(file.parts[0] not in {RUN, LOCK, LAUNCH, COMMIT} for file in finished)


def _lock(folder: Path) -> IO[str]:
    """Create a folder, and lock it as long as the file that is returned is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error}; name an output elsewhere") from error
    with contextlib.suppress(OSError):  # a filesystem without locks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ArtifactError(
                f"another votecast is running in {folder}; wait for it or stop it, or name another output"
            ) from None
    return file


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); pass --overwrite to start over") from error


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    with atomic_file(path, overwrite=True) as part:
        part.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8", "backslashreplace")


def _compare(name: str, found: object, ours: object) -> Iterator[tuple[str, object, object]]:
    if isinstance(found, Mapping) and isinstance(ours, Mapping):
        for key in sorted({*found, *ours}):
            yield from _compare(f"{name}.{key}" if name else key, found.get(key), ours.get(key))
    elif found != ours:
        yield name, found, ours


def _shorten(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:12] + "…"
