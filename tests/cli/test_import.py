"""Test votecast import, and other verbs on an imported judge."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.judges.checkpoints import checkpoint

SHORT = ("--max-length", 64)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("folds")
    return [checkpoint(place / f"fold_{n}" / "best_model", seed=n) for n in range(2)]


@pytest.fixture(autouse=True)
def _errors_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOTECAST_DEBUG", "1")


def test_checkpoints_become_a_judge_that_predicts_submits_and_is_measured(
    votecast: Callable, arena: Path, folds: list[Path], tmp_path: Path
) -> None:
    judge, out = tmp_path / "old", tmp_path / "submission.csv"
    ran = votecast("import", "--family", "cross_encoder", *folds, "--out", judge, "--raw-cell", *SHORT)
    assert ran.code == 0, ran.err
    assert "not calibrated" in ran.err
    assert "leaks cannot be checked" in ran.err
    assert "fold_1/best_model, outputs a, b, tie" in ran.out
    recipe = json.loads((judge / "config.json").read_text())["recipe"]
    text = recipe["model"]["text"]
    assert (text["template"], text["cut"], text["max_length"], text["raw_cell"]) == ("segments", "shares", 64, True)
    assert recipe["model"]["orders"] == "both"
    words = ("--judge", judge, "--input", arena / "test.csv", "--out", out, "--format", "lmsys")
    assert votecast("predict", *words).code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert list(rows[0]) == ["id", "winner_model_a", "winner_model_b", "winner_tie"]
    assert all(abs(sum(float(row[name]) for name in list(row)[1:]) - 1) < 1e-6 for row in rows)
    ran = votecast("evaluate", "--judge", judge, "--input", arena / "train.csv", "--limit", 40, "--draws", 0)
    assert ran.code == 0, ran.err
    assert "leaks are not checked" in ran.out
    ran = votecast("compare", "--judge", judge, "--prompt", "p", "--a", "yes", "--b", "no", "--json", "-")
    assert sum(json.loads(ran.out)["probabilities"].values()) == pytest.approx(1)


def test_votes_calibrate_and_any_setting_can_be_named(
    votecast: Callable, arena: Path, folds: list[Path], tmp_path: Path
) -> None:
    votes = ("--votes", arena / "train.csv", "--limit", 60, "--calibration.method", "vector")
    ran = votecast(
        "import", folds[0], "--out", tmp_path / "j", *SHORT, *votes, "--model.text.prompt-share", 0.4, "--json", "-"
    )
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["metrics"]["log_loss"]["value"] > 0
    assert found["imported"]["votes"] == 60
    assert "wrong if the models were trained on them" in ran.err
    config = json.loads((tmp_path / "j" / "config.json").read_text())
    assert config["calibration"]["method"] == "vector"
    assert config["recipe"]["model"]["text"]["prompt_share"] == 0.4
    assert config["notes"]["reading"]["path"] == "train.csv"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--labels", "a,tie"], 2, "labels is 'a,tie'; allowed are a, b and tie, each once"),
        (["--family", "siamese"], 2, "family is 'siamese'; allowed are cross_encoder and decoder"),
        (["--template", "essay"], 2, "--template"),
        (["--template", "chat"], 2, "template chat holds one answer a sequence"),
        (["--max-length", "4"], 2, "--max-length"),
        (["--calibration.method", "isotonic"], 2, "no votes to fit it on"),
        (["--votes", "absent.csv"], 1, "absent.csv"),
    ],
)
def test_wrong_use_is_one_clear_error_and_writes_nothing(
    votecast: Callable, folds: list[Path], tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    ran = votecast("import", folds[0], "--out", tmp_path / "judge", *words)
    assert ran.code == code, ran.err
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_not_overwritten(votecast: Callable, folds: list[Path], tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in folds[0].parent.rglob("*"))
    (tmp_path / "judge").mkdir()
    ran = votecast("import", folds[0], "--out", tmp_path / "judge")
    assert ran.code == 1
    assert "already exists" in ran.err
    for out in (folds[0], folds[0].parent, folds[0] / "judge", folds[1]):
        ran = votecast("import", folds[0], "--out", out, "--overwrite")
        assert ran.code == 1
        assert "is a folder that is not a judge" in ran.err or "would change the checkpoint" in ran.err
        assert "name another output" in ran.err
    assert sorted((path, path.stat().st_mtime_ns) for path in folds[0].parent.rglob("*")) == before


def test_an_absent_checkpoint_fails_with_code_1(votecast: Callable, tmp_path: Path) -> None:
    ran = votecast("import", tmp_path / "absent", "--out", tmp_path / "judge")
    assert ran.code == 1
    assert "is not a folder; give folders with config.json" in ran.err
    assert votecast("import", "--out", tmp_path / "judge").code == 2
