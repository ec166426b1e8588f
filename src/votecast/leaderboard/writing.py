"""A leaderboard to a file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from votecast.artifacts import atomic_file
from votecast.data.outputs.table_writer import TableWriter, container_of
from votecast.leaderboard.board import Leaderboard


def write_leaderboard(board: Leaderboard, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a leaderboard, whole or not at all: one row a model, best first.

    Args:
        board: The leaderboard.
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ConfigError: If the suffix is unknown.
        ArtifactError: If the file exists or the disk refuses; nothing is left behind.
    """
    container_of(path)
    with atomic_file(path, overwrite=overwrite) as part, TableWriter(part, path) as sink:
        sink.write(pa.table(board.columns()))
