"""Votes to a file, in votecast's own columns or in those of the two contests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.artifacts import atomic_file
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.writing.sinks import Sink, as_json, container_of
from votecast.errors import ConfigError, DataError


@dataclass
class Written:
    """What was written.

    Args:
        path: The file.
        format: votecast, lmsys or wsdm.
        rows: How many rows it holds.
        notes: What the format has no room for and was left out.
    """

    path: Path
    format: str
    rows: int = 0
    notes: list[str] = field(default_factory=list)


def write_votes(
    battles: Battles | Iterable[Battles], path: str | Path, *, format: str | None = None, overwrite: bool = False
) -> Written:
    """Write battles, whole or not at all.

    Args:
        battles: A table, or tables one after the other; they are written as they come, memory stays flat.
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        format: "votecast" keeps everything. "lmsys" has one column a winner and lists of turns as JSON; "wsdm" has
            plain texts of one turn and no ties. None means lmsys for CSV and TSV, votecast otherwise.
        overwrite: Whether an existing file may be replaced.

    Returns:
        How many rows were written, and what the format has no room for.

    Raises:
        DataError: If a vote cannot be written in this format; the message names the row and a format that can hold it.
        ConfigError: If suffix or format are unknown.
        ArtifactError: If the file exists or the disk refuses; nothing is left behind.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "votes.csv"
        >>> vote = {
        ...     "id": "7",
        ...     "prompt": "Hi",
        ...     "response_a": "Hello!",
        ...     "response_b": "No.",
        ...     "winner": "a",
        ...     "language": "en",
        ... }
        >>> write_votes(Battles.from_rows([vote]), out).notes
        ['language is left out: the lmsys format has no column for it']
        >>> out.read_text().splitlines()[1]
        '7,,,"[""Hi""]","[""Hello!""]","[""No.""]",1,0,0'
    """
    container, _ = container_of(path)
    name = format or ("lmsys" if container in ("csv", "tsv") else "votecast")
    if name not in _LAYOUTS:
        raise ConfigError(f"the format {name!r} is unknown; votes are written as {', '.join(_LAYOUTS)}")
    written = Written(Path(path), name)
    shape = _Shape(name, written)
    with atomic_file(path, overwrite=overwrite) as part, Sink(part, path) as sink:
        for table in [battles] if isinstance(battles, Battles) else battles:
            sink.write(_LAYOUTS[name](table, shape))
            written.rows += len(table)
        if not written.rows:
            sink.write(_LAYOUTS[name](Battles.concat([]), shape))
    return written


class _Shape:
    """What holds for a whole file: whether it has votes, and what is left out of it."""

    def __init__(self, format: str, written: Written) -> None:
        self._format = format
        self._written = written
        self._has_votes: bool | None = None

    def has_votes(self, battles: Battles) -> bool:
        """Whether the file has votes; every row must agree with the first."""
        labelled = battles.labelled
        if self._has_votes is None:
            self._has_votes = bool(labelled[0]) if len(labelled) else False
        self.refuse(battles, labelled != self._has_votes, "has a vote and others have none, or the reverse")
        return self._has_votes

    def refuse(self, battles: Battles, at_fault: np.ndarray[tuple[int], np.dtype[np.bool_]], reason: str) -> None:
        """Raise for the first row at fault."""
        if at_fault.any():
            row = int(np.argmax(at_fault))
            raise DataError(
                f"row {self._written.rows + row + 1} (id {battles.ids[row]!r}) {reason}; the {self._format} format "
                "cannot hold that: use the votecast format (--format votecast, or a .parquet, .jsonl or .arrow file)"
            )

    def leave_out(self, battles: Battles, columns: Iterable[str]) -> None:
        """Note the columns that hold something and are not written."""
        for name in columns:
            column = battles.column(name)
            note = f"{name} is left out: the {self._format} format has no column for it"
            if column.null_count < len(column) and note not in self._written.notes:
                self._written.notes.append(note)


def _votecast(battles: Battles, _shape: _Shape) -> pa.Table:
    return battles.table


def _lmsys(battles: Battles, shape: _Shape) -> pa.Table:
    has_votes = shape.has_votes(battles)
    _refuse_soft(battles, shape)
    extra = battles.table.column_names[len(SCHEMA) :]
    shape.leave_out(battles, ["language", "source", *extra, *([] if has_votes else ["model_a", "model_b"])])
    texts = {name: pa.array(map(as_json, battles.column(name).to_pylist()), pa.large_string()) for name in TEXT_COLUMNS}
    if not has_votes:
        return pa.table({"id": battles.column("id"), **texts})
    models = {name: battles.column(name) for name in ("model_a", "model_b")}
    winner = battles.column("winner")
    votes = {
        f"winner_{column}": pc.equal(winner, value).cast(pa.int8())
        for column, value in (("model_a", "a"), ("model_b", "b"), ("tie", "tie"))
    }
    return pa.table({"id": battles.column("id"), **models, **texts, **votes})


def _wsdm(battles: Battles, shape: _Shape) -> pa.Table:
    has_votes = shape.has_votes(battles)
    _refuse_soft(battles, shape)
    winner = battles.column("winner")
    shape.refuse(battles, np.asarray(pc.fill_null(pc.equal(winner, "tie"), False)), "is a tie")
    shape.leave_out(battles, ["source", *battles.table.column_names[len(SCHEMA) :]])
    texts = {}
    for name in TEXT_COLUMNS:
        turns = battles.column(name).to_pylist()
        shape.refuse(
            battles, np.array([len(t) != 1 or t[0] is None for t in turns], bool), f"has no single turn in {name}"
        )
        texts[name] = pa.array([t[0] for t in turns], pa.large_string())
    if not has_votes:
        shape.leave_out(battles, ["model_a", "model_b", "language"])
        return pa.table({"id": battles.column("id"), **texts})
    models = {name: battles.column(name) for name in ("model_a", "model_b", "language")}
    prefix, separator = pa.scalar("model", pa.large_string()), pa.scalar("_", pa.large_string())
    named = pc.binary_join_element_wise(prefix, winner, separator)
    return pa.table({"id": battles.column("id"), **texts, "winner": named, **models})


def _refuse_soft(battles: Battles, shape: _Shape) -> None:
    soft = np.asarray(pc.is_valid(battles.column("probabilities")))
    shape.refuse(battles, soft, "has a soft label (probabilities)")
    shape.refuse(battles, battles.weights() != 1, "has a weight other than 1")


_LAYOUTS: dict[str, Callable[[Battles, _Shape], pa.Table]] = {"votecast": _votecast, "lmsys": _lmsys, "wsdm": _wsdm}
