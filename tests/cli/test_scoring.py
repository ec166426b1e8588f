"""Test votecast score and predict with reward models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.judges.rewards import reward_folder

from votecast.data.outputs.score_files import read_scores
from votecast.judges.load import load_judge
from votecast.models.reward.reward_model import RewardModel

LENGTH = ("--model.text.max_length", "96")


def write(path: Path, answers: list[tuple[str, str]]) -> Path:
    rows = ({"id": f"r{n}", "prompt": "p", "response_a": a, "response_b": b} for n, (a, b) in enumerate(answers))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a reward model that fails on one letter."""
    return reward_folder(tmp_path / "model", fails_on_letter=True)


def test_scores_record_their_source_and_use_the_cache(
    votecast: Callable, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [("a", "b"), ("a", "c")])
    words = ["score", "--model", model, "--input", pairs, *LENGTH, "--cache", tmp_path / "rewards.cache"]
    ran = votecast(*words, "--out", tmp_path / "s.parquet", "--json", "-")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["made_by"]["template"] == "chat"
    scores = read_scores(tmp_path / "s.parquet")
    assert scores.ids == ["r0", "r1"] and scores.a[0] == scores.a[1] and scores.b[0] != scores.b[1]
    about = scores.described
    assert about["model"] == str(model) and len(about["sha256"]) == 64 and about["cut"] == "drop_turns"
    monkeypatch.setattr("votecast.models.reward.reward_model.RewardModel._encode", None)
    ran = votecast(*words, "--out", tmp_path / "s.csv")
    assert ran.code == 0, ran.err
    assert read_scores(tmp_path / "s.csv").gap.tolist() == scores.gap.tolist()


def test_rows_that_cannot_be_scored_are_reported_and_skipped(votecast: Callable, model: Path, tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [("a", "b"), ("a", "Z"), ("c", "b")])
    out = tmp_path / "s.csv"
    ran = votecast("score", "--model", model, "--input", pairs, "--out", out, *LENGTH)
    assert ran.code == 0 and "1 rows could not be scored and are left out" in ran.err
    assert read_scores(out).ids == ["r0", "r2"]
    (reported,) = map(json.loads, Path(f"{out}.unscored.jsonl").read_text().splitlines())
    assert (reported["id"], reported["row"]) == ("r1", 2) and "answer b: its reward is nan" in reported["reason"]
    ran = votecast("score", "--model", model, "--input", pairs, "--out", out, *LENGTH, "--resume")
    assert ran.code == 0 and "3 rows were scored by an earlier run" in ran.err
    none = write(tmp_path / "none.jsonl", [("Z", "b")])
    ran = votecast("score", "--model", model, "--input", none, "--out", tmp_path / "n.csv", *LENGTH)
    assert ran.code == 1 and "none of the 1 rows" in ran.err and not (tmp_path / "n.csv").exists()


def test_a_link_joins_scores_by_content_and_in_the_order_of_the_answers(
    votecast: Callable, model: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Question {n}?", "chosen": "so " * (n % 5 + 3), "rejected": f"no {n % 9}"} for n in range(60)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = tmp_path / "s.csv"
    ran = votecast("score", "--model", model, "--input", pairs, "--out", scores, *LENGTH)
    assert ran.code == 0 and len(read_scores(scores).content or []) == 60, ran.err
    words = ["link", "--scores", scores, "--votes", pairs, "--bare", "--out"]
    assert votecast(*words, tmp_path / "one").code == 0
    ran = votecast(*words, tmp_path / "two", "--seed", "7")
    assert ran.code == 0 and "have their answers in the other order" in ran.err
    one, two = (json.loads((tmp_path / name / "config.json").read_text())["link"] for name in ("one", "two"))
    assert two["parameters"] == pytest.approx(one["parameters"], rel=1e-4)
    pairs.write_text("".join(json.dumps(row | {"chosen": "Other."}) + "\n" for row in rows))
    ran = votecast(*words, tmp_path / "three")
    assert ran.code == 1 and "60 of 60 votes have the id of a scored row with other texts" in ran.err
    assert votecast(*words, tmp_path / "three", "--trust-ids").code == 0


def test_interrupted_scoring_resumes_to_the_same_bytes(
    votecast: Callable, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [("so " * (n % 5), "Z" if n == 7 else f"no {n % 9}") for n in range(2500)])
    words = ["score", "--model", str(model), "--input", str(pairs), *LENGTH, "--out"]
    quiet, out, answers = tmp_path / "quiet", tmp_path / "stopped", RewardModel.answers
    assert votecast(*words, quiet / "s.csv").code == 0
    out.mkdir()
    calls: list[object] = []

    def stopping(self: RewardModel, prepared: Any) -> Any:
        calls.append(prepared)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answers(self, prepared)

    with monkeypatch.context() as patched:
        patched.setattr(RewardModel, "answers", stopping)
        assert votecast(*words, out / "s.csv").code == 130
    ran = votecast(*words, out / "s.csv")
    assert ran.code == 1 and "pass --resume to continue it" in ran.err
    ran = votecast(*words, out / "s.csv", "--resume")
    assert ran.code == 0, ran.err
    assert "1,024 rows were scored by an earlier run" in ran.err
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in quiet.iterdir()}


