"""Write and read files of scores, which a reward model gives both answers of a battle.

`score` writes them; `link` and judges of bare scores read them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from votecast.artifacts import digest_of, settings_path
from votecast.data.io import RawBatch, TableStream, open_table
from votecast.data.io.stream import shown
from votecast.data.outputs.table_writer import ResultWriter, container_of, read_settings
from votecast.data.row_batch import RowBatch
from votecast.errors import DataError

SCORES: Final = ("score_a", "score_b")
"""The columns of the two scores, beside `id`."""

CONTENT: Final = "content_sha256"
"""The column of content hashes, by which scores know their texts and the order of the answers."""

KEY: Final = "votecast"
_WITH_SCHEMA: Final = ("parquet", "arrow")
_NAMED: Final = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of both answers of n rows.

    Args:
        ids: Names of the rows, each once.
        a: Scores of the first answers, shape (n,).
        b: Scores of the second answers, shape (n,).
        described: What made them: model, revision, template, cut and more; None for bare numbers.
        content: Content hash of each row, as of `Battles.content_hashes`; None where the file has none.

    Raises:
        DataError: If there is not one finite score of each answer for each id, or an id occurs twice.
    """

    ids: list[str]
    a: Floats
    b: Floats
    described: dict[str, Any] | None = None
    content: list[str] | None = None

    def __post_init__(self) -> None:
        for name, column in zip(SCORES, (self.a, self.b), strict=True):
            if column.shape != (len(self.ids),):
                raise DataError(f"{name} has shape {column.shape} for {len(self.ids)} ids; give one score for each")
        if self.content is not None and len(self.content) != len(self.ids):
            raise DataError(f"there are {len(self.content)} content hashes for {len(self.ids)} ids; give one for each")
        check_finite(self.ids, self.a, self.b)
        twice = [name for name, count in Counter(self.ids).items() if count > 1]
        if twice:
            raise DataError(
                f"{len(twice)} ids occur more than once in the scores (first: "
                f"{', '.join(map(repr, twice[:_NAMED]))}); give every row an id of its own"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def gap(self) -> Floats:
        """Score of a minus score of b, shape (n,)."""
        return self.a - self.b


def check_finite(ids: Sequence[str], a: Floats, b: Floats) -> None:
    """Raise `DataError` if scores are not finite; it counts them and names the first."""
    bad = ~(np.isfinite(a) & np.isfinite(b))
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"row {first + 1} (id {ids[first]!r}) has score_a {a[first]} and score_b {b[first]} (rows like it: "
            f"{int(bad.sum())}); every score must be a finite number: leave out the rows that could not be scored"
        )


class ScoreWriter(ResultWriter):
    """Write scores as they come, atomically.

    What made them is kept with the schema of Parquet and Arrow; for other files it is in `<path>.settings.json`, with
    the SHA-256 of the file.

    Args:
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        described: What made the scores; anything JSON can hold. None for bare numbers.
        overwrite: Whether an existing file may be replaced.
    """

    def __init__(
        self, path: str | Path, described: Mapping[str, object] | None = None, *, overwrite: bool = False
    ) -> None:
        self._described = None if described is None else dict(described)
        known = {} if described is None else {KEY: json.dumps(self._described, sort_keys=True, ensure_ascii=True)}
        super().__init__(path, known, overwrite=overwrite, has_side=container_of(path)[0] not in _WITH_SCHEMA)

    def add(self, ids: Sequence[str], a: ArrayLike, b: ArrayLike, content: Sequence[str] | None = None) -> None:
        """Add rows, perhaps with content hashes; `DataError` without one finite score of each answer for each id."""
        self.write_table(_table(ids, a, b, content))

    def empty_table(self) -> pa.Table:
        """Return the table of a file without rows."""
        return _table([], [], [])

    def settings(self) -> dict[str, object]:
        """Return what made the scores, and how many they are."""
        return {"described": self._described, "rows": self.rows}


