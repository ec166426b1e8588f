"""Keep the results of a long file in shards, so that a killed run can resume.

`FileRun` writes and reads them; folders of parts divide their inputs in the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from votecast.artifacts import atomic_file
from votecast.data.battles import Battles
from votecast.data.work_folder import RUN, begin_work
from votecast.errors import ArtifactError
from votecast.judges.predict_batch import Shard

SHARD_ROWS = 1024
"""Rows of the input that are predicted together and kept as one file."""

_HASHED_ROWS = 64  # rows are encoded as JSON this many at a time, which bounds the memory
_SUFFIX = ".shard"


class Shards:
    """The results of a run, one file for each batch of rows.

    Each file records three hashes: the key of the run, its rows, and its own bytes. A torn file counts as missing; one
    of other rows is an error. The newest shard is held in memory until `write_held`.

    Args:
        folder: The work folder.
        key: Hash of everything the results depend on except the rows.
        identity: JSON-able description of the same, recorded with the first shard.
        rows: Rows of one shard, for messages; None where shards differ.

    Raises:
        ConfigError: If the folder holds partial output of another run.

    Example:
        >>> import tempfile
        >>> shards = Shards(Path(tempfile.mkdtemp()), "2f", {})
        >>> shards.add(0, "rows", Shard(["7"], np.array([[0.5, 0.25, 0.25]])))
        >>> shards.write_held()
        >>> shards.find(0, "rows").ids, shards.find(1, "rows")
        (['7'], None)
    """

    def __init__(
        self, folder: Path, key: str, identity: Mapping[str, object], *, rows: int | None = SHARD_ROWS
    ) -> None:
        self._folder, self._key, self._identity, self._rows = folder, key, identity, rows
        self._held: tuple[int, str, Shard] | None = None
        self.is_resumed = (folder / RUN).exists()
        if self.is_resumed:
            begin_work(folder, identity)

    def find(self, number: int, rows: str) -> Shard | None:
        """Read the shard of a batch; None if it is missing or torn.

        Raises:
            ArtifactError: If it is of other rows, or of another judge, or the disk refuses.
        """
        try:
            head, _, payload = self._path(number).read_bytes().partition(b"\n")
            facts = json.loads(head)
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        except OSError as error:
            raise ArtifactError(
                f"{self._path(number)} cannot be read: {error}; pass --overwrite to start anew"
            ) from error
        if not isinstance(facts, dict) or facts.get("sha256") != hashlib.sha256(payload).hexdigest():
            return None
        if (facts.get("judge"), facts.get("rows")) != (self._key, rows):
            raise self._other_rows(number)
        table = pa.ipc.open_stream(payload).read_all()
        p = np.column_stack([column.to_numpy() for column in table.columns[1:]])  # (n, 3), scores (n, 2)
        return Shard(table.column(0).to_pylist(), p, json.loads(table.schema.metadata[b"cut"]))

    def add(self, number: int, rows: str, shard: Shard) -> None:
        """Hold a shard in memory; `write_held` writes it."""
        self._held = (number, rows, shard)

    def write_held(self) -> None:
        """Write the shard that is held, if there is one, atomically."""
        if self._held is None:
            return
        number, rows, shard = self._held
        # recorded with the first shard: before it there is nothing to resume
        if not (self._folder / RUN).exists():
            begin_work(self._folder, self._identity)
        columns = {"id": pa.array(shard.ids, pa.large_string())}
        columns |= {str(place): pa.array(column) for place, column in enumerate(shard.probabilities.T)}
        table = pa.table(columns).replace_schema_metadata({"cut": json.dumps(shard.cut)})
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table)
        payload = out.getvalue().to_pybytes()
        # the hash tells a shard whose bytes were lost in a crash from a whole one
        head = {"judge": self._key, "rows": rows, "sha256": hashlib.sha256(payload).hexdigest()}
        with atomic_file(self._path(number), overwrite=True) as part:
            part.write_bytes(json.dumps(head).encode() + b"\n" + payload)
        self._held = None

    def all(self, fingerprints: Iterable[str]) -> Iterator[Shard]:
        """Read the shards of all batches in their order.

        Raises:
            ArtifactError: If one is missing or torn.
        """
        for number, rows in enumerate(fingerprints):
            is_held = self._held is not None and self._held[0] == number
            shard = self._held[2] if self._held is not None and is_held else self.find(number, rows)
            if shard is None:
                raise ArtifactError(f"{self._path(number)} has changed since it was written; run again with --resume")
            yield shard

    def check_end(self, count: int) -> None:
        """Raise if a shard of an earlier run lies beyond the last row of the input, which was longer then."""
        numbers = [int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit()]
        if beyond := [number for number in numbers if number >= count]:
            raise self._other_rows(min(beyond))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:07d}{_SUFFIX}"

    def _other_rows(self, number: int) -> ArtifactError:
        place = f" (from row {number * self._rows + 1} on)" if self._rows else ""
        return ArtifactError(
            f"{self._folder} holds predictions of other rows{place}: the input is not the one the work "
            "began with; give that one, or drop --resume and pass --overwrite to start anew"
        )


def in_shards(parts: Iterable[Battles], rows: int) -> Iterator[Battles]:
    """Divide battles into tables of exactly `rows` rows and a last one of what is left.

    Example:
        >>> battle = {"prompt": "p", "response_a": "x", "response_b": "y"}
        >>> [len(part) for part in in_shards([Battles.from_rows([battle] * n) for n in (1, 4, 2)], rows=3)]
        [3, 3, 1]
    """
    # networks depend on the rows of a batch in the last bits, so batches must not depend on how a file is read
    waiting: list[Battles] = []
    for part in parts:
        waiting.append(part)
        del part  # what is yielded should be all that is held
        while sum(map(len, waiting)) >= rows:
            whole = Battles.concat(waiting)
            waiting = [whole[rows:]] if len(whole) > rows else []
            yield whole[:rows]
    if waiting:
        yield Battles.concat(waiting)


def fingerprint(battles: Battles) -> str:
    """Hash everything in the rows with SHA-256.

    Example:
        >>> rows = [{"prompt": "p", "response_a": "x", "response_b": "y"}]
        >>> fingerprint(Battles.from_rows(rows)) == fingerprint(Battles.from_rows(rows * 2)[:1])
        True
    """
    digest = hashlib.sha256()
    for start in range(0, len(battles), _HASHED_ROWS):
        digest.update(json.dumps(battles.table.slice(start, _HASHED_ROWS).to_pydict(), default=str).encode())
    return digest.hexdigest()
