"""Test full disks: every writing verb gives one error, no output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.disk import room_for

from votecast import load_judge
from votecast.data.groups import detect_languages
from votecast.errors import ArtifactError

ROOM = 20_000


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    """Return a folder with 300 incompressible votes and 300 bad ones."""
    detect_languages(["The model of languages is unpacked to a file once."])
    texts = [" ".join(format(n * 7919**k % 2**61, "x") for k in range(1, 9)) for n in range(600)]
    rows = [{"prompt": f"{t}?", "response_a": t, "response_b": t[::-1], "winner": "a"} for t in texts]
    bad = [row | {"winner": "who knows"} if n % 2 else row for n, row in enumerate(rows)]
    for name, chosen in (("good.jsonl", rows[:300]), ("bad.jsonl", bad)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in chosen))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ("convert good.jsonl out.csv", ROOM),
        ("convert good.jsonl out.parquet", ROOM),
        ("convert good.jsonl out.arrow", ROOM),
        ("convert good.jsonl out.jsonl.gz", ROOM),
        ("convert bad.jsonl out.parquet --limit 5 --bad-rows quarantine", ROOM),
        ("inspect bad.jsonl --bad-rows quarantine", ROOM),
        ("predict --input good.jsonl --out out.csv", 5000),
        ("predict --input good.jsonl --out out.parquet", 5000),
        ("predict --input good.jsonl --out out.jsonl.zst", 5000),
        ("simulate --rows 200 --out out.csv", ROOM),
        ("report --input good.jsonl --out out.html", ROOM),
        ("recipes --json out.json", 100),
    ],
)
def test_no_verb_leaves_half_a_file(
    votecast: Callable, votes: Path, monkeypatch: pytest.MonkeyPatch, words: str, room: int
) -> None:
    monkeypatch.chdir(votes)
    monkeypatch.setenv("VOTECAST_DEBUG", "1")
    before = {path.name: path.read_bytes() for path in votes.iterdir()}
    with room_for(room):
        ran = votecast(*words.split())
    assert (ran.code, ran.out) == (1, "")
    assert "could not be written" in ran.err
    assert "nothing was left behind" in ran.err
    assert {path.name: path.read_bytes() for path in votes.iterdir()} == before


def test_a_judge_folder_is_whole_or_absent_whichever_file_finds_no_room(arena: Path, tmp_path: Path) -> None:
    judge = load_judge(arena / "judge")
    sizes = {path.name: path.stat().st_size for path in (arena / "judge").rglob("*") if path.is_file()}
    for size in sizes.values():
        with room_for(size - 1), pytest.raises(ArtifactError, match=r"could not be written.*nothing was left behind"):
            judge.save_pretrained(tmp_path / "judge")
        assert list(tmp_path.iterdir()) == []
    with room_for(max(sizes.values())):
        judge.save_pretrained(tmp_path / "judge")
    assert load_judge(tmp_path / "judge").hash == judge.hash
