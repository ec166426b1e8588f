"""Test that the service reads votes and models in every spelling that files have."""

from __future__ import annotations

from typing import Any

import pytest

from votecast.serving.rankings import rank_games
from votecast.serving.schemas import GameRequest, LeaderboardRequest
from votecast.types import Battle


@pytest.mark.parametrize(
    ("name", "winner"), [("model_a", "a"), ("B>A", "b"), ("Tie (both bad)", "tie"), ("both_bad", "tie"), ("NaN", None)]
)
def test_winners_of_requests(name: str, winner: str | None) -> None:
    assert GameRequest(model_a="ash", model_b="oak", winner=name).winner == winner
    assert Battle(prompt="Hi", response_a="x", response_b="y", winner=name).winner == winner


def test_models_with_spaces_around_their_names_are_one() -> None:
    games = [{"model_a": a, "model_b": "oak", "winner": vote} for a, vote in (("ash", "a"), (" ash ", "model_b"))]
    found: Any = rank_games(LeaderboardRequest.model_validate({"games": games}))
    assert sorted(each["model"] for each in found["models"]) == ["ash", "oak"]
