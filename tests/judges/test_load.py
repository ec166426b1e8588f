"""Test judges without votes: reward recipes and the default link."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.errors import ConfigError
from votecast.judges.load import load_judge
from votecast.judges.trained import TrainedJudge


def test_a_recipe_predicts_without_votes_and_reports_it(arena: Battles, tmp_path: Path) -> None:
    judge = load_judge("recipe:internlm2_reward", small=True)
    p = judge.predict_proba(arena[:4])
    assert np.allclose(p.sum(axis=1), 1) and abs(p[:, 2] - 0.31).max() < 0.05
    assert judge.notes["link"]["fitted"] is False and judge.prompt_hashes is None
    judge.save_pretrained(tmp_path / "judge")
    assert "link not fitted" in (tmp_path / "judge" / "README.md").read_text()
    assert np.array_equal(TrainedJudge.from_pretrained(tmp_path / "judge").predict_proba(arena[:4]), p)


def test_system_2s_own_rule(arena: Battles) -> None:
    judge = load_judge("recipe:internlm2-reward", {"model.link.method": "fixed"}, small=True)
    assert set(np.round(judge.predict_proba(arena[:4]), 6).ravel()) == {0.00005, 0.9999}


@pytest.mark.parametrize(
    ("name", "message"),
    [("recipe:baseline", "learns everything from votes"), ("recipe:smollm2_reward", "model.adapter is set")],
)
def test_recipes_that_learn_from_votes(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_judge(name)


def test_settings_for_a_judge_that_has_its_own() -> None:
    with pytest.raises(ConfigError, match="judge with settings of its own"):
        load_judge("bundled:baseline", {"seed": "1"})
