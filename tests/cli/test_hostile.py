"""Test hostile files on the command line: one error, no output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.conftest import Ran
from tests.data.hostile import ARROW, CSV, FILES, HUGE, JSONL, PARQUET, Hostile

from votecast import TrainedJudge, load_judge, read_votes
from votecast.data.outputs import read_predictions

FAR_AWAY = {"suppress_health_check": [HealthCheck.function_scoped_fixture]}
CONTENT = {".csv": CSV, ".jsonl": JSONL, ".parquet": PARQUET, ".arrow": ARROW}


@pytest.fixture(scope="module")
def judge() -> TrainedJudge:
    return load_judge("bundled:baseline")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: TrainedJudge) -> None:
    """Run in an empty folder, raise internal errors, load the judge once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOTECAST_DEBUG", "1")
    monkeypatch.setattr(TrainedJudge, "from_pretrained", lambda folder: judge)


def refused(ran: Ran, path: Path) -> None:
    """Assert one error that names the file, and no output."""
    assert (ran.code, ran.out) == (1, ""), ran.err
    assert ran.err.startswith("error: ")
    assert str(path) in ran.err
    assert "Traceback" not in ran.err
    assert [found.name for found in Path.cwd().iterdir()] == [path.name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_verb_writes_anything_from_a_hostile_file(votecast: Callable, tmp_path: Path, file: Hostile) -> None:
    path = tmp_path / file.name
    path.write_bytes(file.content)
    refused(votecast("convert", path, "out.parquet"), path)
    refused(votecast("inspect", path, "--json", "found.json"), path)
    refused(votecast("report", "--input", path, "--out", "votes.html"), path)
    ran = votecast("predict", "--input", path, "--out", "out.csv")
    if ran.code:
        refused(ran, path)
    else:  # only a vote is invalid, which predict ignores
        assert file.seen_by == "votes"
        assert len(read_predictions("out.csv")[0]) == len(read_votes(path, labels="ignored"))


@pytest.mark.parametrize("file", [f for f in FILES if f.seen_by == "votes"], ids=lambda file: file.name)
def test_a_hostile_file_is_neither_trained_nor_evaluated_on(votecast: Callable, tmp_path: Path, file: Hostile) -> None:
    path = tmp_path / file.name
    path.write_bytes(file.content)
    refused(votecast("train", "baseline", "--train", path, "--out", "judge", "--json", "figures.json"), path)
    refused(votecast("evaluate", "--input", path, "--json", "figures.json"), path)


def assert_all_rows_or_error(votecast: Callable, path: Path, *, message: str = "") -> None:
    """Assert that convert and predict give every row or one error."""
    converted, prediction = Path("out.parquet"), Path("out.csv")
    for left in Path.cwd().iterdir():
        if left != path:
            left.unlink()
    ran = votecast("predict", "--input", path, "--out", prediction)
    if ran.code:
        refused(ran, path)
        assert message in ran.err
    else:
        assert len(read_predictions(prediction)[0]) == len(read_votes(path, labels="ignored"))
        prediction.unlink()
        Path(f"{prediction}.settings.json").unlink()
    ran = votecast("convert", path, converted)
    if ran.code:
        refused(ran, path)
        assert message in ran.err
    else:
        assert len(read_votes(converted)) == len(read_votes(path))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """Generate valid files with one to three random edits."""
    suffix = draw(st.sampled_from(sorted(CONTENT)))
    content = CONTENT[suffix]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        to = min(len(content), at + draw(st.integers(0, 40)))
        part = draw(
            st.sampled_from([b"", b'"', b"\0", b"\n", b",", b"\xff", b"[" * 5000, b"null", b"1e999", HUGE.encode()])
            | st.binary(max_size=20)
            | st.just(content[at:to] * 2)
        )
        content = content[:at] + part + content[to:]
    return suffix, content


@settings(max_examples=25, **FAR_AWAY)
@given(file=damaged())
def test_a_file_damaged_anywhere_is_read_whole_or_refused(
    votecast: Callable, tmp_path: Path, file: tuple[str, bytes]
) -> None:
    suffix, content = file
    path = tmp_path / f"votes{suffix}"
    path.write_bytes(content)
    assert_all_rows_or_error(votecast, path)
    path.unlink()


ODD = st.sampled_from(
    [None, "", "null", "[]", "[1]", '["x"]', '["x", 2]', "NaN", "a", "both", "1", "0", "\0", "\ud800", "[" * 2000]
) | st.sampled_from([-1, 7, 1e308, 10**30, True, [], ["x"], [None], ["x", 3], [[[]]], [1 / 3] * 3, [1, 1, 1], {"a": 1}])
FIELDS = ("id", "prompt", "response_a", "response_b", "winner", "probabilities", "weight", "language", "source")
GOOD: dict[str, Any] = {"prompt": ["Why?"], "response_a": ["Because."], "response_b": ["No."], "winner": "a"}


@settings(max_examples=25, **FAR_AWAY)
@given(rows=st.lists(st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=2), min_size=1, max_size=6))
def test_rows_of_any_values_are_read_or_named(votecast: Callable, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(GOOD | row) + "\n" for row in [{}, *rows]))
    assert_all_rows_or_error(votecast, path, message="row ")


CELLS = ("id", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie")
CELL = st.sampled_from(["", "null", "[]", '["x"]', "x", "[1]", '["\\ud800"]', "NaN", "1", "0", "2", "1.0", "-1", "\0"])


@settings(max_examples=25, **FAR_AWAY)
@given(rows=st.lists(st.dictionaries(st.sampled_from(CELLS), CELL | st.text(max_size=5), max_size=2), max_size=6))
def test_cells_of_any_text_are_read_or_named(votecast: Callable, tmp_path: Path, rows: list[dict[str, str]]) -> None:
    good = dict.fromkeys(CELLS[1:4], '["x"]') | {"winner_model_a": "1", "winner_model_b": "0", "winner_tie": "0"}
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CELLS)
    writer.writerows([(good | {"id": str(n)} | row)[name] for name in CELLS] for n, row in enumerate(rows))
    path = tmp_path / "votes.csv"
    path.write_bytes(out.getvalue().encode("utf-8", "surrogatepass"))
    assert_all_rows_or_error(votecast, path, message="row ")
