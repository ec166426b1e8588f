"""Test decisions: controlled error, clustered votes, abstention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from votecast import simulate
from votecast.data.battles import Battles
from votecast.data.outputs import read_predictions, write_votes
from votecast.data.simulation.votes import davidson
from votecast.errors import ArtifactError, ConfigError, DataError, LeakError
from votecast.jobs.decide import DecisionRule, decide_file, fit_rule
from votecast.splits import PromptHashes

ASKED: dict[str, Any] = {"error": 0.2, "confidence": 0.9}


def arena(rows: int, seed: int) -> tuple[Battles, dict[str, np.ndarray]]:
    """Return votes with high agreement, and true probabilities by id."""
    battles, truth = next(simulate(rows, seed, batch=rows))
    true = davidson(4 * (truth.qualities[:, 0] - truth.qualities[:, 1]), 0.5)
    rng = np.random.default_rng(seed)
    votes = [("a", "b", "tie")[rng.choice(3, p=p)] for p in true]
    rows_ = [battle.model_dump() | {"winner": vote} for battle, vote in zip(battles, votes, strict=True)]
    return Battles.from_rows(rows_), dict(zip(truth.ids, true, strict=True))


class Oracle:
    """A judge that knows the true probabilities."""

    name, hash = "knowing", "1f" * 32

    def __init__(self, known: dict[str, np.ndarray], trained_on: Battles | None = None) -> None:
        self.known = known
        self.prompt_hashes = None if trained_on is None else PromptHashes.of(trained_on)
        self.swaps = False

    def predict_proba(self, battles: Any) -> np.ndarray:
        p = np.array([self.known[name] for name in battles.ids]).reshape(-1, 3)
        return p[:, [1, 0, 2]] if self.swaps else p


VOTES, TRUE = arena(500, 3)
JUDGE = Oracle(TRUE)
RULE = fit_rule(JUDGE, VOTES, **ASKED)
P = np.array([TRUE[name] for name in VOTES.ids])


def test_the_error_of_decided_pairs_is_controlled() -> None:
    decisions, sure = RULE.decide(P)
    chosen = np.array(decisions)
    decided = chosen != "open"
    assert 0.2 < decided.mean() < 1
    assert RULE.threshold is not None
    assert np.array_equal(decided, (sure >= RULE.threshold) & (P[:, 0] != P[:, 1]))
    assert (chosen[decided] == np.where(P[decided, 0] > P[decided, 1], "a", "b")).all()
    assert (1 - sure[decided]).mean() <= 0.2


def test_a_stricter_level_decides_less_and_a_laxer_one_more() -> None:
    shares = [
        np.mean([name != "open" for name in fit_rule(JUDGE, VOTES, error=e, confidence=0.9).decide(P)[0]])
        for e in (0.12, 0.2, 0.3)
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


@pytest.mark.parametrize("method", ["ltt", "sgr"])
def test_swapping_responses_swaps_the_decisions(method: Any) -> None:
    swapped = Oracle(TRUE)
    swapped.swaps = True
    one = fit_rule(JUDGE, VOTES, method=method, **ASKED)
    other = fit_rule(swapped, VOTES.swapped(), method=method, **ASKED)
    assert one.found == other.found
    swapped_rows = {"a": "b", "b": "a", "open": "open"}
    assert [swapped_rows[name] for name in other.decide(P[:, [1, 0, 2]])[0]] == one.decide(P)[0]


def test_equal_chances_are_never_decided() -> None:
    rule = fit_rule(JUDGE, VOTES, error=0.9, confidence=0.5)
    assert rule.decide(np.array([[0.5, 0.5, 0.0], [0.6, 0.4, 0.0]]))[0] == ["open", "a"]


def test_many_votes_on_one_prompt_count_once() -> None:
    rows = [battle.model_dump() for battle in VOTES]
    again = Battles.from_rows(rows + [rows[0]] * 400)
    rule = fit_rule(JUDGE, again, **ASKED)
    assert (rule.votes, rule.prompts) == (900, RULE.prompts)
    assert rule.found.rows == RULE.found.rows
    one = fit_rule(JUDGE, Battles.from_rows([rows[0]] * 400), **ASKED)
    assert (one.prompts, one.threshold) == (1, None)


def test_soft_labels_are_votes_that_are_drawn_and_weights_count_within_a_prompt() -> None:
    rows = [battle.model_dump() | {"winner": None, "probabilities": tuple(TRUE[battle.id])} for battle in VOTES]
    soft = fit_rule(JUDGE, Battles.from_rows(rows), **ASKED)
    assert soft.threshold is not None
    wrong = VOTES.swapped()
    both = [row | {"id": name} for row, name in zip(rows, VOTES.ids, strict=True)]
    both += [battle.model_dump() | {"weight": 0.0} for battle in wrong]
    weighted = fit_rule(JUDGE, Battles.from_rows(both), **ASKED)
    assert weighted.threshold is not None
    assert "weights count among the votes of one prompt" not in " ".join(weighted.notes)  # all that count are alike
    with pytest.raises(DataError, match="weights of all calibration votes are 0"):
        fit_rule(JUDGE, Battles.from_rows(both[500:]), **ASKED)


def test_only_ties_and_too_few_votes_abstain_with_a_reason() -> None:
    ties = Battles.from_rows([battle.model_dump() | {"winner": "tie"} for battle in VOTES])
    rule = fit_rule(JUDGE, ties, **ASKED)
    assert set(rule.decide(P)[0]) == {"open"}
    assert "were wrong" in rule.describe_bound()
    few = fit_rule(JUDGE, VOTES[:12], **ASKED)
    assert few.threshold is None
    assert "it takes 11 to rule out an error above 0.2" in few.describe_bound()


def test_votes_the_judge_was_trained_on_are_refused() -> None:
    judge = Oracle(TRUE, VOTES[:200])
    with pytest.raises(LeakError, match="rows have prompts on which the judge was trained"):
        fit_rule(judge, VOTES, **ASKED)
    rule = fit_rule(judge, VOTES, allow_leak=True, **ASKED)
    assert rule.describe_bound().startswith("there is no bound: 2")
    assert "has no hashes" in RULE.notes[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"error": 0.0}, "error is 0; allowed are numbers above 0 and below 1"),
        ({"error": 1.0}, "error is 1;"),
        ({"error": float("nan")}, "error is nan"),
        ({"confidence": 1.0}, "confidence is 1;"),
        ({"confidence": -0.1}, "confidence is -0.1;"),
        ({"method": "guess"}, "allowed are ltt and sgr"),
    ],
)
def test_invalid_options_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_rule(JUDGE, VOTES, **(ASKED | asked))


def test_a_file_is_decided_row_by_row_in_any_container(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    write_votes(VOTES[:300], pairs)
    for name in ("d.csv", "d.jsonl", "d.parquet"):
        summary = decide_file(JUDGE, RULE, pairs, tmp_path / name)
        ids, p, cited = read_predictions(tmp_path / name)
        decisions = RULE.decide(P[:300])[0]
        assert (ids, cited) == (VOTES.ids[:300], {"name": "knowing", "hash": JUDGE.hash})
        assert np.allclose(p, P[:300])
        assert summary["decisions"] == {kind: decisions.count(kind) for kind in ("a", "b", "open")}
        side = json.loads((tmp_path / f"{name}.settings.json").read_text())
        assert side["settings"]["about"]["promise"] == RULE.describe_bound()
        assert side["decisions"] == summary["decisions"]
    table = pq.read_table(tmp_path / "d.parquet")
    assert table.column_names == ["id", "p_a", "p_b", "p_tie", "decision", "confidence"]
    assert table.column("decision").to_pylist() == decisions
    lines = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert [line["decision"] for line in lines] == decisions


def test_a_finished_file_is_kept_and_reused(tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "d.csv"
    write_votes(VOTES[:50], pairs)
    first = decide_file(JUDGE, RULE, pairs, out)
    before = out.read_bytes()
    with pytest.raises(ArtifactError, match="already exists"):
        decide_file(JUDGE, RULE, pairs, out)
    again = decide_file(JUDGE, RULE, pairs, out, resume=True)
    assert (again["reused"], again["decisions"], out.read_bytes()) == (50, first["decisions"], before)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_rule_belongs_to_its_judge(tmp_path: Path) -> None:
    other = Oracle(TRUE)
    other.hash = "2e" * 32
    with pytest.raises(ConfigError, match="the rule was fitted for the judge 'knowing'"):
        decide_file(other, RULE, tmp_path / "pairs.jsonl", tmp_path / "d.csv")


def test_a_rule_is_json_able() -> None:
    values = json.loads(json.dumps(RULE.to_dict()))
    assert values["found"]["threshold"] == RULE.threshold
    assert isinstance(RULE, DecisionRule)
