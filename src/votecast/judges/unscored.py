"""Battles that a judge cannot score: which, and why. An error, never a guess."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from votecast.artifacts import atomic_file


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
