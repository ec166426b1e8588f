"""Test the reward judge: scored sequences, their order and training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.judges.rewards import TEMPLATE, pairs, reward_folder, reward_model
from tests.models.internlm2 import CONFIG, tensors
from tests.models.internlm2 import checkpoint as internlm2_checkpoint
from tests.models.internlm2 import reward as internlm2_reward
from tests.tolerances import rounding
from transformers import AutoModelForSequenceClassification

from votecast.calibration.score_link import DEFAULT_LINK
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError
from votecast.inference.engine import Engine
from votecast.judges.load import load_judge
from votecast.judges.merge_adapters import merge_judge
from votecast.judges.trained import TrainedJudge
from votecast.models.neural.internlm2 import read_config
from votecast.models.neural.internlm2_tokenizer import InternLM2Tokenizer
from votecast.models.reward import reward_scores
from votecast.models.reward.reward_model import RewardModel
from votecast.models.reward.settings import RewardSettings
from votecast.testing import check_judge
from votecast.types import Run

SHORT = {"model.name": "tiny:llama", "model.text.template": "segments", "model.text.max_length": 40, "folds.n": 2}
UNCALIBRATED = {"calibration.method": "none"}
ROUNDING = rounding(width=64, layers=2)
"""Of rewards of the tiny models, which are at most about 1: sums of up to 64 products in two layers."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many sequences each engine call gets."""
    seen: list[int] = []
    encode = Engine.encode

    def counting(self: Engine, sequences: Any, **options: Any) -> Any:
        seen.append(len(sequences))
        return encode(self, sequences, **options)

    monkeypatch.setattr(Engine, "encode", counting)
    return seen


def scores_of(model: RewardModel, battles: Battles) -> np.ndarray:
    return model.answer_scores(model.prepare(battles))


@pytest.mark.parametrize("kind", ["llama", "gemma2", "deberta-v2"])
def test_rewards_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    folder = reward_folder(tmp_path, kind=kind)
    model = reward_model(folder)
    found = scores_of(model, pairs(("Why?", "So.", "No, never so."), (["a", "b"], ["c", "d"], ["e", "f"])))
    chats = ["<u>Why?</><a>So.</>", "<u>Why?</><a>No, never so.</>"]
    chats += ["<u>a</><a>c</><u>b</><a>d</>", "<u>a</><a>e</><u>b</><a>f</>"]
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    theirs.config.pad_token_id = 0
    with torch.no_grad():
        each = [theirs(torch.tensor([model.tokenizer.encode([chat])[0]])).logits.item() for chat in chats]
    assert np.ptp(each) > 1e-3
    np.testing.assert_allclose(found.ravel(), each, rtol=ROUNDING, atol=ROUNDING)


def test_internlm2_scores_match_its_formula(tmp_path: Path) -> None:
    folder = internlm2_checkpoint(tmp_path)
    model = reward_model(folder)
    found = scores_of(model, pairs(("Why is the sky blue?", "The river.", "Red, green and blue.")))[0]
    tokenizer = InternLM2Tokenizer.load(folder, read_config(folder))
    for score, answer in zip(found, ("The river.", "Red, green and blue."), strict=True):
        frame = tokenizer.encode(["<s><|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"], specials=True)
        texts = tokenizer.encode(["Why is the sky blue?", answer])
        last = tokenizer.encode([f"<|im_end|>\n{tokenizer.render([])[len('<s>') :]}"], specials=True)[0]
        ids = [*frame[0], *texts[0], *frame[1], *texts[1], *last]
        assert ids[-1] == CONFIG["reward_token_id"]
        assert score == pytest.approx(internlm2_reward(tensors(CONFIG), CONFIG, ids), rel=0, abs=4 * ROUNDING)


def test_each_answer_is_scored_once_however_many_pairs_it_stands_in(tmp_path: Path, counted: list[int]) -> None:
    model = reward_model(reward_folder(tmp_path))
    answers = [f"answer {n}" for n in range(8)]
    rows = [(prompt, a, b) for prompt in ("one?", "two?", "three?") for a, b in combinations(answers, 2)]
    prepared = model.prepare(pairs(*rows))
    found = model.answer_scores(prepared)
    assert counted == [3 * 8] and len(rows) == 84
    model.answer_scores(prepared)
    assert counted == [3 * 8]
    np.testing.assert_allclose(found[:5], scores_of(model, pairs(*rows[:5])), rtol=0, atol=ROUNDING)


