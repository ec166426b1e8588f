"""Test that a reader which loses a row is an error, not a shorter file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from votecast.data import io, read_votes
from votecast.data.io import RawBatch, open_table
from votecast.data.row_batch import RowBatch
from votecast.errors import DataError

VOTES = "".join(f'{{"prompt": "p{n}", "response_a": "x", "response_b": "y", "winner": "a"}}\n' for n in range(9))


def test_a_container_that_skips_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("id\n1\n")
    schema = pa.schema([("id", pa.string())])
    batch = RawBatch(pa.table({"id": ["1", "2"]}), np.array([1, 3]))
    monkeypatch.setattr(io, "read_csv", lambda *_: (schema, iter([batch])))
    with open_table(path) as stream, pytest.raises(DataError, match="has 3 rows, of which 2 were read and 0 rejected"):
        list(stream)


def test_a_batch_that_is_cut_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(VOTES)
    plain = RowBatch.__init__

    def lossy(self: RowBatch, batch: RawBatch, **options: Any) -> None:
        plain(self, RawBatch(batch.table[1:], batch.rows[1:]), **options)

    monkeypatch.setattr(RowBatch, "__init__", lossy)
    with pytest.raises(DataError, match="has 9 rows, of which 8 were passed on and 0 rejected"):
        read_votes(path)
