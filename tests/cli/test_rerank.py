"""Test votecast rerank."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import votecast as vc

ROWS = [
    {"id": "a", "prompt": "When does water boil?", "candidates": ["no", "At 100 °C at sea level, earlier higher up."]},
    {"id": "b", "prompt": ["Hello", "And now?"], "candidates": ["Now we begin.", "x", "Now we begin."]},
    {"id": "c", "prompt": "One answer", "candidates": ["this"]},
]


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "answers.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    return path


def test_the_best_of_each_row_with_its_scores(votecast: Callable, answers: Path) -> None:
    ran = votecast("rerank", "--judge", "bundled:baseline", "--input", answers, "--out", "best.jsonl", "--json", "-")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert (summary["rows"], summary["candidates"], summary["pairs"]) == (3, 6, 2)
    assert "read" in ran.err
    lines = [json.loads(line) for line in Path("best.jsonl").read_text().splitlines()]
    found = vc.rerank(vc.load_judge("bundled:baseline"), ROWS)
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert [line["index"] for line in lines] == [ranking.index for ranking in found]
    assert [tuple(line["scores"]) for line in lines] == [ranking.scores for ranking in found]
    assert lines[0]["best"] == ROWS[0]["candidates"][1]
    assert lines[1]["scores"][0] == lines[1]["scores"][2] > lines[1]["scores"][1]
    assert "top" not in lines[0]
    assert lines[0]["judge"] == summary["judge"]


def test_the_screen_counts_and_cites(votecast: Callable, answers: Path) -> None:
    ran = votecast("rerank", "--judge", "bundled:baseline", "--input", answers, "--out", "best.parquet", "--all")
    assert ran.code == 0, ran.err
    assert "3 prompts, 6 candidates, 2 pairs" in ran.out
    assert "baseline (" in ran.out
    again = votecast("rerank", "--judge", "bundled:baseline", "--input", answers, "--out", "best.parquet")
    assert again.code == 1
    assert "already exists" in again.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--top", 0), 2, "--top"),
        (("--top", 2, "--all"), 2, "--top 2 and --all are both given; give one of them"),
        (("--out", "best.txt"), 2, "does not say what to write"),
        (("--precision", "bf16"), 2, "has no settings of inference"),
    ],
)
def test_wrong_use_is_one_clear_error(
    votecast: Callable, answers: Path, words: tuple[object, ...], code: int, message: str
) -> None:
    out = () if "--out" in words else ("--out", "best.jsonl")
    ran = votecast("rerank", "--judge", "bundled:baseline", "--input", answers, *out, *words)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert [path.name for path in Path.cwd().iterdir()] == [answers.name]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "d", "prompt": "p", "candidates": []}, "the list of candidates is empty; give at least one answer"),
        ({"id": "d", "prompt": "p", "candidates": None}, "every row needs candidates"),
        ({"id": "d", "prompt": "p", "candidates": ["x", None]}, "candidate 2 is null"),
        ({"id": "d", "prompt": "p", "candidates": ["x", []]}, "candidate 2 has no answer"),
        ({"id": "a", "prompt": "p", "candidates": ["x"]}, "the id was used before, in row 1"),
    ],
)
def test_bad_rows_stop_with_their_place_or_are_set_aside(
    votecast: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").write_text("".join(json.dumps(each) + "\n" for each in [*ROWS, row]))
    words = ["rerank", "--judge", "bundled:baseline", "--input", "answers.jsonl", "--out", "best.jsonl"]
    ran = votecast(*words)
    assert ran.code == 1
    assert "answers.jsonl, row 4, column" in ran.err
    assert message in ran.err
    assert not Path("best.jsonl").exists()
    ran = votecast(*words, "--bad-rows", "quarantine")
    assert ran.code == 0, ran.err
    assert "quarantined 1 invalid rows in answers.jsonl.quarantine.jsonl" in ran.err
    assert message in json.loads(Path("answers.jsonl.quarantine.jsonl").read_text())["reason"]
    assert len(Path("best.jsonl").read_text().splitlines()) == 3


def test_a_reward_model_ranks_without_votes_and_reports_it(votecast: Callable, answers: Path) -> None:
    words = ["--judge", "recipe:internlm2_reward", "--small", "--model.text.max_length", "256"]
    ran = votecast("rerank", *words, "--input", answers, "--out", "best.jsonl")
    assert ran.code == 0, ran.err
    assert "link not fitted" in ran.err
    lines = [json.loads(line) for line in Path("best.jsonl").read_text().splitlines()]
    assert [sum(line["scores"]) for line in lines] == pytest.approx([1, 1.5, 0.5])
    ran = votecast("rerank", "--judge", "bundled:baseline", "--small", "--input", answers, "--out", "other.jsonl")
    assert ran.code == 2
    assert "small is for a recipe" in ran.err
