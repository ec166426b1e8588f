"""Write files of votes, in votecast's own columns or in those of the two contests.

`write_votes` is public; `convert` and tests call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.artifacts import atomic_file
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.labels import BOTH_BAD, ONE_HOT
from votecast.data.outputs.table_writer import TableWriter, as_json, container_of
from votecast.data.text_columns import Bools
from votecast.errors import ConfigError, DataError
from votecast.types import CLASSES

_FORMATS = ("votecast", "lmsys", "wsdm")


@dataclass
class Written:
    """What was written."""

    path: Path
    format: str  # votecast, lmsys or wsdm
    rows: int = 0
    notes: list[str] = field(default_factory=list)  # columns that the format has no room for


def write_votes(
    battles: Battles | Iterable[Battles], path: str | Path, *, format: str | None = None, overwrite: bool = False
) -> Written:
    """Write battles atomically.

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
        >>> vote = {"id": "7", "prompt": "Hi", "response_a": "Hello!", "response_b": "No."}
        >>> write_votes(Battles.from_rows([vote | {"winner": "a", "language": "en"}]), out).notes
        ['language is left out: the lmsys format has no column for it']
        >>> out.read_text().splitlines()[1]
        '7,,,"[""Hi""]","[""Hello!""]","[""No.""]",1,0,0'
    """
    container, _ = container_of(path)
    name = format or ("lmsys" if container in ("csv", "tsv") else "votecast")
    if name not in _FORMATS:
        raise ConfigError(f"the format {name!r} is unknown; votes are written as {', '.join(_FORMATS)}")
    written = Written(Path(path), name)
    has_votes: bool | None = None
    with atomic_file(path, overwrite=overwrite) as part, TableWriter(part, path) as writer:
        for table in [battles] if isinstance(battles, Battles) else battles:
            if has_votes is None and len(table):
                has_votes = bool(table.labelled[0])  # the first row decides for the file
            writer.write(_own_table(table) if name == "votecast" else _contest_table(table, bool(has_votes), written))
            written.rows += len(table)
        if not written.rows:
            empty = Battles.concat([])
            writer.write(empty.table if name == "votecast" else _contest_table(empty, False, written))
    return written


def lmsys_columns(
    battles: Battles, *, has_votes: bool, encode: Callable[[Sequence[str | None]], str]
) -> dict[str, pa.ChunkedArray | pa.Array]:
    """Return the columns of the LMSYS contest, turns encoded as JSON; without votes no models either."""
    columns = {name: battles.column(name) for name in (("id", "model_a", "model_b") if has_votes else ("id",))}
    for name in TEXT_COLUMNS:
        columns[name] = pa.array(map(encode, battles.column(name).to_pylist()), pa.large_string())
    for name, value in zip(ONE_HOT, CLASSES, strict=True) if has_votes else ():
        columns[name] = pc.equal(battles.column("winner"), value).cast(pa.int8())
    return columns


def _own_table(battles: Battles) -> pa.Table:
    """Return the columns of votecast's own files, in which a vote against both answers has a name of its own."""
    table = battles.table
    if BOTH_BAD not in table.column_names:
        return table
    place = table.column_names.index("winner")
    winner = pc.if_else(table.column(BOTH_BAD), BOTH_BAD, table.column("winner")).cast(pa.large_string())
    return table.set_column(place, table.schema.field(place), winner).drop_columns([BOTH_BAD])


def _contest_table(battles: Battles, has_votes: bool, written: Written) -> pa.Table:
    """Return the columns of a contest's file; raise for rows it cannot hold, and note the columns it leaves out."""

    def _refuse(at_fault: Bools, reason: str) -> None:
        if at_fault.any():
            row = int(np.argmax(at_fault))
            raise DataError(
                f"row {written.rows + row + 1} (id {battles.ids[row]!r}) {reason}; the {written.format} format cannot "
                "hold that: use the votecast format (--format votecast, or a .parquet, .jsonl or .arrow file)"
            )

    _refuse(battles.labelled != has_votes, "has a vote and others have none, or the reverse")
    _refuse(np.asarray(pc.is_valid(battles.column("probabilities"))), "has a soft label (probabilities)")
    _refuse(battles.weights() != 1, "has a weight other than 1")
    columns = {"id": battles.column("id")}
    if written.format == "lmsys":
        columns = lmsys_columns(battles, has_votes=has_votes, encode=as_json)
    else:
        winner, text = battles.column("winner"), pa.large_string()
        _refuse(np.asarray(pc.fill_null(pc.equal(winner, "tie"), False)), "is a tie")
        for name in TEXT_COLUMNS:
            turns = battles.column(name).to_pylist()
            _refuse(np.array([len(t) != 1 or t[0] is None for t in turns], bool), f"has no single turn in {name}")
            columns[name] = pa.array([t[0] for t in turns], text)
        if has_votes:
            columns["winner"] = pc.binary_join_element_wise(pa.scalar("model", text), winner, pa.scalar("_", text))
            columns |= {name: battles.column(name) for name in ("model_a", "model_b", "language")}
    further = [name for name in battles.table.column_names[len(SCHEMA) :] if name != BOTH_BAD]
    note = "votes against both answers are written as ties: the lmsys format has no other name for them"
    if BOTH_BAD in battles.table.column_names and pc.any(battles.column(BOTH_BAD)).as_py():
        written.notes.extend([note] if note not in written.notes else [])
    for name in ("language", "source", *further, "model_a", "model_b"):
        note = f"{name} is left out: the {written.format} format has no column for it"
        if name not in columns and battles.column(name).null_count < len(battles) and note not in written.notes:
            written.notes.append(note)
    return pa.table(columns)