def test_members_whose_network_is_not_trained_share_it(arena: Battles, counted: list[int]) -> None:
    judge = TrainedJudge("reward", SHORT | UNCALIBRATED | {"final": "average"}).fit(arena[:100])
    counted.clear()
    judge.predict_proba(arena[:10])
    assert len(counted) == 1 and len(judge.fitted.members) == 2


def test_rewards_of_a_training_are_shown_and_survive_a_kill(
    tmp_path: Path, arena: Battles, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_scores, "_COMMITTED", 32)
    shown = list[tuple[int, int]]()

    def stop_at(most: int) -> Callable[[str, int, int], None]:
        def _progress(what: str, done: int, total: int) -> None:
            if what == "scoring answers":
                shown.append((done, total))
                if done == most:
                    raise KeyboardInterrupt

        return _progress

    def fit(name: str, most: int) -> str:
        run = Run(tmp_path / name, stop_at(most))
        return TrainedJudge("reward", SHORT | UNCALIBRATED).fit(arena, run=run).hash

    whole, every = fit("whole", -1), sum(counted)
    assert [done for done, _ in shown[:3]] == [0, 32, 64]
    assert shown[0][1] > 64
    counted.clear()
    with pytest.raises(KeyboardInterrupt):
        fit("judge", 64)
    assert fit("judge", -1) == whole
    assert sum(counted) == every


def test_a_reward_model_that_is_not_trained_is_started_once(arena: Battles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="the link alone is fitted, and a launcher has started 2 processes"):
        TrainedJudge("reward", SHORT).fit(arena)


def test_swapped_responses_get_bit_identical_rewards(tmp_path: Path, arena: Battles) -> None:
    model = reward_model(reward_folder(tmp_path))
    assert np.array_equal(scores_of(model, arena[:20]), scores_of(model, arena[:20].swapped())[:, ::-1])


def test_a_judge_without_training_keeps_every_promise(arena: Battles) -> None:
    check_judge(lambda: TrainedJudge("reward", SHORT), arena[:120])


def test_a_length_that_takes_part(arena: Battles) -> None:
    judge = TrainedJudge("reward", SHORT | UNCALIBRATED | {"model.link.length": True}).fit(arena[:120])
    assert judge.fitted.members[0].link.has_length
    p = judge.predict_proba(arena[:5])
    assert np.array_equal(judge.predict_proba(arena[:5].swapped())[:, [1, 0, 2]], p)


TRAINED = {
    "model.name": "tiny:internlm2",
    "model.text.template": "segments",
    "model.text.max_length": 40,
    "model.adapter.rank": 2,
    "model.link_share": 0.4,
    "model.training.learning_rate": 0.01,
    "folds.n": 2,
    "folds.only": 0,
    "calibration.method": "none",
}


def test_the_link_is_never_fitted_on_rows_that_the_network_was_trained_on(
    arena: Battles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[np.ndarray] = []
    linked: list[int] = []
    from votecast.models.neural.neural_model import NeuralModel
    from votecast.models.reward import reward_model as module

    fit, fit_link = NeuralModel.fit, module.fit_link

    def watching(self: Any, prepared: Any, targets: Any, weights: Any, groups: Any, run: Any) -> Any:
        trained.append(groups)
        assert (targets[:, 2] == 0).all(), "ties say nothing of the order"
        return fit(self, prepared, targets, weights, groups, run)

    def linking(gap: Any, *args: Any, **options: Any) -> Any:
        linked.append(len(gap))
        return fit_link(gap, *args, **options)

    monkeypatch.setattr(NeuralModel, "fit", watching)
    monkeypatch.setattr(module, "fit_link", linking)
    judge = TrainedJudge("reward", TRAINED).fit(arena[:200])
    rows, decided = 100, int((arena[:200].targets()[judge.fitted.out_of_fold.rows, 2] == 0).sum())
    assert linked[0] >= 30 and len(trained[0]) + linked[0] <= rows and decided > 0
    judge.save_pretrained(tmp_path / "judge")
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(arena[:9]), judge.predict_proba(arena[:9]))
    assert again.fitted.members[0].link == judge.fitted.members[0].link


