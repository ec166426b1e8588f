"""The folder that forecasts go to: what may lie in it, who is at work in it, and what an earlier run has left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from votecast.artifacts import check_free
from votecast.errors import ArtifactError, ConfigError
from votecast.jobs.parts.job import MANIFEST
from votecast.jobs.parts.places import Place
from votecast.judges.unfinished import RUN, at_work, take_up, work_folder

UNSCORED = "unscored.jsonl"
_OURS = re.compile(r"part-\d{5,}-\d{5,}\.parquet|quarantine-\d{5,}\.jsonl|unscored\.jsonl|manifest\.json")
_TORN = re.compile(r"\.(part-\d{5,}-\d{5,}|quarantine-\d{5,}|unscored|manifest)\..*\.part\.\w+")


class Target:
    """A folder of forecasts.

    Args:
        place: Where it is.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._work = place / work_folder(MANIFEST).name

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse what is in the way, before any work.

        Raises:
            ArtifactError: If the folder is finished, or is a file, or holds what votecast has not written.
        """
        with _writing(self.place):
            if self.place.stat() is not None:
                raise ArtifactError(f"{self.place} is a file, and parts go to a folder; name another output")
            names = [name for name in self.place.names() if not name.startswith(".")]
        foreign = [name for name in names if not _OURS.fullmatch(name)]
        if foreign:
            raise ArtifactError(
                f"{self.place} holds {foreign[0]}, which is no part of a folder of forecasts; it is left alone, name a "
                "new or an empty folder"
            )
        if self.place.path is not None:
            check_free(self.place.path / MANIFEST, overwrite=True)
        if names and not resume and not overwrite and not self._has_work():
            raise ArtifactError(
                f"{self.place} holds forecasts and is left alone; pass --resume to go on with them, --overwrite to "
                "replace them, or name another output"
            )

    @contextlib.contextmanager
    def at_work(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Hold the folder; what is unfinished stays if the block fails, and goes if it ends well.

        Raises:
            ArtifactError: If unfinished work is in the way, or another process is at work here.
        """
        is_new = not self.place.is_folder()
        try:
            with self._held(resume=resume, overwrite=overwrite):
                if not resume:
                    self._clear()
                self._sweep()
                yield
                self._sweep()
        finally:
            if is_new:
                with contextlib.suppress(OSError, ArtifactError):
                    self._withdraw()

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Begin the work, or make sure that what lies in the folder is of the same work.

        Raises:
            ConfigError: If it is not; the message says what differs.
        """
        said = self._manifest()
        if said is not None:
            self._keep(RUN, identity_of(said))
        self._check_inputs(identity["inputs"])
        if self._work.path is not None:
            take_up(self._work.path, identity)
            return
        with tempfile.TemporaryDirectory() as name, _writing(self._work):
            copy = Path(name) / RUN
            if (self._work / RUN).stat() is not None:
                copy.write_bytes((self._work / RUN).read())
            try:
                take_up(Path(name), identity)
            except ConfigError as error:
                raise ConfigError(str(error).replace(name, str(self._work))) from None
            (self._work / RUN).write(copy.read_bytes())

    def _check_inputs(self, ours: Mapping[str, Any]) -> None:
        """Refuse to go on with fewer, more or other inputs.

        Raises:
            ConfigError: If they are.
        """
        theirs = (self._record(RUN) or {}).get("inputs")
        if not isinstance(theirs, dict):
            return
        told = _listed(theirs.keys() - ours.keys(), "no longer among the inputs")
        told += _listed(ours.keys() - theirs.keys(), "new among the inputs")
        if told:
            raise ConfigError(
                f"{' and '.join(told)} of the work in {self.place}; --resume needs those it began with, --overwrite "
                "without --resume starts anew"
            )

    def records(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What is done: records of parts, and of inputs that were read to the end, as far as they are whole."""
        said = self._manifest()
        if said is not None:
            return [part | {"unscored": self._reasons(said, part)} for part in said["parts"]], []
        with _writing(self._work):
            found = {name: self._record(name) for name in self._work.names() if name.endswith(".json")}
        parts = [record for name, record in found.items() if record and name.startswith("part-")]
        return parts, [record for name, record in found.items() if record and name.startswith("input-")]

    def is_whole(self, record: Mapping[str, Any]) -> bool:
        """Whether the file of a part lies in the folder as it was written."""
        try:
            data = (self.place / record["name"]).read()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == record.get("sha256")

    def keep_part(self, record: Mapping[str, Any]) -> None:
        """Keep what is known of a part."""
        self._keep(f"{record['name'].removesuffix('.parquet')}.json", record)

    def keep_input(self, record: Mapping[str, Any]) -> None:
        """Keep what is known of an input that was read to the end."""
        self._keep(f"input-{record['input']:05d}.json", record)

    @property
    def is_finished(self) -> bool:
        """Whether the manifest is there."""
        return self._manifest() is not None

    def reopen(self) -> None:
        """Take back that the folder is finished; what is whole must have been kept before."""
        with _writing(self.place):
            (self.place / MANIFEST).remove()

    def write(self, name: str, text: str) -> None:
        """Write a file beside the parts, whole or not at all; an empty one is removed.

        Raises:
            ArtifactError: If it cannot be written.
        """
        with _writing(self.place / name):
            if text:
                (self.place / name).write(text.encode("utf-8", "backslashreplace"))
            else:
                (self.place / name).remove()

    @contextlib.contextmanager
    def _held(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        if self.place.path is not None:
            with at_work(self.place.path / MANIFEST, resume=resume, overwrite=overwrite):
                yield
            return
        if self._has_work() and not resume:
            if not overwrite:
                raise ArtifactError(
                    f"{self._work} holds unfinished work; pass --resume to continue it, or --overwrite to start anew"
                )
            self._forget()
        try:
            yield
        except BaseException as error:
            if self._has_work():
                error.add_note(f"the work so far is kept in {self._work}; the same command with --resume continues it")
            else:
                self._forget()
            raise
        self._forget()

    def _has_work(self) -> bool:
        with _writing(self._work):
            return any(name.endswith(".json") and name != RUN for name in self._work.names())

    def _forget(self) -> None:
        with _writing(self._work):
            self._work.remove()

    def _clear(self) -> None:
        """Remove what an earlier run has finished, the manifest first."""
        with _writing(self.place):
            for name in sorted(self.place.names(), key=lambda name: name != MANIFEST):
                if _OURS.fullmatch(name):
                    (self.place / name).remove()

    def _withdraw(self) -> None:
        """Remove a folder that holds neither what is finished nor work to go on with, but parts nobody was told of."""
        if self._has_work() or self._manifest() is not None:
            return
        self._clear()
        self._sweep()
        if self.place.path is not None:
            self.place.path.rmdir()

    def _sweep(self) -> None:
        """Remove what a killed process was about to rename."""
        with _writing(self.place):
            for name in self.place.names():
                if _TORN.fullmatch(name):
                    (self.place / name).remove()

    def _manifest(self) -> dict[str, Any] | None:
        try:
            said = json.loads((self.place / MANIFEST).read())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(said, dict) or said.get("kind") != KIND:
            return None
        if said.get("format_version") != VERSION or not _is_complete(said):
            raise ArtifactError(
                f"{self.place / MANIFEST} was changed, or written by another votecast; take that one, or pass "
                "--overwrite without --resume to start anew"
            )
        return said

    def _reasons(self, manifest: Mapping[str, Any], part: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Which rows of a part could not be scored."""
        if not part["unscored"]:
            return []
        name, last = manifest["inputs"][part["input"]]["path"], part["first"] + part["rows"]
        with _writing(self.place):
            lines = (self.place / UNSCORED).read().decode("utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["input"] == name and part["first"] < row["row"] <= last]
        return [{key: row[key] for key in ("id", "row", "reason")} for row in rows]

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            said = json.loads((self._work / name).read())
        except (OSError, ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None

    def _keep(self, name: str, values: Mapping[str, Any]) -> None:
        with _writing(self._work):
            (self._work / name).write((json.dumps(values, ensure_ascii=True) + "\n").encode())


KIND, VERSION = "votecast-forecasts", 1
_PART = {"name", "input", "part", "first", "rows", "rows_sha256", "bytes", "sha256", "cut", "unscored"}


def _listed(names: Collection[str], what: str) -> list[str]:
    """A line on some inputs, none if there is none."""
    if not names:
        return []
    more = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
    return [f"{min(names)}{more} {what}"]


def _is_complete(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest tells of inputs and parts all that a later run needs."""
    inputs, parts = manifest.get("inputs"), manifest.get("parts")
    return (
        isinstance(inputs, list)
        and isinstance(parts, list)
        and all(isinstance(each, dict) and {"path", "bytes"} <= each.keys() for each in inputs)
        and all(isinstance(each, dict) and each.keys() >= _PART for each in parts)
    )


def identity_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished folder depends on, as a run that would make it says it."""
    names = ("votecast", "judge", "settings")
    return {name: manifest.get(name) for name in names} | {
        "inputs": {each["path"]: each["bytes"] for each in manifest["inputs"]}
    }


@contextlib.contextmanager
def _writing(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{place} cannot be written: {error}; name an output that can be reached") from error
