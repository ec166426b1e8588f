"""Rankings of candidates to a file: collected as JSON lines, then written as the name of the file says."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from votecast.artifacts import atomic_file, digest_of
from votecast.data.battles import TURNS
from votecast.data.writing.predictions import JUDGE_KEY, SETTINGS_KEY, side_path
from votecast.data.writing.sinks import Sink, as_json, container_of

_ROWS = 256
_CHUNK = 1 << 20
_TEXT = pa.large_string()


def write_rankings(
    lines: Path,
    path: str | Path,
    kinds: Mapping[str, str],
    *,
    judge: Mapping[str, str],
    metadata: Mapping[str, Any],
    rows: int,
) -> None:
    """Write rankings, whole or not at all; `<path>.settings.json` names judge, settings and SHA-256.

    JSON lines hold prompts and answers as they were given. The columns of other files have one type: text, or lists of
    turns, or JSON where there are messages.

    Args:
        lines: A file of JSON lines, one object a row: id, prompt, best, index, scores, judge and perhaps top.
        path: The output, which is replaced; its suffix says what to write, as for predictions.
        kinds: What prompts and answers are: "text", "turns" or "messages", by `kind_of`.
        judge: Name and hash of the judge.
        metadata: The settings it was asked with.
        rows: Number of rows.

    Raises:
        ConfigError: If the suffix is unknown.
        ArtifactError: If the disk refuses; nothing is left behind.
    """
    texts = {JUDGE_KEY: json.dumps(dict(judge), sort_keys=True), SETTINGS_KEY: json.dumps(dict(metadata))}
    with atomic_file(side_path(path), overwrite=True) as side, atomic_file(path, overwrite=True) as part:
        container, compression = container_of(path)
        if container == "jsonl":
            _copy(lines, part, compression)
        else:
            with Sink(part, path, texts) as sink:
                for table in _tables(lines, kinds):
                    sink.write(table)
        said = {"judge": dict(judge), "rows": rows, "settings": dict(metadata), "sha256": digest_of(part)}
        side.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", "utf-8")


def kind_of(value: Any, before: str = "text") -> str:
    """What holds a value and those before it: "text", "turns" or "messages".

    Example:
        >>> kind_of("Why?"), kind_of(["Why?", None]), kind_of("Why?", before="turns")
        ('text', 'turns', 'turns')
    """
    kinds = ("text", "turns", "messages")
    own = "text" if isinstance(value, str) else "turns"
    if own == "turns" and any(isinstance(part, Mapping) for part in value):
        own = "messages"
    return max(own, before, key=kinds.index)


def _copy(lines: Path, part: Path, compression: str | None) -> None:
    with lines.open("rb") as source, pa.OSFile(os.fsencode(part), "wb") as file:
        out = pa.CompressedOutputStream(file, compression) if compression else file
        while chunk := source.read(_CHUNK):
            out.write(chunk)
        out.close()


def _tables(lines: Path, kinds: Mapping[str, str]) -> Iterator[pa.Table]:
    """The rows as tables of one schema, at least one."""
    judge = pa.struct([("name", _TEXT), ("hash", _TEXT)])
    answer = TURNS if kinds["best"] == "turns" else _TEXT
    top = pa.list_(pa.struct([("index", pa.int64()), ("answer", answer), ("score", pa.float64())]))
    types = {"id": _TEXT, "prompt": TURNS if kinds["prompt"] == "turns" else _TEXT, "best": answer}
    types |= {"index": pa.int64(), "scores": pa.list_(pa.float64()), "judge": judge}
    schema, count = pa.schema(types), 0
    with lines.open(encoding="utf-8") as file:
        while rows := [json.loads(line) for line in itertools.islice(file, _ROWS)]:
            if "top" in rows[0] and "top" not in schema.names:
                schema = schema.append(pa.field("top", top))
            count += len(rows)
            yield pa.Table.from_pylist([_fitted(row, kinds) for row in rows], schema)
    if not count:
        yield schema.empty_table()


def _fitted(row: dict[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    best = kinds["best"]
    top = [each | {"answer": _as(best, each["answer"])} for each in row.get("top", ())]
    return row | {"prompt": _as(kinds["prompt"], row["prompt"]), "best": _as(best, row["best"]), "top": top}


def _as(kind: str, value: Any) -> Any:
    if kind == "messages":
        return as_json(value)
    return [value] if kind == "turns" and isinstance(value, str) else value
