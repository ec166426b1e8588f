"""Test bad rows: an error with the place, or the side file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from votecast.data import VoteReader, reader
from votecast.data.cells import mend
from votecast.data.io import RawBatch, open_table
from votecast.errors import ArtifactError, DataError

HEADER = ["id", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie"]
GOOD = ["1", '["p"]', '["a"]', '["b"]', "1", "0", "0"]


def write_csv(path: Path, rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def changed(**cells: str) -> list[str]:
    return [cells.get(name, value) for name, value in zip(HEADER, GOOD, strict=True)]


BAD = [
    (changed(prompt="no list"), "prompt", "not JSON", "no list"),
    (changed(prompt=""), "prompt", "the cell is empty", ""),
    (changed(response_b="[1]"), "response_b", "turn 1 is a number; allowed is a JSON list of strings and nulls", "[1]"),
    (changed(id=""), "id", "the cell is empty", ""),
    (changed(winner_tie="nan"), "winner_tie", "the label is unknown; allowed are 0 and 1", "nan"),
    (changed(winner_tie=""), "winner_tie", "the cell is empty", ""),
    (changed(winner_model_a="2"), "winner_model_a", "the label is unknown", "2"),
    (changed(winner_model_a="0"), "winner_model_a, winner_model_b, winner_tie", "no winner is named", "0"),
    (changed(winner_tie="1"), "winner_model_a, winner_model_b, winner_tie", "2 winners are named", "1"),
    (
        changed(winner_tie="1", winner_model_b="1"),
        "winner_model_a, winner_model_b, winner_tie",
        "3 winners are named",
        "1",
    ),
]


@pytest.mark.parametrize(("row", "column", "reason", "value"), BAD)
def test_a_bad_row_is_an_error_that_names_the_place(
    tmp_path: Path, row: list[str], column: str, reason: str, value: str
) -> None:
    path = write_csv(
        tmp_path / "votes.csv", [changed(id="0"), changed(id="2"), row, ["9", "also", "bad", "", "", "", ""]]
    )
    with pytest.raises(DataError) as error:
        list(VoteReader(path))
    message = str(error.value)
    assert message.startswith(f"{path}, row 3, column {column!r}: ")
    assert reason in message
    assert value in message
    assert "--bad-rows quarantine" in message


def test_long_values_are_shortened(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        list(VoteReader(write_csv(tmp_path / "votes.csv", [changed(prompt='["' + "x" * 10_000)]), text="json"))
    assert len(str(error.value)) < 600


def test_an_id_that_occurs_twice_is_bad(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "votes.csv", [changed(id="x"), changed(id="y"), changed(id="x")])
    with pytest.raises(DataError, match=r"row 3, column 'id': the id was used before, in row 1"):
        list(VoteReader(path))


def test_quarantine_writes_bad_rows_to_a_side_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        row
        for i, (row, *_) in enumerate(BAD)
        for row in (changed(id=f"g{i}"), row if not row[0] else [f"b{i}", *row[1:]])
    ]
    reader = VoteReader(write_csv(tmp_path / "votes.csv", rows), bad_rows="quarantine")
    battles = [battle for part in reader for battle in part]
    assert [battle.id for battle in battles] == [f"g{i}" for i in range(len(BAD))]
    assert (reader.report.rows, reader.report.quarantined) == (len(BAD), len(BAD))
    assert reader.report.quarantine == "votes.csv.quarantine.jsonl"
    lines = [json.loads(line) for line in Path("votes.csv.quarantine.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(2, 2 * len(BAD) + 1, 2))
    for line, (row, column, reason, _) in zip(lines, BAD, strict=True):
        assert line["column"] == column
        assert reason in line["reason"]
        assert line["cells"]["prompt"] == row[1]


def test_the_side_file_is_written_only_when_needed_and_only_whole(tmp_path: Path) -> None:
    side = tmp_path / "aside.jsonl"
    options: dict[str, Any] = {"bad_rows": "quarantine", "quarantine": side}
    good = write_csv(tmp_path / "good.csv", [GOOD])
    list(VoteReader(good, **options))
    assert not side.exists()
    bad = write_csv(tmp_path / "bad.csv", [changed(prompt=""), GOOD])
    parts = iter(VoteReader(bad, **options))
    next(parts)
    parts.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "good.csv"]
    list(VoteReader(bad, **options))
    assert len(side.read_text().splitlines()) == 1
    with pytest.raises(ArtifactError, match="already exists"):
        list(VoteReader(bad, **options))
    list(VoteReader(bad, **options, overwrite=True))
    assert len(side.read_text().splitlines()) == 1


def test_rows_the_container_cannot_read_are_set_aside_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    row = {"prompt": ["p"], "response_a": ["a"], "response_b": ["b"], "winner": "a"}
    lines = [row, "{broken", row | {"winner": "c"}, row | {"prompt": [1]}, row, "[]"]
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    reader = VoteReader(path, bad_rows="quarantine", quarantine=tmp_path / "aside.jsonl")
    assert sum(map(len, reader)) == 2
    side_file = [json.loads(line) for line in (tmp_path / "aside.jsonl").read_text().splitlines()]
    assert [line["row"] for line in side_file] == [2, 3, 4, 6]
    with pytest.raises(DataError, match="row 2"):
        list(VoteReader(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"winner": "model_c"}, "column 'winner': the label is unknown; allowed are a, model_a, b"),
        ({"probabilities": [0.5, 0.5]}, "the soft label is a list of 2; allowed are three numbers"),
        ({"probabilities": [0.5, 0.5, 0.5]}, "sum to 1.5"),
        ({"probabilities": [-0.5, 0.5, 1.0]}, "leave the range"),
        ({"probabilities": {"a": 1.0}}, "probabilities"),
        ({"probabilities": "even"}, "not JSON"),
        ({"probabilities": [None, 0.5, 0.5]}, "null is among"),
        ({"weight": -1.0}, "column 'weight': the weight is not a number"),
        ({"weight": "much"}, "column 'weight': the weight is not a number"),
        ({"prompt": None}, "column 'prompt': the value is missing"),
        ({"prompt": 5}, "column 'prompt': the value is a number; allowed is text or a list"),
        ({"prompt": ["x", 5]}, "column 'prompt': turn 2 is a number"),
        ({"prompt": {"text": "x"}}, "column 'prompt': the value is an object"),
    ],
)
def test_bad_values_in_json_lines(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = {"id": "x", "prompt": ["p"], "response_a": ["a"], "response_b": ["b"], "winner": "a"}
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"id": "y"} | change) + "\n")
    with pytest.raises(DataError, match="row 2") as error:
        list(VoteReader(path))
    assert message in str(error.value)


def in_batches(size: int) -> Any:
    """Return `open_table` limited to batches of this many rows."""

    class Batches:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.stream = open_table(*args, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

        def __enter__(self) -> Batches:
            return self

        def __exit__(self, *error: object) -> None:
            self.stream.__exit__(*error)

        def __iter__(self) -> Iterator[RawBatch]:
            for batch in self.stream:
                for at in range(0, len(batch.rows), size):
                    rows = batch.rows[at : at + size]
                    kept = {kind: [r for r in found if r in set(rows)] for kind, found in batch.repairs.items()}
                    yield RawBatch(batch.table.slice(at, size), rows, kept, batch.encoded)

    return Batches


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_results_do_not_depend_on_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    random = np.random.default_rng(0)
    rows = [changed(id=str(i), prompt=json.dumps([f"p{i}"])) for i in range(200)]
    for i in random.choice(200, 40, replace=False):
        rows[i] = [str(i), *BAD[int(i) % len(BAD)][0][1:]]
    rows[150][0] = rows[3][0] = "same"
    rows[10][1] = r'["\ud800"]'
    path = write_csv(tmp_path / "votes.csv", rows)

    def read() -> tuple[list[str], dict[str, Any], str]:
        side = tmp_path / "aside.jsonl"
        reader = VoteReader(path, bad_rows="quarantine", quarantine=side, sample=0.5, limit=60, overwrite=True)
        return (
            [name for part in reader for name in part.ids],
            reader.report.to_dict() | {"quarantined": 0},
            side.read_text()[:2000],
        )

    expected = read()
    monkeypatch.setattr(reader, "open_table", in_batches(size))
    assert read() == expected


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=20) | st.sampled_from(
    ["null", '","', "\r\n", '"""', "[", "\\"]
)
TURNS = st.lists(st.none() | TEXTS, max_size=3)


