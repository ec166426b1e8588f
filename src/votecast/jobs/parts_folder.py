"""The folder of a run of `predict_folder`: its lock, its partial output, its manifest, the files it may hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from votecast.artifacts import check_free
from votecast.data.work_folder import RUN, begin_work, hold_work_folder, work_folder
from votecast.errors import ArtifactError, ConfigError
from votecast.jobs.parts import InputDone, PartDone
from votecast.jobs.remote_files import FilePlace

MANIFEST: Final = "manifest.json"
UNSCORED: Final = "unscored.jsonl"
KIND, VERSION = "votecast-forecasts", 1  # the kind keeps its first name, so that folders of every version are known
_OURS = re.compile(r"part-\d{5,}-\d{5,}\.parquet|quarantine-\d{5,}\.jsonl|unscored\.jsonl|manifest\.json")
_TORN = re.compile(r"\.(part-\d{5,}-\d{5,}|quarantine-\d{5,}|unscored|manifest)\..*\.part\.\w+")


class PartsFolder:
    """A folder of predictions at a place, local or remote."""

    def __init__(self, place: FilePlace) -> None:
        self.place = place
        self.work = place / work_folder(MANIFEST).name

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse what is in the way, before any work.

        Raises:
            ArtifactError: If the folder is finished, is a file, or holds files that are not votecast's.
        """
        with self._access():
            if self.place.is_file:
                raise ArtifactError(f"{self.place} is a file; parts go to a folder: name another output")
            names = [name for name in self.place.names() if not name.startswith(".")]
        if foreign := [name for name in names if not _OURS.fullmatch(name)]:
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
        is_new = not self.place.is_folder
        local = self.place.path
        hold = self._hold_remote if local is None else lambda **how: hold_work_folder(local / MANIFEST, **how)
        try:
            with hold(resume=resume, overwrite=overwrite):
                if not resume:
                    self._remove(_OURS)
                self._remove(_TORN)
                yield
                self._remove(_TORN)
        finally:
            if is_new:  # a new folder without a finished run or partial output is removed
                with contextlib.suppress(OSError, ArtifactError):
                    if not self._has_partial_output() and self.manifest() is None:
                        self._remove(_OURS)
                        self._remove(_TORN)
                        if local is not None:
                            local.rmdir()

    @contextlib.contextmanager
    def _hold_remote(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Keep partial output as `hold_work_folder` does; a remote filesystem has no locks."""
        if self._has_partial_output() and not resume:
            if not overwrite:
                raise ArtifactError(
                    f"{self.work} holds partial output; pass --resume to continue it, or --overwrite to start over"
                )
            self._remove_work()
        try:
            yield
        except BaseException as error:
            if self._has_partial_output():
                error.add_note(
                    f"partial output is kept in {self.work}; run the same command with --resume to continue it"
                )
            else:
                self._remove_work()
            raise
        self._remove_work()

    def begin(self, identity: Mapping[str, object], sizes: Mapping[str, int]) -> None:
        """Record version, judge, settings and the sizes of the inputs, or check them against what the folder holds.

        Raises:
            ConfigError: If they differ; the message lists the differences.
        """
        # a finished folder is checked like partial output: its manifest holds the same facts
        manifest = self.manifest()
        if manifest is not None:
            inputs = {each["path"]: each["bytes"] for each in manifest["inputs"]}
            self._keep(RUN, {name: manifest.get(name) for name in identity} | {"inputs": inputs})
        theirs = (self._record(RUN) or {}).get("inputs")
        if isinstance(theirs, dict) and theirs.keys() != sizes.keys():
            gone, new = theirs.keys() - sizes.keys(), sizes.keys() - theirs.keys()
            changes = {"missing from the inputs": gone, "new among the inputs": new}
            named = [
                f"{min(names)}{f' and {len(names) - 1} more are' if len(names) > 1 else ' is'} {what}"
                for what, names in changes.items()
                if names
            ]
            raise ConfigError(
                f"{' and '.join(named)} of the run in {self.place}; --resume needs the original inputs, --overwrite "
                "without --resume starts over"
            )
        identity = {**identity, "inputs": sizes}
        if self.work.path is not None:
            begin_work(self.work.path, identity)
            return
        # begin_work compares local files, so a remote record is copied for it
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / RUN
            if (found := self._record(RUN)) is not None:
                copy.write_text(json.dumps(found), "utf-8")
            try:
                begin_work(Path(name), identity)
            except ConfigError as error:
                raise ConfigError(str(error).replace(name, str(self.work))) from None
            self._keep(RUN, identity)

    def finished_parts(self) -> list[PartDone]:
        """Return the records of finished parts, those of a finished folder from its manifest."""
        manifest = self.manifest()
        if manifest is not None:
            return [self._part_of(manifest, part) for part in manifest["parts"]]
        return [PartDone.from_dict(record) for record in self._records("part-")]

    def finished_inputs(self) -> list[InputDone]:
        """Return the records of inputs that were read to the end by a run that is not finished."""
        return [] if self.manifest() is not None else [InputDone(**record) for record in self._records("input-")]

    def is_whole(self, part: PartDone) -> bool:
        """Return whether the file of a part is in the folder as it was written."""
        try:
            return hashlib.sha256((self.place / part.name).read()).hexdigest() == part.sha256
        except OSError:
            return False

    def keep(self, done: PartDone | InputDone) -> None:
        """Keep the record of a part, or of an input that was read to the end."""
        if isinstance(done, PartDone):
            self._keep(f"{done.name.removesuffix('.parquet')}.json", done.to_dict())
        else:
            self._keep(f"input-{done.input:05d}.json", asdict(done))

    def write(self, name: str, text: str) -> None:
        """Write a file beside the parts atomically; remove it where the text is empty."""
        with self._access():
            if text:
                (self.place / name).write(text.encode("utf-8", "backslashreplace"))
            else:
                (self.place / name).remove()

    def manifest(self) -> dict[str, Any] | None:
        """Read the manifest; None where the folder is not finished.

        Raises:
            ArtifactError: If it was changed, or written by another version.
        """
        try:
            manifest = json.loads((self.place / MANIFEST).read())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
            return None
        try:
            is_known = manifest["format_version"] == VERSION
            is_known = is_known and all({"path", "bytes"} <= each.keys() for each in manifest["inputs"])
            _ = [PartDone.from_dict(part) for part in manifest["parts"]]
        except (KeyError, TypeError, AttributeError):
            is_known = False
        if not is_known:
            raise ArtifactError(
                f"{self.place / MANIFEST} was changed, or written by another version of votecast; use that version, or "
                "pass --overwrite without --resume to start over"
            )
        return manifest

    def _part_of(self, manifest: Mapping[str, Any], record: Mapping[str, Any]) -> PartDone:
        """Read the record of a part from the manifest, which counts the rows that `UNSCORED` lists."""
        rows: list[dict[str, object]] = []
        if record["unscored"]:
            name, first, last = (
                manifest["inputs"][record["input"]]["path"],
                record["first"],
                record["first"] + record["rows"],
            )
            with self._access():
                lines = (self.place / UNSCORED).read().decode("utf-8").splitlines()
            found = [row for row in map(json.loads, lines) if row["input"] == name and first < row["row"] <= last]
            rows = [{key: row[key] for key in ("id", "row", "reason")} for row in found]
        return PartDone.from_dict({**record, "unscored": rows})

    def _has_partial_output(self) -> bool:
        with self._access():
            return any(name.endswith(".json") and name != RUN for name in self.work.names())

    def _remove_work(self) -> None:
        with self._access():
            self.work.remove()

    def _remove(self, pattern: re.Pattern[str]) -> None:
        """Remove the files whose name matches, the manifest first."""
        with self._access():
            # without its manifest no reader takes the other files for a finished folder
            for name in sorted(self.place.names(), key=lambda name: name != MANIFEST):
                if pattern.fullmatch(name):
                    (self.place / name).remove()

    def _records(self, prefix: str) -> list[dict[str, Any]]:
        with self._access():
            names = [name for name in self.work.names() if name.startswith(prefix) and name.endswith(".json")]
        return [record for name in names if (record := self._record(name))]

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            record = json.loads((self.work / name).read())
        except (OSError, ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None

    def _keep(self, name: str, values: Mapping[str, object]) -> None:
        with self._access():
            (self.work / name).write((json.dumps(values, ensure_ascii=True) + "\n").encode())

    @contextlib.contextmanager
    def _access(self) -> Iterator[None]:
        """Turn errors of the filesystem into one that names the folder."""
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"{self.place} cannot be written: {error}; name an output that can be reached"
            ) from error
