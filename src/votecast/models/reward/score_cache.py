"""A file of rewards by content, model and settings; it survives kills, and processes share it.

`votecast score --cache` reads and extends it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from votecast.errors import ArtifactError

_APPLICATION = 0x766F7465  # "vote": tells the file from databases of other programs
_AT_ONCE = 500  # sqlite allows 999 parameters in a statement
_WAIT_SECONDS = 60.0  # for another process that writes


class ScoreCache:
    """A file of rewards. What was added survives a kill, and other processes read and add at the same time.

    Args:
        path: The file; created if it does not exist.
        described: Everything but the tokens that a reward depends on: the model, and how it computes.

    Raises:
        ArtifactError: If the file is not such a cache, or the disk refuses.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "rewards.cache"
        >>> with ScoreCache(path, {"model": "m"}) as cache:
        ...     cache.add([(b"12", 0.5)])
        ...     cache.find([b"12", b"13"])
        {b'12': 0.5}
    """

    def __init__(self, path: str | Path, described: Mapping[str, object]) -> None:
        self.path = Path(path)
        self._salt = json.dumps(described, sort_keys=True, default=str).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise self._fault(error) from error

    def find(self, contents: Sequence[bytes]) -> dict[bytes, float]:
        """Return the known rewards, by content."""
        keys = {self._key(content): content for content in contents}
        found: dict[bytes, float] = {}
        names = list(keys)
        try:
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                asked = f"SELECT key, reward FROM rewards WHERE key IN ({marks})"  # noqa: S608 - marks alone
                with closing(self._file.execute(asked, part)) as rows:
                    found |= {keys[bytes(key)]: float(reward) for key, reward in rows}
        except sqlite3.Error as error:
            raise self._fault(error) from error
        return found

    def add(self, rewards: Iterable[tuple[bytes, float]]) -> None:
        """Add rewards by content, all of them or none."""
        rows = [(self._key(content), reward) for content, reward in rewards]
        try:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("INSERT OR REPLACE INTO rewards VALUES (?, ?)", rows)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise self._fault(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        (owner,) = self._file.execute("PRAGMA application_id").fetchone()
        (tables,) = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != _APPLICATION and (owner or tables):
            raise ArtifactError(f"{self.path} is a database of another program; name another file for the cache")
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute(f"PRAGMA application_id = {_APPLICATION}")
        self._file.execute("CREATE TABLE IF NOT EXISTS rewards (key BLOB PRIMARY KEY, reward REAL) WITHOUT ROWID")

    def _key(self, content: bytes) -> bytes:
        return hashlib.sha256(len(self._salt).to_bytes(8, "little") + self._salt + content).digest()

    def _fault(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"the cache of rewards {self.path} cannot be used: {error}; name another file, or remove this one"
        )