def test_every_trained_member_has_rewards_of_its_own(arena: Battles) -> None:
    more = {"model.adapter": {"rank": 2}, "model.link_share": 0.5, "model.training.learning_rate": 0.1}
    judge = TrainedJudge("reward", SHORT | UNCALIBRATED | more | {"final": "average"}).fit(arena[:160])
    one, two = judge.fitted.members
    together = one.prepare(arena[:20])
    found = [member.answer_scores(together) for member in (one, two)]
    apart = [member.answer_scores(member.prepare(arena[:20])) for member in (one, two)]
    assert np.array_equal(found[0], apart[0]) and np.array_equal(found[1], apart[1])
    assert not np.allclose(found[0], found[1])
    held = judge.fitted.out_of_fold
    for fold, member in enumerate((one, two)):
        rows = held.rows[held.fold == fold]
        p = member.predict(member.prepare(arena.take(rows)))
        assert np.allclose(held.raw[held.fold == fold], p, rtol=0, atol=ROUNDING)


def test_system_2_cuts_by_characters(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path)
    text = {"max_length": 1000, "characters": [60, 10, 20]}
    model = reward_model(folder, text=text)
    assert model.settings.text.template == "chat" and model.settings.text.cut == "drop_turns"
    shortened = pairs((["p" * 10, "q"], ["a" * 20, "b"], ["c" * 20, "d" * 99]), ("p" * 99, "a" * 99, "b" * 5))
    as_cut = pairs((["p" * 10], ["a" * 20], ["c" * 20]), ("p" * 10, "a" * 20, "b" * 5))
    assert np.array_equal(scores_of(model, shortened), scores_of(model, as_cut))


def test_the_template_renders_the_full_chat(tmp_path: Path) -> None:
    own, none = (reward_folder(tmp_path / str(n), chat_template=t) for n, t in enumerate((TEMPLATE, None)))
    for folder, ends in ((own, False), (none, True)):
        model = reward_model(folder, text={"max_length": 256})
        sequence = model.encode_battles(model.prepare(pairs(("p", "a", "b"))))[0].sequences[0].tolist()
        assert (sequence[-1] == model.tokenizer.sep_id) is ends


def test_weights_that_changed_since_the_judge_was_made(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path / "model")
    made = reward_model(folder)
    made.link = DEFAULT_LINK
    (tmp_path / "member").mkdir()
    made.save(tmp_path / "member")
    battles = pairs(("p", "a", "b"))
    again = RewardModel.load(tmp_path / "member", made.settings, seed=0)
    assert np.array_equal(again.predict(again.prepare(battles)), made.predict(made.prepare(battles)))
    reward_folder(folder, seed=1)
    other = RewardModel.load(tmp_path / "member", made.settings, seed=0)
    with pytest.raises(ArtifactError, match="was made from weights with SHA-256"):
        other.predict(other.prepare(battles))


def test_settings_given_one_by_one_leave_the_others(tmp_path: Path) -> None:
    text = RewardSettings.parse({"name": "tiny:llama", "text": {"max_length": 100}}).text
    assert (text.template, text.cut, text.max_length) == ("chat", "drop_turns", 100)


@pytest.mark.parametrize("kind", ["internlm2", "llama"])
def test_a_judge_holds_its_reward_model_in_four_bits(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("bitsandbytes")
    folder, shape = tmp_path / "model", {"hidden_size": 128, "intermediate_size": 64, "num_attention_heads": 4}
    _ = internlm2_checkpoint(folder, **shape) if kind == "internlm2" else reward_folder(folder)
    battles = pairs(("Why is the sky blue?", "The river.", "Red, green and blue."))
    settings = {"model.compute": "fp32", "model.text.max_length": 256}
    judge = load_judge("recipe:internlm2_reward", settings | {"model.name": str(folder)})
    expected = judge.predict_proba(battles)
    merge_judge(judge, tmp_path, "nf4").save_pretrained(tmp_path / "judge")
    shutil.rmtree(folder)
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(battles), expected)
    assert again.fitted.members[0].base is None
    stored = settings | {"model.name": str(tmp_path / "judge" / "members" / "0")}
    assert np.array_equal(load_judge("recipe:internlm2_reward", stored).predict_proba(battles), expected)
