"""What a reader found, repaired and set aside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from votecast.data.battles import Battles

FIRST_ROWS = 5
"""Row numbers kept for each kind of repair."""


@dataclass
class ReadReport:
    """What was read from one file.

    Args:
        path: The file.
        container: csv, parquet, jsonl or arrow, with its compression.
        format: lmsys, wsdm, arena, pairs, rewardbench, mtbench or votecast.
        text: For each text column, whether its cells are "json" lists, "plain" text, "transcript" or "list", which they
            are already.
        rows: Rows handed on.
        labelled: Rows among them with a vote or a soft label.
        repairs: Number of repairs by kind.
        examples: First row numbers of each kind of repair.
        quarantined: Rows set aside as unreadable.
        quarantine: Where they were written.
        ignored: Columns of the file that were not used.
        sampling: The limit or sample that was asked for, as text.
        notes: Further remarks for the reader of the output.
    """

    path: str
    container: str = ""
    format: str = ""
    text: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    labelled: int = 0
    repairs: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[int]] = field(default_factory=dict)
    quarantined: int = 0
    quarantine: str | None = None
    ignored: list[str] = field(default_factory=list)
    sampling: str | None = None
    notes: list[str] = field(default_factory=list)

    def count(self, battles: Battles) -> None:
        """Add rows that are handed on."""
        self.rows += len(battles)
        self.labelled += int(battles.labelled.sum())

    def repaired(self, kind: str, rows: Iterable[int]) -> None:
        """Add rows in which something was repaired.

        Args:
            kind: What was repaired, and how.
            rows: Their numbers in the file, from 1.
        """
        for row in rows:
            self.repairs[kind] = self.repairs.get(kind, 0) + 1
            first = self.examples.setdefault(kind, [])
            if len(first) < FIRST_ROWS and row not in first:
                first.append(row)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
