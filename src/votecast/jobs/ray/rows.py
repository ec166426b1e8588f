"""What travels between readers, actors and driver: Arrow tables of one row, so that Ray cannot cut a part in two."""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

from votecast import errors
from votecast.data.battles import Battles
from votecast.errors import JudgeError, VotecastError
from votecast.jobs.parts.job import InputRead, PartMade, Rows, Told

_SCHEMA: Final = pa.schema([("kind", pa.string()), ("said", pa.large_string()), ("rows", pa.large_binary())])
_ROWS, _PART, _INPUT, _FAULT = "rows", "part", "input", "fault"


def pack_rows(rows: Rows) -> pa.Table:
    """The rows of one part, with their numbers."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.battles.table.schema) as stream:
        stream.write_table(rows.battles.table)
    said = {"input": rows.input, "part": rows.part, "first": rows.first, "digest": rows.digest}
    return _table(_ROWS, said, out.getvalue())


def pack_told(told: Told) -> pa.Table:
    """What is finished."""
    return _table(_PART if isinstance(told, PartMade) else _INPUT, told.record)


def pack_fault(error: Exception) -> pa.Table:
    """An error, which is told rather than raised: Ray would wrap it, log it and perhaps try again."""
    kind = type(error).__name__ if isinstance(error, VotecastError) else JudgeError.__name__
    text = str(error) if isinstance(error, VotecastError) else f"{type(error).__name__}: {error}"
    return _table(_FAULT, {"kind": kind, "text": text})


def unpack_rows(table: pa.Table) -> Rows | None:
    """The rows of a part; None where the table tells something else."""
    if table.column("kind")[0].as_py() != _ROWS:
        return None
    battles = Battles(pa.ipc.open_stream(table.column("rows")[0].as_buffer()).read_all())
    return Rows(**_said(table), battles=battles)


def unpack_told(table: pa.Table) -> Told:
    """What is finished.

    Raises:
        VotecastError: If it is an error that is told; it is raised here as what it was there.
    """
    kind, said = table.column("kind")[0].as_py(), _said(table)
    if kind == _FAULT:
        known = getattr(errors, said["kind"], JudgeError)
        raise known(said["text"]) if known.__init__ is Exception.__init__ else JudgeError(said["text"])
    return PartMade(said) if kind == _PART else InputRead(said)


def _said(table: pa.Table) -> dict[str, Any]:
    return dict(json.loads(table.column("said")[0].as_py()))


def _table(kind: str, said: dict[str, Any], rows: pa.Buffer | None = None) -> pa.Table:
    held = rows if rows is not None else pa.py_buffer(b"")
    ends = pa.array([0, held.size], pa.int64()).buffers()[1]
    binary = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, held])  # without a copy
    return pa.table([pa.array([kind]), pa.array([json.dumps(said)], pa.large_string()), binary], schema=_SCHEMA)
