"""JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from votecast.data.containers.records import Blocks
from votecast.data.containers.sources import Source
from votecast.data.containers.stream import BadRow, RawBatch, Rejects


class JsonLinesReader:
    """Objects, one a line."""

    def __init__(self, source: Source, rejects: Rejects, columns: Sequence[str] | None = None) -> None:
        self._rejects = rejects
        self._columns = columns
        self._blocks = Blocks(source)
        self._waiting = self._read()
        self._first = next(self._waiting, None)
        self.schema = self._first.table.schema if self._first else pa.schema([])

    def batches(self) -> Iterator[RawBatch]:
        """The rows, about 8 MB at a time."""
        if self._first is not None:
            yield self._first
            yield from self._waiting

    def _read(self) -> Iterator[RawBatch]:
        number = 0
        for block in self._blocks:
            values, rows = [], []
            for line in bytes(block).split(b"\n"):
                if not line.strip():
                    continue
                number += 1
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    self._rejects(BadRow(number, None, line.decode("utf-8", "replace"), f"the line is not JSON ({error})"))
                    continue
                values.append(value)
                rows.append(number)
            if values:
                yield RawBatch(pa.Table.from_pylist(values), np.array(rows, dtype=np.int64))
