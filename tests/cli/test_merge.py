"""Test votecast merge, and votecast import of adapters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.judges.decoder_checkpoints import adapter, base

SHORT = ("--max-length", 64, "--labels", "a,b,tie")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("decoders")
    return adapter(place / "checkpoint-5200", base(place / "base"))


def test_an_adapter_is_imported_merged_and_predicts(
    votecast: Callable, arena: Path, tuned: Path, tmp_path: Path
) -> None:
    old, merged = tmp_path / "old", tmp_path / "merged"
    ran = votecast("import", "--family", "decoder", tuned, "--out", old, *SHORT)
    assert ran.code == 0, ran.err
    assert "checkpoint-5200, outputs a, b, tie" in ran.out
    text = json.loads((old / "config.json").read_text())["recipe"]["model"]["text"]
    assert (text["template"], text["cut"], text["whole"], text["max_length"]) == ("tags", "right", True, 64)
    ran = votecast("merge", "--judge", old, "--out", merged)
    assert ran.code == 0, ran.err
    assert "largest difference" in ran.out
    assert not list(merged.rglob("delta.safetensors"))
    for judge in (old, merged):
        words = ("--judge", judge, "--input", arena / "test.csv", "--out", tmp_path / f"{judge.name}.csv")
        assert votecast("predict", *words, "--limit", 12).code == 0


def test_the_difference_is_in_the_json(votecast: Callable, tuned: Path, tmp_path: Path) -> None:
    assert votecast("import", "--family", "decoder", tuned, "--out", tmp_path / "old", *SHORT).code == 0
    ran = votecast("merge", "--judge", tmp_path / "old", "--out", tmp_path / "merged", "--json", "-")
    found = json.loads(ran.out)
    assert found["merged"]["weights"] == "fp32"
    assert 0 <= found["merged"]["largest_difference"] <= 1e-5


def test_invalid_use_writes_nothing(votecast: Callable, arena: Path, tuned: Path, tmp_path: Path) -> None:
    ran = votecast("merge", "--judge", arena / "judge", "--out", tmp_path / "merged")
    assert ran.code == 1
    assert "no adapters to merge" in ran.err
    ran = votecast("merge", "--judge", arena / "judge", "--out", arena / "judge" / "merged")
    assert ran.code == 1
    assert "would change" in ran.err
    ran = votecast("import", "--family", "decoder", tuned, "--out", tmp_path / "old", "--base", tmp_path / "gone")
    assert ran.code == 1
    assert "pass --base" in ran.err
    ran = votecast("import", "--family", "decoder", tuned, "--out", tmp_path / "old")
    assert ran.code == 2
    assert "pass --labels" in ran.err
    assert not list(tmp_path.iterdir())
