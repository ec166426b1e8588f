"""Keep the predictions of a long file in shards, so that a killed run can resume.

The jobs behind predict, score and rerank write and read them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from votecast.artifacts import atomic_file
from votecast.data.battles import Battles
from votecast.errors import ArtifactError
from votecast.types import Probabilities

SHARD_ROWS = 1024
"""Rows of the input that are predicted together and kept as one file; the division depends on it alone."""

_HASHED_ROWS = 64
_SUFFIX = ".shard"
_CUT = "cut"


@dataclass(frozen=True)
class Shard:
    """The predictions of some rows.

    Args:
        ids: Names of the rows.
        probabilities: Shape (n, 3).
        cut: Sums over the rows of what was truncated, for judges that truncate texts.
    """

    ids: list[str]
    probabilities: Probabilities
    cut: dict[str, Any] | None = None


class Shards:
    """The predictions that are already on disk, one file for each `SHARD_ROWS` rows of the input.

    A shard names the judge and the rows it is of by their hashes, and its own bytes by another. One that is torn counts
    as missing; one of other rows is an error.

    Args:
        folder: Where they lie.
        judge: Hash of the judge.
        rows: Rows of one shard, for messages; None where shards hold as many as they happen to.

    Example:
        >>> import tempfile
        >>> shards = Shards(Path(tempfile.mkdtemp()), judge="2f")
        >>> shards.write(0, "rows", Shard(["7"], np.array([[0.5, 0.25, 0.25]])))
        >>> shards.find(0, "rows").ids, shards.find(1, "rows")
        (['7'], None)
    """

    def __init__(self, folder: Path, judge: str, *, rows: int | None = SHARD_ROWS) -> None:
        self._folder = folder
        self._judge = judge
        self._rows = rows

    def find(self, number: int, rows: str) -> Shard | None:
        """Read a shard; None if it is missing or torn.

        Args:
            number: Its place, from 0.
            rows: Fingerprint of its rows.

        Raises:
            ArtifactError: If it is whole but of other rows, or of another judge.
        """
        found = self._load(number)
        if found is not None and (found[0].get("judge"), found[0].get("rows")) != (self._judge, rows):
            raise self._of_other_rows(number)
        return _unpack(found[1]) if found else None

    def write(self, number: int, rows: str, shard: Shard) -> None:
        """Write a shard atomically.

        Raises:
            ArtifactError: If the disk refuses.
        """
        payload = _pack(shard)
        head = {"judge": self._judge, "rows": rows, "sha256": hashlib.sha256(payload).hexdigest()}
        with atomic_file(self._path(number), overwrite=True) as part:
            part.write_bytes(json.dumps(head).encode() + b"\n" + payload)

    def read(self, number: int) -> Shard:
        """Read a shard that was written before.

        Raises:
            ArtifactError: If it is missing or torn.
        """
        found = self._load(number)
        if found is None:
            raise ArtifactError(f"{self._path(number)} has changed since it was written; run again with --resume")
        return _unpack(found[1])

    def end(self, count: int) -> None:
        """Raise if there are shards beyond the last row of the input.

        Raises:
            ArtifactError: If there is one: an earlier input was longer.
        """
        beyond = [path for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit() and int(path.stem) >= count]
        if beyond:
            raise self._of_other_rows(min(int(path.stem) for path in beyond))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:07d}{_SUFFIX}"

    def _load(self, number: int) -> tuple[dict[str, str], bytes] | None:
        try:
            head, _, payload = self._path(number).read_bytes().partition(b"\n")
            facts = json.loads(head)
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        except OSError as error:
            raise ArtifactError(
                f"{self._path(number)} cannot be read: {error}; pass --overwrite to start anew"
            ) from error
        is_whole = isinstance(facts, dict) and facts.get("sha256") == hashlib.sha256(payload).hexdigest()
        return (facts, payload) if is_whole else None

    def _of_other_rows(self, number: int) -> ArtifactError:
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


def _pack(shard: Shard) -> bytes:
    columns = {"id": pa.array(shard.ids, pa.large_string())}
    columns |= {str(place): pa.array(column) for place, column in enumerate(shard.probabilities.T)}
    table = pa.table(columns).replace_schema_metadata({_CUT: json.dumps(shard.cut)})
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return bytes(out.getvalue())


def _unpack(payload: bytes) -> Shard:
    table = pa.ipc.open_stream(payload).read_all()
    p = np.column_stack([column.to_numpy() for column in table.columns[1:]])
    return Shard(table.column(0).to_pylist(), p, json.loads(table.schema.metadata[_CUT.encode()]))
