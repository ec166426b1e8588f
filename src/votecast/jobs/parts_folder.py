"""The folder of a run of `predict_folder`: its lock, its partial output, its manifest, what may lie in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from votecast.artifacts import check_free
from votecast.data.work_folder import RUN, begin_work, hold_work_folder, work_folder
from votecast.errors import ArtifactError, ConfigError
from votecast.jobs.remote_files import FilePlace

MANIFEST: Final = "manifest.json"
UNSCORED: Final = "unscored.jsonl"
KIND, VERSION = "votecast-forecasts", 1  # the kind keeps its first name, so that folders of every version are known
_OURS = re.compile(r"part-\d{5,}-\d{5,}\.parquet|quarantine-\d{5,}\.jsonl|unscored\.jsonl|manifest\.json")
_TORN = re.compile(r"\.(part-\d{5,}-\d{5,}|quarantine-\d{5,}|unscored|manifest)\..*\.part\.\w+")
_PART_KEYS = {"name", "input", "part", "first", "rows", "rows_sha256", "bytes", "sha256", "cut", "unscored"}


class PartsFolder:
    """A folder of predictions.

    Args:
        place: Where it is.
    """

    def __init__(self, place: FilePlace) -> None:
        self.place = place
        self._work = place / work_folder(MANIFEST).name

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse what is in the way, before any work.

        Raises:
            ArtifactError: If the folder is finished, is a file, or holds files that are not votecast's.
        """
        with _access(self.place):
            if self.place.stat() is not None:
                raise ArtifactError(f"{self.place} is a file; parts go to a folder: name another output")
            names = [name for name in self.place.names() if not name.startswith(".")]
        foreign = [name for name in names if not _OURS.fullmatch(name)]
        if foreign:
            raise ArtifactError(
                f"{self.place} holds {foreign[0]}, which is not part of a folder of predictions; name a new or empty "
                "folder"
            )
        if self.place.path is not None:
            check_free(self.place.path / MANIFEST, overwrite=True)
        if names and not resume and not overwrite and not self._has_partial_output():
            raise ArtifactError(
                f"{self.place} already holds predictions; pass --resume to continue them, --overwrite to replace them, "
                "or name another output"
            )

    @contextlib.contextmanager
    def hold(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Lock the folder; partial output stays if the block fails, and goes if it succeeds.

        Raises:
            ArtifactError: If partial output is in the way, or another process holds the folder.
        """
        is_new = not self.place.is_folder()
        try:
            with self._hold_work(resume=resume, overwrite=overwrite):
                if not resume:
                    self._clear()
                self._remove_torn()
                yield
                self._remove_torn()
        finally:
            if is_new:
                with contextlib.suppress(OSError, ArtifactError):
                    self._withdraw()

    @contextlib.contextmanager
    def _hold_work(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        if self.place.path is not None:
            with hold_work_folder(self.place.path / MANIFEST, resume=resume, overwrite=overwrite):
                yield
            return
        # a remote filesystem has no locks: the partial output alone is looked after
        if self._has_partial_output() and not resume:
            if not overwrite:
                raise ArtifactError(
                    f"{self._work} holds partial output; pass --resume to continue it, or --overwrite to start over"
                )
            self._remove_work()
        try:
            yield
        except BaseException as error:
            if self._has_partial_output():
                error.add_note(
                    f"partial output is kept in {self._work}; run the same command with --resume to continue it"
                )
            else:
                self._remove_work()
            raise
        self._remove_work()

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Record what the run depends on, or check it against what the folder holds.

        Raises:
            ConfigError: If they differ; the message lists the differences.
        """
        manifest = self._manifest()
        if manifest is not None:
            sizes = {each["path"]: each["bytes"] for each in manifest["inputs"]}
            names = ("votecast", "judge", "settings")
            self._keep(RUN, {name: manifest.get(name) for name in names} | {"inputs": sizes})
        self._check_inputs(identity["inputs"])
        if self._work.path is not None:
            begin_work(self._work.path, identity)
            return
        with tempfile.TemporaryDirectory() as name, _access(self._work):
            copy = Path(name) / RUN
            if (self._work / RUN).stat() is not None:
                copy.write_bytes((self._work / RUN).read())
            try:
                begin_work(Path(name), identity)
            except ConfigError as error:
                raise ConfigError(str(error).replace(name, str(self._work))) from None
            (self._work / RUN).write(copy.read_bytes())

    def _check_inputs(self, ours: Mapping[str, Any]) -> None:
        """Refuse to continue with fewer, more or other inputs."""
        theirs = (self._record(RUN) or {}).get("inputs")
        if not isinstance(theirs, dict):
            return
        differences = _list_names(theirs.keys() - ours.keys(), "missing from the inputs")
        differences += _list_names(ours.keys() - theirs.keys(), "new among the inputs")
        if differences:
            raise ConfigError(
                f"{' and '.join(differences)} of the run in {self.place}; --resume needs the original inputs, "
                "--overwrite without --resume starts over"
            )

    def records(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the records of finished parts, and of inputs that were read to the end."""
        manifest = self._manifest()
        if manifest is not None:
            return [part | {"unscored": self._reasons(manifest, part)} for part in manifest["parts"]], []
        with _access(self._work):
            found = {name: self._record(name) for name in self._work.names() if name.endswith(".json")}
        parts = [record for name, record in found.items() if record and name.startswith("part-")]
        return parts, [record for name, record in found.items() if record and name.startswith("input-")]

    def is_whole(self, record: Mapping[str, Any]) -> bool:
        """Return whether the file of a part lies in the folder as it was written."""
        try:
            data = (self.place / record["name"]).read()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == record.get("sha256")

    def keep_part(self, record: Mapping[str, Any]) -> None:
        """Keep the record of a part."""
        self._keep(f"{record['name'].removesuffix('.parquet')}.json", record)

    def keep_input(self, record: Mapping[str, Any]) -> None:
        """Keep the record of an input that was read to the end."""
        self._keep(f"input-{record['input']:05d}.json", record)

    @property
    def is_finished(self) -> bool:
        """Whether the manifest is there."""
        return self._manifest() is not None

    def reopen(self) -> None:
        """Remove the manifest; records of whole parts must have been kept before."""
        with _access(self.place):
            (self.place / MANIFEST).remove()

    def write(self, name: str, text: str) -> None:
        """Write a file beside the parts atomically; remove it where the text is empty.

        Raises:
            ArtifactError: If it cannot be written.
        """
        with _access(self.place / name):
            if text:
                (self.place / name).write(text.encode("utf-8", "backslashreplace"))
            else:
                (self.place / name).remove()

    def _has_partial_output(self) -> bool:
        with _access(self._work):
            return any(name.endswith(".json") and name != RUN for name in self._work.names())

    def _remove_work(self) -> None:
        with _access(self._work):
            self._work.remove()

    def _clear(self) -> None:
        """Remove the files of a finished run, the manifest first."""
        with _access(self.place):
            for name in sorted(self.place.names(), key=lambda name: name != MANIFEST):
                if _OURS.fullmatch(name):
                    (self.place / name).remove()

    def _withdraw(self) -> None:
        """Remove a new folder that holds neither a finished run nor partial output."""
        if self._has_partial_output() or self._manifest() is not None:
            return
        self._clear()
        self._remove_torn()
        if self.place.path is not None:
            self.place.path.rmdir()

    def _remove_torn(self) -> None:
        """Remove files that a killed process was about to rename."""
        with _access(self.place):
            for name in self.place.names():
                if _TORN.fullmatch(name):
                    (self.place / name).remove()

    def _manifest(self) -> dict[str, Any] | None:
        try:
            manifest = json.loads((self.place / MANIFEST).read())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
            return None
        if manifest.get("format_version") != VERSION or not _has_all_keys(manifest):
            raise ArtifactError(
                f"{self.place / MANIFEST} was changed, or written by another version of votecast; use that version, or "
                "pass --overwrite without --resume to start over"
            )
        return manifest

    def _reasons(self, manifest: Mapping[str, Any], part: Mapping[str, Any]) -> list[dict[str, Any]]:
        """List the rows of a part that could not be scored."""
        if not part["unscored"]:
            return []
        name, last = manifest["inputs"][part["input"]]["path"], part["first"] + part["rows"]
        with _access(self.place):
            lines = (self.place / UNSCORED).read().decode("utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["input"] == name and part["first"] < row["row"] <= last]
        return [{key: row[key] for key in ("id", "row", "reason")} for row in rows]

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            record = json.loads((self._work / name).read())
        except (OSError, ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None

    def _keep(self, name: str, values: Mapping[str, Any]) -> None:
        with _access(self._work):
            (self._work / name).write((json.dumps(values, ensure_ascii=True) + "\n").encode())


def _list_names(names: Collection[str], what: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
    return [f"{min(names)}{more} {what}"]


def _has_all_keys(manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest holds all that a later run needs of its inputs and parts."""
    inputs, parts = manifest.get("inputs"), manifest.get("parts")
    return (
        isinstance(inputs, list)
        and isinstance(parts, list)
        and all(isinstance(each, dict) and {"path", "bytes"} <= each.keys() for each in inputs)
        and all(isinstance(each, dict) and each.keys() >= _PART_KEYS for each in parts)
    )


@contextlib.contextmanager
def _access(place: FilePlace) -> Iterator[None]:
    """Turn errors of the filesystem into one that names the place."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{place} cannot be written: {error}; name an output that can be reached") from error