@given(rows=st.lists(st.tuples(TURNS, TURNS, TURNS, st.booleans()), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_written_by_python_is_read(tmp_path: Path, rows: list[tuple[Any, Any, Any, bool]]) -> None:
    path = write_csv(
        tmp_path / "votes.csv",
        [
            [i, *(json.dumps(turns, ensure_ascii=escape or _has_lone(turns)) for turns in texts), 0, 0, 1]
            for i, (*texts, escape) in enumerate(rows)
        ],
    )
    battles = [battle for part in VoteReader(path) for battle in part]
    for battle, (prompt, a, b, _) in zip(battles, rows, strict=True):
        for found, written in ((battle.prompt, prompt), (battle.response_a, a), (battle.response_b, b)):
            joined = json.loads(json.dumps(written))
            assert list(found) == [turn and mend(turn, set()) for turn in joined]


def _has_lone(turns: list[str | None]) -> bool:
    return any(turn is not None and mend(turn, set()) != turn for turn in turns)


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=20)


@given(rows=st.lists(st.tuples(PLAIN, PLAIN, PLAIN), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_text_is_read_back_as_it_was(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    path = write_csv(tmp_path / "votes.csv", [[i, *texts, 0, 1, 0] for i, texts in enumerate(rows)])
    battles = [battle for part in VoteReader(path, text="plain") for battle in part]
    assert [(b.prompt[0], b.response_a[0], b.response_b[0]) for b in battles] == rows