def test_predictions_without_votes_and_the_prior_on_request(votecast: Callable, model: Path, tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [("a", "b"), ("a", "Z"), ("c", "b")])
    out = tmp_path / "p.csv"
    words = ["predict", "--judge", "recipe:internlm2_reward", "--small", "--model.name", model, *LENGTH]
    words += ["--input", pairs, "--out", out]
    ran = votecast(*words)
    assert ran.code == 1 and not out.exists()
    assert "link not fitted" in ran.err and "1 rows could not be scored" in ran.err and "--unscored prior" in ran.err
    reported = json.loads(Path(f"{out}.unscored.jsonl").read_text())
    assert reported["id"] == "r1" and "its reward is nan" in reported["reason"]
    ran = votecast(*words, "--resume", "--unscored", "prior")
    assert ran.code == 0, ran.err
    assert "1 rows could not be scored and have the class prior" in ran.err
    lines = out.read_text().splitlines()
    assert lines[2] == "r1,0.345,0.345,0.31" and lines[1] != lines[3]
    settings = json.loads(Path(f"{out}.settings.json").read_text())["settings"]
    assert settings["unscored"] == {"rows": 1, "given": [0.345, 0.345, 0.31]} and settings["link"] == "not fitted"


def test_the_small_form_of_a_recipe_scores_and_no_model_has_one(
    votecast: Callable, model: Path, tmp_path: Path
) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [("a", "b"), ("b", "c")])
    words = ["score", "--input", pairs, "--out", tmp_path / "s.csv", "--small", "--model"]
    ran = votecast(*words, "recipe:internlm2_reward", "--model.name", model, *LENGTH)
    assert ran.code == 0, ran.err
    assert read_scores(tmp_path / "s.csv").ids == ["r0", "r1"]
    ran = votecast(*words, model, "--overwrite")
    assert ran.code == 2 and "small is for a recipe" in ran.err


def test_a_judge_is_scored_by_its_own_network(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    small = [
        "--small",
        "--model.text.template",
        "segments",
        "--model.text.max_length",
        "40",
        "--model.link_share",
        "0.4",
    ]
    ran = votecast("train", "smollm2_reward", "--train", arena / "train.csv", "--out", tmp_path / "judge", *small)
    assert ran.code == 0, ran.err
    scores = tmp_path / "s.parquet"
    ran = votecast("score", "--model", tmp_path / "judge", "--input", arena / "test.csv", "--out", scores)
    assert ran.code == 0, ran.err
    found = read_scores(scores)
    judge = load_judge(tmp_path / "judge")
    assert set(found.described["trained_on"]) == {"hashes", "salt"}
    assert found.described["judge"]["hash"] == judge.hash
    ran = votecast("link", "--scores", scores, "--votes", arena / "train.csv", "--out", tmp_path / "linked")
    assert ran.code == 1  # the votes it was trained on, and none of the rows that were scored
    ran = votecast("score", "--model", tmp_path / "judge", "--input", arena / "train.csv", "--out", tmp_path / "t.csv")
    assert ran.code == 0
    ran = votecast("link", "--scores", tmp_path / "t.csv", "--votes", arena / "train.csv", "--out", tmp_path / "linked")
    assert ran.code == 1 and "was trained" in ran.err
    other = tmp_path / "other.csv"
    assert votecast("simulate", "--rows", "60", "--seed", "5", "--out", other).code == 0
    assert votecast("score", "--model", tmp_path / "judge", "--input", other, "--out", tmp_path / "o.csv").code == 0
    ran = votecast("link", "--scores", tmp_path / "o.csv", "--votes", other, "--out", tmp_path / "linked")
    assert ran.code == 0, ran.err
    p = load_judge(tmp_path / "linked").predict_proba([{"prompt": "p", "response_a": "a", "response_b": "b"}])
    assert np.isfinite(p).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "tiny:llama", "--folds.n", "3"], "--folds is no setting of the model"),
        (["--model", "recipe:baseline"], "gives no rewards"),
        (["--model", "recipe:smollm2_reward"], "yet to be trained"),
        (["--model", "bundled:nothing/at/all"], "no such folder"),
    ],
)
def test_models_that_give_no_rewards(votecast: Callable, tmp_path: Path, words: list[str], message: str) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [("a", "b")])
    ran = votecast("score", *words, "--input", pairs, "--out", tmp_path / "s.csv")
    assert ran.code == 2 and message in ran.err


def test_a_judge_of_another_family(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    words = ["--input", arena / "test.csv", "--out", tmp_path / "s.csv"]
    ran = votecast("score", "--model", arena / "judge", *words)
    assert ran.code == 2 and "of the family baseline, which gives no rewards" in ran.err
