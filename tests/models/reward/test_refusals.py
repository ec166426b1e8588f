"""Test errors of the reward judge and reports of unscored rows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.judges.rewards import AT_MOST_TWO_TURNS, pairs, reward_folder, reward_model
from tests.tolerances import rounding

from votecast.calibration.score_link import DEFAULT_LINK
from votecast.errors import ConfigError, DataError, JudgeError, UnscoredRowsError
from votecast.inference import engine
from votecast.inference.engine import Engine, SequenceTooLongError
from votecast.judges.trained import TrainedJudge
from votecast.models.reward.settings import RewardSettings


def test_a_model_with_three_outputs(tmp_path: Path) -> None:
    model = reward_model(reward_folder(tmp_path, outputs=3))
    with pytest.raises(ConfigError, match=r"no head of 1 output: score.weight has shape \[3, 32\].*model.adapter"):
        model.answer_scores(model.prepare(pairs(("p", "a", "b"))))


def test_a_language_model_without_a_head(tmp_path: Path) -> None:
    model = reward_model(reward_folder(tmp_path, outputs=None))
    with pytest.raises(ConfigError, match="score.weight is missing"):
        model.answer_scores(model.prepare(pairs(("p", "a", "b"))))


def test_a_tokenizer_that_cannot_end_a_text(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path, chat_template=None, eos_token=None, sep_token=None)
    with pytest.raises(JudgeError, match="no token for the end of a text"):
        reward_model(folder).prepare(pairs(("p", "a", "b")))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('not today') }}", "cannot be used: not today"),
        ("{{ messages[0]['content'] }}", "does not hold every turn once"),
    ],
)
def test_a_template_that_the_model_cannot_take(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(JudgeError, match=message):
        reward_model(reward_folder(tmp_path, chat_template=template)).prepare(pairs(("p", "a", "b")))


def test_a_template_for_both_answers() -> None:
    with pytest.raises(ConfigError, match="a reward is given to one; allowed are chat, segments and labels"):
        RewardSettings.parse({"text": {"template": "tags"}})


def test_a_judge_without_a_link(tmp_path: Path) -> None:
    model = reward_model(reward_folder(tmp_path))
    with pytest.raises(JudgeError, match="no link from rewards to votes"):
        model.predict(model.prepare(pairs(("p", "a", "b"))))


def test_rewards_that_are_no_numbers(tmp_path: Path) -> None:
    model = reward_model(reward_folder(tmp_path, fails_on_letter=True))
    model.link = DEFAULT_LINK
    battles = pairs(("p", "fine", "well"), ("p", "a Z here", "well"), ("p", "fine", "so"))
    found = model.answers(model.prepare(battles))
    assert list(found.reasons) == [1] and "answer a: its reward is nan" in found.reasons[1]
    assert np.isnan(found.scores[1]).all() and np.isfinite(found.scores[[0, 2]]).all()
    assert len(found.cut) == 2
    with pytest.raises(UnscoredRowsError, match="1 of 3 battles cannot be scored: number 2: answer a"):
        model.predict(model.prepare(battles))


def test_a_template_that_refuses_some_chats(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path, chat_template=AT_MOST_TWO_TURNS)
    with pytest.raises(JudgeError, match="two turns at most"):  # three turns are tried before any row is
        reward_model(folder).prepare(pairs(("p", "a", "b")))
    late = AT_MOST_TWO_TURNS.replace("> 4", "> 8").replace("two turns", "four turns")
    shutil.rmtree(folder)
    model = reward_model(reward_folder(folder, chat_template=late), text={"max_length": 400})
    five = [str(n) for n in range(5)]
    found = model.answers(model.prepare(pairs(("p", "a", "b"), (five, five, five), ("q", "a", "b"))))
    assert list(found.reasons) == [1] and "four turns at most" in found.reasons[1]
    assert np.isfinite(found.scores[[0, 2]]).all()


def test_a_sequence_that_does_not_fit_into_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Engine.encode

    def small_memory(self: Engine, sequences: Any, **options: Any) -> Any:
        if sequences.lengths.max() > 60:
            raise SequenceTooLongError(f"one sequence of {sequences.lengths.max()} tokens does not fit")
        return encode(self, sequences, **options)

    model = reward_model(reward_folder(tmp_path))
    battles = pairs(("p", "a", "b"), ("p", "long " * 12, "b"), ("p", "long " * 13, "c"), ("p", "a", "c"))
    expected = model.answers(model.prepare(battles)).scores
    monkeypatch.setattr(Engine, "encode", small_memory)
    found = model.answers(model.prepare(battles))
    assert list(found.reasons) == [1, 2] and "tokens does not fit" in found.reasons[2]
    np.testing.assert_allclose(found.scores[[0, 3]], expected[[0, 3]], rtol=0, atol=rounding(width=64, layers=2))


def test_weights_that_do_not_fit_are_no_fault_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def full(*args: object) -> None:
        tried.append("replica")
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:130] DefaultCPUAllocator: can't allocate memory")

    model = reward_model(reward_folder(tmp_path))
    monkeypatch.setattr(engine, "Replica", full)
    with pytest.raises(JudgeError, match="out of memory with the weights of the network on cpu; .*model.weights nf4"):
        model.answers(model.prepare(pairs(("p", "a", "b"), ("p", "c", "d"))))
    assert len(tried) == 1


def test_votes_that_cannot_be_scored_are_not_skipped_silently(tmp_path: Path, arena: Any) -> None:
    folder = reward_folder(tmp_path, fails_on_letter=True)
    rows = [{"prompt": str(n), "response_a": "a" * (n % 7), "response_b": "Z", "winner": "a"} for n in range(60)]
    judge = TrainedJudge("reward", {"model.name": str(folder), "model.text.max_length": 96, "folds.n": 2})
    with pytest.raises(JudgeError, match="battles cannot be scored"):
        judge.fit(rows)


def test_too_few_votes_for_a_link(arena: Any) -> None:
    settings = {
        "model.name": "tiny:llama",
        "model.text.template": "segments",
        "model.text.max_length": 40,
        "folds.n": 2,
    }
    with pytest.raises(DataError, match="at least 30 are needed"):
        TrainedJudge("reward", settings | {"folds.n": 2}).fit(arena[:40])


def test_only_ties_to_train_on() -> None:
    rows = [{"prompt": str(n), "response_a": "a", "response_b": "b" * n, "winner": "tie"} for n in range(90)]
    settings = {"model.name": "tiny:llama", "model.adapter.rank": 2, "model.text.max_length": 256, "folds.n": 2}
    with pytest.raises(JudgeError, match="no decided votes"):
        TrainedJudge("reward", settings).fit(rows)
