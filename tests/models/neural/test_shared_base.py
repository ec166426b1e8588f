"""Test members on one base: one copy of its weights in memory, the same bytes as alone, engines that take turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from torch import Tensor

from votecast.data.battles import Battles
from votecast.judges.trained import TrainedJudge
from votecast.models.neural import shared_base

SHORT = {
    "folds.n": 2,
    "final": "average",
    "model.text.max_length": 64,
    "model.training.batch_size": 8,
    "model.training.learning_rate": 1e-2,
}


def fitted(arena: Battles, name: str = "tiny:llama", family: str = "decoder", **settings: Any) -> TrainedJudge:
    adapter = {"model.adapter": {"rank": 2}} if family == "decoder" else {}
    return TrainedJudge(family, SHORT | adapter | {"model.name": name} | settings).fit(arena[:32])


def base_copies(*judges: TrainedJudge) -> int:
    """Count the places in memory of one weight of the base."""
    return len({w.data_ptr() for judge in judges for member in judge.fitted.members for w in _embeddings(member)})


def _embeddings(member: Any) -> list[Tensor]:
    return [p for name, p in member.network.named_parameters() if name.endswith("embed_tokens.weight")]


def test_folds_loaded_members_and_judges_on_one_base_hold_it_once(arena: Battles, tmp_path: Path) -> None:
    first = fitted(arena)
    assert base_copies(first) == 1
    other = fitted(arena, **{"model.adapter": {"rank": 4, "targets": ["v_proj"]}, "final": "average_weights"})
    first.save_pretrained(tmp_path / "first")
    other.save_pretrained(tmp_path / "other")
    again = [TrainedJudge.from_pretrained(tmp_path / name) for name in ("first", "other")]
    assert base_copies(first, other, *again) == 1
    for judge, same in zip((first, other), again, strict=True):
        np.testing.assert_array_equal(judge.predict_proba(arena[:6]), same.predict_proba(arena[:6]))


@pytest.mark.parametrize("bias", ["none", "all"])
def test_a_fold_learns_the_same_after_another_as_alone(arena: Battles, tmp_path: Path, bias: str) -> None:
    settings = {"name": "tiny:qwen2", "model.adapter": {"rank": 2, "bias": bias, "dropout": 0.1}}
    settings |= {"model.orders": "either"}
    together, alone = fitted(arena, **settings), fitted(arena, **settings | {"folds.only": 1})
    expected = together.predict_proba(arena[:6])
    together.save_pretrained(tmp_path / "together")
    alone.save_pretrained(tmp_path / "alone")
    pair = [load_file(tmp_path / at / "delta.safetensors") for at in ("together/members/1", "alone/members/0")]
    assert all(np.array_equal(pair[0][name], value) for name, value in pair[1].items())
    members = together.fitted.members
    each = [member.predict(member.prepare(arena[:6])) for member in (*members, members[0])]
    np.testing.assert_array_equal(each[0], each[2])
    again = TrainedJudge.from_pretrained(tmp_path / "together")
    np.testing.assert_array_equal(again.predict_proba(arena[:6]), expected)


@pytest.mark.parametrize(("family", "name"), [("decoder", "tiny:llama"), ("cross_encoder", "tiny:bert")])
def test_engines_of_a_judge_take_turns_where_there_is_no_room_for_all(
    family: str, name: str, arena: Battles, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = fitted(arena, name, family)
    expected = judge.predict_proba(arena[:6])
    assert [member.engine_slot.is_ready for member in judge.fitted.members] == [True, True]
    monkeypatch.setattr(shared_base, "KEPT_BYTES", 0)
    judge.run_with(threads=1)
    for judged in (judge, judge.with_shown_order(), judge):
        found = judged.predict_proba(arena[:6])
        assert [member.engine_slot.is_ready for member in judge.fitted.members] == [False, True]
    np.testing.assert_allclose(found, expected, atol=1e-6)
