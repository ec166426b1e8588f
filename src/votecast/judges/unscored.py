"""Battles that a judge cannot score: which, and why. An error, never a guess."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from votecast.artifacts import atomic_file
from votecast.errors import JudgeError

_SHOWN = 3


class UnscoredRowsError(JudgeError):
    """Some of the battles that a judge was asked for cannot be scored.

    Args:
        reasons: Positions of these battles among those that were asked for, and what is wrong with each.
        rows: How many were asked for.

    Example:
        >>> str(UnscoredRowsError({1: "its reward is nan"}, 3))
        '1 of 3 battles cannot be scored: number 2: its reward is nan'
    """

    def __init__(self, reasons: Mapping[int, str], rows: int) -> None:
        self.reasons, self.rows = dict(sorted(reasons.items())), rows
        first = [f"number {row + 1}: {reason}" for row, reason in list(self.reasons.items())[:_SHOWN]]
        more = f"; and {len(self.reasons) - _SHOWN} more" if len(self.reasons) > _SHOWN else ""
        super().__init__(f"{len(self.reasons)} of {rows} battles cannot be scored: {'; '.join(first)}{more}")

    def within(self, start: int, rows: int) -> UnscoredRowsError:
        """The same, where these battles begin at `start` among so many."""
        return UnscoredRowsError({start + row: reason for row, reason in self.reasons.items()}, rows)


def unscored_path(out: str | Path) -> Path:
    """Where the rows lie that could not be scored.

    Example:
        >>> unscored_path("runs/scores.parquet").name
        'scores.parquet.unscored.jsonl'
    """
    return Path(f"{out}.unscored.jsonl")


def write_unscored(out: str | Path, rows: Sequence[Mapping[str, Any]]) -> Path | None:
    """Write the rows that could not be scored beside an output, one object a line; what an earlier run left goes.

    Args:
        out: The output.
        rows: The id, the number and the reason of each.

    Returns:
        The file; None where there are no such rows.

    Raises:
        ArtifactError: If the disk refuses.
    """
    path = unscored_path(out)
    if not rows:
        path.unlink(missing_ok=True)
        return None
    with atomic_file(path, overwrite=True) as part:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        part.write_text("".join(lines), "utf-8", "backslashreplace")
    return path
