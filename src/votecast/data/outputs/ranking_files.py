"""Write files of rankings of candidates: collected as JSON lines, then encoded as the name of the file says.

`rerank` calls `write_rankings` once all rows are ranked.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from votecast.artifacts import atomic_file, settings_path
from votecast.data.battles import TURNS
from votecast.data.outputs.prediction_files import JUDGE_KEY, SETTINGS_KEY
from votecast.data.outputs.table_writer import TableWriter, as_json, container_of, write_settings

_ROWS = 256
_CHUNK = 1 << 20
_TEXT = pa.large_string()
_KINDS = ("text", "turns", "messages")


def write_rankings(
    lines: Path,
    path: str | Path,
    kinds: Mapping[str, str],
    *,
    judge: Mapping[str, str],
    metadata: Mapping[str, object],
    rows: int,
    overwrite: bool = False,
) -> None:
    """Write rankings atomically; `<path>.settings.json` names judge, settings and SHA-256.

    JSON lines hold prompts and answers as they were given. The columns of other files have one type: text, or lists of
    turns, or JSON where there are messages.

    Args:
        lines: A file of JSON lines, one object a row: id, prompt, best, index, scores, judge and perhaps top.
        path: The output; its suffix says what to write, as for predictions.
        kinds: What prompts and answers are: "text", "turns" or "messages", by `kind_of`.
        judge: Name and hash of the judge.
        metadata: The settings of the rankings.
        rows: Number of rows.
        overwrite: Whether an existing output may be replaced.
    """
    container, compression = container_of(path)
    with atomic_file(path, overwrite=overwrite) as part, atomic_file(settings_path(path), overwrite=True) as side:
        if container == "jsonl":
            with lines.open("rb") as source, pa.OSFile(os.fsencode(part), "wb") as file:
                out = pa.CompressedOutputStream(file, compression) if compression else file
                shutil.copyfileobj(source, out, _CHUNK)
                out.close()
        else:
            texts = {JUDGE_KEY: json.dumps(dict(judge), sort_keys=True), SETTINGS_KEY: json.dumps(dict(metadata))}
            with TableWriter(part, path, texts) as writer:
                for table in _tables(lines, kinds):
                    writer.write(table)
        write_settings(side, {"judge": dict(judge), "rows": rows, "settings": dict(metadata)}, part)


def kind_of(value: object, before: str = "text") -> str:
    """Return the kind that holds a value and those before it: "text", "turns" or "messages"."""
    own = "text" if isinstance(value, str) else "turns"
    if isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        own = "messages"
    return max(own, before, key=_KINDS.index)


def _tables(lines: Path, kinds: Mapping[str, str]) -> Iterator[pa.Table]:
    """Yield the rows as tables of one schema, at least one."""
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
            for row in rows:
                row["prompt"], row["best"] = _as(kinds["prompt"], row["prompt"]), _as(kinds["best"], row["best"])
                row["top"] = [each | {"answer": _as(kinds["best"], each["answer"])} for each in row.get("top", ())]
            yield pa.Table.from_pylist(rows, schema)
    if not count:
        yield schema.empty_table()


def _as(kind: str, value: object) -> object:
    if kind == "messages":
        return as_json(value)
    return [value] if kind == "turns" and isinstance(value, str) else value
