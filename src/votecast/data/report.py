"""What a reader found, repaired and set aside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ReadReport:
    """What was read from one file.

    Args:
        path: The file.
        container: csv, parquet, jsonl or arrow, with its compression.
        format: lmsys, wsdm, arena, pairs, rewardbench, mtbench or votecast.
        text: For each text column, whether its cells are "json" or "plain".
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

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
