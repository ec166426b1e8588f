"""Test leaderboards from frames, lists and predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.leaderboard.votes import SIZES, round_robin, sized_votes, without_votes

from votecast.data import Battles
from votecast.data.battles import SCHEMA
from votecast.errors import ConfigError, DataError, LeakError
from votecast.leaderboard import leaderboard
from votecast.splits import PromptHashes


class Oracle:
    """A judge that was trained on some prompts and favours longer responses."""

    name, hash = "oracle", "0" * 64

    def __init__(self, tilt: float, seen: Battles | None = None) -> None:
        self.tilt = tilt
        self.prompt_hashes = None if seen is None else PromptHashes.of(seen)

    def predict_proba(self, battles: Battles) -> Any:
        sides = [np.array([len(text) for text in battles.text(name)]) for name in ("response_a", "response_b")]
        a = 0.7 / (1 + np.exp(-self.tilt * np.sign(sides[0] - sides[1])))
        return np.stack([a, 0.7 - a, np.full(len(a), 0.3)], axis=1)


def test_frames_are_read_as_files_are() -> None:
    frame = pd.DataFrame(round_robin(), columns=["model_a", "model_b", "winner"])
    frame.loc[frame.index[:10], "winner"] = "tie (bothbad)"
    board = leaderboard(frame, both_bad="own")
    assert board.rows == {"voted": len(frame) - 10, "predicted": 0, "against_both": 10}
    assert board.both_bad is not None and board.both_bad.votes.sum() == 20
    json.dumps(board.to_dict(), allow_nan=False)


def test_results_do_not_depend_on_row_or_response_order() -> None:
    votes = sized_votes(600)
    order = np.random.default_rng(0).permutation(len(votes))
    boards = [leaderboard(each, style_control=True) for each in (votes, votes.take(order), votes.swapped())]
    for other in boards[1:]:
        assert other.ranking.models == boards[0].ranking.models
        for name in ("score", "low", "high", "win_rate"):
            np.testing.assert_allclose(getattr(other.ranking, name), getattr(boards[0].ranking, name), atol=1e-6)
        for mine, theirs in zip(boards[0].ranking.style, other.ranking.style, strict=True):
            assert mine.value == pytest.approx(theirs.value, abs=1e-8)


def test_predictions_of_many_pairs_narrow_the_intervals_and_a_wrong_judge_is_corrected() -> None:
    votes, pairs = sized_votes(600), without_votes(sized_votes(3000, seed=3))
    alone = leaderboard(votes)
    both = leaderboard(votes, pairs=pairs, judge=Oracle(1.5))
    assert both.source == "votes and predictions" and both.judge == {"name": "oracle", "hash": "0" * 64}
    assert (both.ranking.high - both.ranking.low).mean() < (alone.ranking.high - alone.ranking.low).mean()
    assert "leaks are not checked: the judge keeps no hashes of its training prompts" in both.notes
    wrong = leaderboard(votes, pairs=pairs, judge=Oracle(-1.5))
    place = {name: number for number, name in enumerate(wrong.ranking.models)}
    score = wrong.ranking.score[[place[name] for name in alone.ranking.models]]
    assert np.abs(score - alone.ranking.score).max() < 60


def test_pairs_of_other_models_or_shown_in_another_order_are_reported() -> None:
    votes, pairs = sized_votes(600), without_votes(sized_votes(900, seed=3))
    note = "models stand first more or less often among the pairs"
    with_it = np.any([np.array(pairs.column(side).to_pylist()) == "70b" for side in ("model_a", "model_b")], axis=0)
    board = leaderboard(votes, pairs=pairs.take(np.flatnonzero(with_it)), judge=Oracle(1.0))
    assert not any(note in each for each in board.notes)
    first = np.array(pairs.column("model_a").to_pylist()) == "70b"
    board = leaderboard(votes, pairs=pairs.take(np.flatnonzero(first)), judge=Oracle(1.0))
    assert any(note in each for each in board.notes)
    new = pa.array(["new"] * len(pairs), pa.large_string())
    renamed = pairs.table.set_column(SCHEMA.get_field_index("model_a"), SCHEMA.field("model_a"), new)
    with pytest.raises(DataError, match="pairs of 1 models that are not ranked are left out: new"):
        leaderboard(votes, pairs=Battles(renamed), judge=Oracle(1.0))


def test_a_judge_that_was_trained_on_voted_prompts_raises() -> None:
    votes, pairs = sized_votes(600), without_votes(sized_votes(600, seed=3))
    with pytest.raises(LeakError, match="holds no out-of-fold predictions"):
        leaderboard(votes, pairs=pairs, judge=Oracle(1.0, seen=votes[:5]))


def test_settings_that_contradict_each_other_raise() -> None:
    votes = sized_votes(600)
    with pytest.raises(ConfigError, match="both_bad"):
        leaderboard(votes, both_bad="maybe")
    with pytest.raises(ConfigError, match="style_controls"):
        leaderboard(votes, style_controls=True)
    with pytest.raises(ConfigError, match="standard input"):
        leaderboard("-", pairs="-", judge=Oracle(1.0))
    bare = pd.DataFrame(round_robin(), columns=["model_a", "model_b", "winner"])
    with pytest.raises(DataError, match="the judge predicts from them"):
        leaderboard(None, pairs=bare, judge=Oracle(1.0))
    with pytest.raises(ConfigError, match="70c"):
        leaderboard(votes, anchor="70c")
    assert set(leaderboard(votes, anchor="70b").ranking.models) == set(SIZES)
