"""Test evaluation against another judge on the same votes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.data.outputs import write_predictions
from votecast.data.simulation import simulate
from votecast.errors import ArtifactError, DataError, LeakError
from votecast.judges.evaluate import evaluate
from votecast.metrics import paired_gain
from votecast.splits import PromptHashes

VOTES, TRUTH = next(simulate(rows=300, seed=4, batch=300))
BEST = TRUTH.probabilities
TIMID = (BEST + 1 / 3) / 2


@dataclass
class Fixed:
    """A judge with fixed predictions in either order."""

    p: np.ndarray
    name: str = "fixed"
    hash: str = "abc"
    prompt_hashes: PromptHashes | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def predict_proba(self, battles: Battles) -> np.ndarray:
        return self.p if battles.column("response_a").equals(VOTES.column("response_a")) else self.p[:, [1, 0, 2]]


def test_every_kind_of_predictions_stands_on_either_side(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    write_predictions([(VOTES.ids, TIMID)], file, judge={"name": "timid", "hash": "def"})
    found = evaluate(Fixed(BEST), VOTES, against=file, draws=100).against
    assert found is not None
    assert found.judge == {"name": "timid", "hash": "def"}
    assert any("leaks are not checked" in note for note in found.notes)
    swapped = evaluate(file, VOTES, against=(VOTES.ids, BEST), draws=100).against
    assert swapped is not None
    for name in ("log_loss", "accuracy", "brier", "ece"):
        assert swapped.differences[name].value == pytest.approx(-found.differences[name].value, abs=1e-9)
    assert found.differences["log_loss"].high < 0
    asked = evaluate(Fixed(BEST), VOTES, against=Fixed(TIMID), draws=100).against
    assert asked is not None
    assert asked.differences["flip_rate"].value == 0
    assert np.isnan(found.differences["flip_rate"].value)


def test_differences_are_paired_within_prompts_and_in_the_json() -> None:
    groups = np.arange(300) // 3
    found = evaluate(BEST, VOTES, against=TIMID, groups=groups, draws=200, seed=2)
    gain = paired_gain(VOTES.targets(), BEST, TIMID, VOTES.weights(), groups=groups, draws=200, seed=2)
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))["against"]
    assert values["differences"]["log_loss"]["value"] == pytest.approx(-gain[0])
    assert values["differences"]["log_loss"]["low"] == pytest.approx(-gain[2])
    assert values["metrics"]["log_loss"]["value"] > found.metrics["log_loss"].value
    assert "against" not in evaluate(BEST, VOTES, draws=0).to_dict()


def test_leaks_and_gaps_of_the_other_judge_are_named_as_its_own() -> None:
    known = Fixed(TIMID, prompt_hashes=PromptHashes.of(VOTES[:3]))
    with pytest.raises(LeakError, match="the judge to compare with: .* rows have prompts"):
        evaluate(BEST, VOTES, against=known)
    allowed = evaluate(BEST, VOTES, against=known, allow_leak=True, draws=0).against
    assert allowed is not None
    assert any("flatter it" in note for note in allowed.notes)
    with pytest.raises(DataError, match="the judge to compare with: 290 of 300 votes have no prediction"):
        evaluate(BEST, VOTES, against=(VOTES.ids[:10], TIMID[:10]))
    with pytest.raises(ArtifactError):
        evaluate(BEST, VOTES, against="no/such/judge")


def test_an_ensemble_with_partly_known_members_reports_it() -> None:
    judge = Fixed(BEST, prompt_hashes=PromptHashes.of(VOTES[:0]), notes={"unknown_prompts": ["c"]})
    assert any("the training prompts of c are unknown" in note for note in evaluate(judge, VOTES, draws=0).notes)
