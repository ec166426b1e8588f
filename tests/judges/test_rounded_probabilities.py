"""Test that probabilities rounded by their writer are rescaled with a note, wherever they come from."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import VoteReader, read_votes
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions, evaluate
from votecast.metrics import evaluate_probabilities, log_loss
from votecast.reports.audit import audit_judge
from votecast.serving.schemas import LeaderboardRequest

ROWS = 24
GENERATOR = np.random.default_rng(0)
EXACT = GENERATOR.dirichlet([2, 2, 1], ROWS)
VOTES = [
    {"id": str(i), "prompt": f"Question {i}?", "response_a": "So.", "response_b": "No.", "winner": "ab"[i % 2]}
    for i in range(ROWS)
]
ROUNDED = {
    "2 decimals": EXACT.round(2),
    "4 decimals": EXACT.round(4),
    "6 decimals": EXACT.round(6),
    "float16": EXACT.astype(np.float16),
    "a third": np.full((ROWS, 3), 0.33),
    "a third of 6 digits": np.full((ROWS, 3), 0.333333),
}


@pytest.mark.parametrize("columns", ["p_a,p_b,p_tie", "winner_model_a,winner_model_b,winner_tie"])
@pytest.mark.parametrize("kind", list(ROUNDED))
def test_files_of_rounded_predictions_are_measured_with_a_note(tmp_path: Path, kind: str, columns: str) -> None:
    path = tmp_path / "rounded.csv"
    lines = [",".join([str(i), *map(str, row)]) for i, row in enumerate(ROUNDED[kind].tolist())]
    path.write_text("\n".join([f"id,{columns}", *lines]))
    found = Predictions.read(path)
    p = np.asarray(ROUNDED[kind], dtype=np.float64)
    np.testing.assert_allclose(found.probabilities, p / p.sum(axis=1, keepdims=True), rtol=1e-6)
    assert len(found.notes) == 1
    for notes in (evaluate(path, VOTES, draws=0).notes, audit_judge(path, VOTES, draws=0).notes):
        assert sum("rows of the predictions sum to 1 only up to rounding" in note for note in notes) == 1


def test_arrays_are_rescaled_with_one_note(caplog: pytest.LogCaptureFixture) -> None:
    evaluations = [
        evaluate(ROUNDED["float16"], VOTES, draws=0, against=ROUNDED["2 decimals"]),
        evaluate_probabilities(np.eye(3)[[0, 1] * (ROWS // 2)], ROUNDED["float16"], draws=0),
    ]
    for found in evaluations:
        assert sum("only up to rounding" in note for note in found.notes) == 1
    assert evaluations[0].against is not None
    assert any("only up to rounding" in note for note in evaluations[0].against.notes)
    assert not caplog.records
    assert log_loss(np.eye(3)[[0] * ROWS], ROUNDED["a third"]) == pytest.approx(np.log(3))
    assert "24 of 24 rows" in caplog.text


@pytest.mark.parametrize("row", [[0.5, 0.3, 0.17], [0.5, 0.5, 0.03], [50, 30, 20]])
def test_other_sums_are_refused_and_printed(tmp_path: Path, row: list[float]) -> None:
    total = f"{sum(row):.6g}"
    path = tmp_path / "predictions.csv"
    path.write_text("id,p_a,p_b,p_tie\n1,0.5,0.25,0.25\n2," + ",".join(map(str, row)))
    with pytest.raises(DataError, match=rf"row 2 has probabilities .* which sum to {total}; "):
        Predictions.read(path)
    votes = tmp_path / "votes.jsonl"
    votes.write_text(json.dumps(VOTES[0] | {"probabilities": row, "winner": None}))
    with pytest.raises(DataError, match=rf"row 1, column 'probabilities': .* sum to {total}, not 1"):
        read_votes(votes)
    with pytest.raises(DataError, match=rf"sum to {total}, not 1"):
        Battles.from_rows([VOTES[0] | {"probabilities": row}])
    rule = "sums to" if max(row) <= 1 else "must lie in"
    with pytest.raises(DataError, match=rule):
        log_loss(np.eye(3), [row] * 3)


def test_soft_labels_are_rescaled_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [VOTES[i] | {"winner": None, "probabilities": row.tolist()} for i, row in enumerate(ROUNDED["2 decimals"])]
    changed = int((np.abs(ROUNDED["2 decimals"].sum(axis=1) - 1) > 1e-6).sum())
    path = tmp_path / "votes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    reader = VoteReader(path)
    targets = Battles.concat(list(reader)).targets()
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-12)
    assert reader.report.repairs == {"rounded probabilities rescaled to sum to 1": changed}
    for given in (rows, pa.Table.from_pylist(rows)):
        with caplog.at_level(logging.WARNING):
            np.testing.assert_array_equal(as_battles(given).targets(), targets)
        assert f"{changed} of {ROWS} rows" in caplog.text
        caplog.clear()


def test_requests_are_rescaled() -> None:
    game = {"model_a": "x", "model_b": "y", "probabilities": [0.33, 0.33, 0.33]}
    (found,) = LeaderboardRequest.model_validate({"games": [game]}).games
    assert found.probabilities == pytest.approx((1 / 3, 1 / 3, 1 / 3), rel=1e-12)
