"""Test the judge of scores, with and without scores in rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.judges.scored import scored_votes, with_scores

from votecast.calibration.score_link import DEFAULT_LINK
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, DataError, JudgeError
from votecast.judges.trained import TrainedJudge
from votecast.models.scored import ScoredModel
from votecast.testing.conformance import (
    check_damage,
    check_determinism,
    check_independent_rows,
    check_saving,
    check_sums,
    check_swapping,
    check_unfitted,
)

SCORES, VOTES = scored_votes()
ROWS = with_scores(VOTES, SCORES)


@pytest.mark.parametrize("settings", [{}, {"model.link.length": True}, {"model.link.method": "rao_kupper"}])
def test_it_keeps_every_promise_of_rows_with_scores(tmp_path: Path, settings: dict) -> None:
    def make() -> TrainedJudge:
        return TrainedJudge("scores", {"calibration.method": "none"} | settings)

    check_unfitted(make, ROWS)
    judge = make().fit(ROWS)
    p = judge.predict_proba(ROWS)
    check_sums(judge, ROWS, p)
    check_independent_rows(judge, ROWS, p)
    check_swapping(judge, ROWS, p, 0.0)
    check_determinism(make, ROWS, judge)
    check_saving(judge, ROWS, p, tmp_path / "judge")
    check_damage(judge, tmp_path / "judge")


def test_frames_with_the_two_columns_get_equal_predictions() -> None:
    judge = TrainedJudge("scores", {"calibration.method": "none"}).fit(ROWS)
    assert judge.numbers == ("score_a", "score_b")
    p = judge.predict_proba(ROWS)
    frame = ROWS.table.to_pandas()
    assert np.array_equal(judge.predict_proba(frame), p)
    assert np.array_equal(judge.predict_proba(ROWS.table), p)


def scored(**changed: list) -> Battles:
    columns = {"id": ["x"], "prompt": [["?"]], "response_a": [["a"]], "response_b": [["b"]]}
    return Battles(pa.table(columns | {"score_a": [1.0], "score_b": [2.0]} | changed))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (VOTES[:1], "no column score_a: this judge was linked from bare numbers, cannot score a text"),
        (scored(score_a=["high"]), "column score_a holds string, and not every value is a number"),
        (scored(score_b=[None]), r"row 1 \(id 'x'\) has score_a 1.0 and score_b nan"),
        (scored(score_b=[np.inf]), "has score_a 1.0 and score_b inf"),
        (scored(score_a=[[1.0]]), "column score_a holds list"),
    ],
)
def test_rows_without_numbers_are_an_error(rows: Battles, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ScoredModel().prepare(rows)


def test_text_cells_are_numbers_too_and_lengths_need_texts() -> None:
    assert ScoredModel().prepare(scored(score_a=["1.5"], score_b=["-1e1"])).gap.tolist() == [11.5]
    settings = ScoredModel.settings_type.parse({"link": {"length": True}})
    bare = scored(prompt=[[]], response_a=[[]], response_b=[[]])
    assert ScoredModel().prepare(bare).form is None
    with pytest.raises(DataError, match=r"row 1 \(id 'x'\) has no texts.*response_a, response_b beside the scores"):
        ScoredModel(settings).prepare(bare)


def test_a_member_needs_a_link_and_reads_back_a_whole_one(tmp_path: Path) -> None:
    model = ScoredModel()
    with pytest.raises(JudgeError, match="no link yet"):
        model.predict(model.prepare(ROWS))
    model.link = DEFAULT_LINK
    model.save(tmp_path)
    assert ScoredModel.load(tmp_path).link == DEFAULT_LINK
    (tmp_path / "link.json").write_text(json.dumps({"method": "davidson"}))
    with pytest.raises(ArtifactError, match="damaged"):
        ScoredModel.load(tmp_path)
