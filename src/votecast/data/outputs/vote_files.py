"""Write files of votes, in votecast's own columns or in those of the two contests.

`write_votes` is public; `convert` and tests call it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.artifacts import atomic_file
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.outputs.table_writer import TableWriter, as_json, container_of
from votecast.data.text_columns import Bools
from votecast.errors import ConfigError, DataError

_FORMATS = ("votecast", "lmsys", "wsdm")


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
    if name not in _FORMATS:
        raise ConfigError(f"the format {name!r} is unknown; votes are written as {', '.join(_FORMATS)}")
    written = Written(Path(path), name)
    layout = _Layout(written)
    with atomic_file(path, overwrite=overwrite) as part, TableWriter(part, path) as writer:
        for table in [battles] if isinstance(battles, Battles) else battles:
            writer.write(layout.table(table))
            written.rows += len(table)
        if not written.rows:
            writer.write(layout.table(Battles.concat([])))
    return written


class _Layout:
    """The columns of one file. Whether it has votes, the first row decides."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._has_votes: bool | None = None

    def table(self, battles: Battles) -> pa.Table:
        """Return the rows of the file for some battles."""
        if self._written.format == "votecast":
            return battles.table
        labelled = battles.labelled
        if self._has_votes is None:
            self._has_votes = bool(labelled[0]) if len(labelled) else False
        self._refuse(battles, labelled != self._has_votes, "has a vote and others have none, or the reverse")
        soft = np.asarray(pc.is_valid(battles.column("probabilities")))
        self._refuse(battles, soft, "has a soft label (probabilities)")
        self._refuse(battles, battles.weights() != 1, "has a weight other than 1")
        is_lmsys = self._written.format == "lmsys"
        columns = self._lmsys(battles) if is_lmsys else self._wsdm(battles)
        without = [] if self._has_votes else ["model_a", "model_b"]
        no_language = is_lmsys or not self._has_votes
        further = battles.table.column_names[len(SCHEMA) :]
        self._note_left_out(battles, [*(["language"] if no_language else []), "source", *further, *without])
        return pa.table({"id": battles.column("id")} | columns)

    def _lmsys(self, battles: Battles) -> dict[str, pa.Array]:
        columns = {
            name: pa.array(map(as_json, battles.column(name).to_pylist()), pa.large_string()) for name in TEXT_COLUMNS
        }
        if self._has_votes:
            columns = {name: battles.column(name) for name in ("model_a", "model_b")} | columns
            for name, value in (("model_a", "a"), ("model_b", "b"), ("tie", "tie")):
                columns[f"winner_{name}"] = pc.equal(battles.column("winner"), value).cast(pa.int8())
        return columns

    def _wsdm(self, battles: Battles) -> dict[str, pa.Array]:
        winner = battles.column("winner")
        self._refuse(battles, np.asarray(pc.fill_null(pc.equal(winner, "tie"), False)), "is a tie")
        columns = {}
        for name in TEXT_COLUMNS:
            turns = battles.column(name).to_pylist()
            several = np.array([len(t) != 1 or t[0] is None for t in turns], bool)
            self._refuse(battles, several, f"has no single turn in {name}")
            columns[name] = pa.array([t[0] for t in turns], pa.large_string())
        if self._has_votes:
            text = pa.large_string()
            columns["winner"] = pc.binary_join_element_wise(pa.scalar("model", text), winner, pa.scalar("_", text))
            columns |= {name: battles.column(name) for name in ("model_a", "model_b", "language")}
        return columns

    def _refuse(self, battles: Battles, at_fault: Bools, reason: str) -> None:
        if at_fault.any():
            row = int(np.argmax(at_fault))
            raise DataError(
                f"row {self._written.rows + row + 1} (id {battles.ids[row]!r}) {reason}; the {self._written.format} "
                "format cannot hold that: use the votecast format (--format votecast, or a .parquet, .jsonl or .arrow "
                "file)"
            )

    def _note_left_out(self, battles: Battles, columns: Iterable[str]) -> None:
        for name in columns:
            column = battles.column(name)
            note = f"{name} is left out: the {self._written.format} format has no column for it"
            if column.null_count < len(column) and note not in self._written.notes:
                self._written.notes.append(note)