def read_scores(path: str | Path) -> Scores:
    r"""Read a file with the columns id, score_a, score_b and perhaps content_sha256; other columns are ignored.

    Raises:
        DataError: If a column is missing, a score is missing or not a finite number, an id occurs twice, or the file
            is not the one that the settings beside it describe.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores.csv"
        >>> _ = path.write_text("id,score_a,score_b\n7,1.5,-0.5\n")
        >>> read_scores(path).gap
        array([2.])
    """
    ids: list[str] = []
    parts: list[Floats] = [np.empty((0, 2))]
    content: list[str] | None = None
    with open_table(path) as stream:
        described = _described(path, stream)
        content = [] if CONTENT in stream.names else None
        for batch in stream:
            ids += read_ids(stream.path, batch)
            if content is not None:
                rows = RowBatch(batch, empty_is_missing=True).text(CONTENT, required=True)
                content += rows.fill_null("").to_pylist()
            cure = "leave out the rows that could not be scored"
            parts.append(np.column_stack([read_numbers(stream.path, batch, name, cure) for name in SCORES]))
    if not ids:
        raise DataError(f"{path} holds no scores; give a file with at least one row of id, {', '.join(SCORES)}")
    a, b = np.concatenate(parts).T
    return Scores(ids, np.ascontiguousarray(a), np.ascontiguousarray(b), described, content)


def described_of(path: str | Path) -> dict[str, Any] | None:
    """Return what made the scores in a file, without reading them, as `read_scores` does; None for bare numbers."""
    with open_table(path) as stream:
        return _described(path, stream)


def read_ids(path: str, batch: RawBatch) -> list[str]:
    """Return the ids of a batch, as files of votes have them; raise `DataError` if one is missing or cannot be read."""
    rows = RowBatch(batch, empty_is_missing=True)
    ids: list[str] = rows.ids("id").to_pylist()
    if rows.faults:
        raise DataError(rows.faults[min(rows.faults)].message(path))
    return ids


def read_numbers(path: str, batch: RawBatch, name: str, cure: str) -> Floats:
    """Return a column of a batch as float64; NaN and infinity are allowed.

    Raises:
        DataError: If a cell is missing or not a number; the message names it and ends with the cure.
    """
    if name not in batch.table.column_names:
        raise DataError(f"{path}, row {batch.rows[0]}: {name!r} is missing; {cure}")
    column = batch.table.column(name)
    if not column.null_count and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    out = np.empty(len(column))
    for at, cell in enumerate(column.to_pylist()):
        try:
            out[at] = float("not a number" if isinstance(cell, bool) else cell)
        except (TypeError, ValueError):
            what = "the value is missing" if cell in (None, "") else f"{shown(str(cell))} is not a number"
            raise DataError(f"{path}, row {batch.rows[at]}, column {name!r}: {what}; {cure}") from None
    return out


def _table(ids: Sequence[str], a: ArrayLike, b: ArrayLike, content: Sequence[str] | None = None) -> pa.Table:
    scores = Scores([str(name) for name in ids], np.asarray(a, np.float64), np.asarray(b, np.float64))
    columns = {"id": pa.array(scores.ids, pa.large_string()), SCORES[0]: scores.a, SCORES[1]: scores.b}
    return pa.table(columns if content is None else columns | {CONTENT: pa.array(content, pa.large_string())})


def _described(path: str | Path, stream: TableStream) -> dict[str, Any] | None:
    """Check the columns, and return what the schema, or the settings beside the file, say of the scores."""
    missing = [name for name in ("id", *SCORES) if name not in stream.names]
    if missing:
        raise DataError(
            f"{stream.path} holds no scores: {', '.join(map(repr, missing))} is missing, its columns are "
            f"{', '.join(map(repr, stream.names)) or 'none'}; needed are id, {', '.join(SCORES)}"
        )
    text = (stream.schema.metadata or {}).get(KEY.encode())
    if text is not None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: what made the scores cannot be read ({error}); write the scores again") from error
        if not isinstance(value, dict):
            raise DataError(f"{path}: what made the scores is {type(value).__name__}, not an object; write them again")
        return value
    whole = read_settings(path, "remove it to take the scores as bare numbers")
    if "described" not in whole:
        return None
    if whole.get("sha256") != digest_of(Path(path)):
        side = settings_path(path).name
        raise DataError(
            f"{path} is not the file that {side} describes: it has changed since; write the scores again, or "
            f"remove {side} to take them as bare numbers"
        )
    described = whole["described"]
    return described if isinstance(described, dict) else None
