"""Test agreement of two votes on one pair, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reports.audit.arena import drawn

from votecast.data.battles import Battles
from votecast.data.clean import aggregate_votes
from votecast.metrics.intervals import ClusterDraws
from votecast.reports.audit.agreement import Agreement
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.findings import ClusterSums
from votecast.types import CLASSES, Probabilities


def _rows(battles: Battles, p: Probabilities | None = None) -> AuditRows:
    clusters = np.unique(battles.text("prompt"), return_inverse=True)[1]
    targets = battles.targets()
    q = np.full(targets.shape, 1 / 3) if p is None else p
    sums = ClusterSums(battles.weights(), clusters, ClusterDraws(clusters, 100, 0))
    return AuditRows(battles, targets, q, None, sums, not targets[:, 2].any(), True, None, None, ())


def _votes(pair: str, winners: str) -> list[dict[str, str]]:
    row = {"prompt": f"Prompt {pair}", "response_a": f"x {pair}", "response_b": f"y {pair}"}
    return [row | {"winner": {"t": "tie"}.get(winner, winner)} for winner in winners]


def _found(battles: Battles, p: Probabilities | None = None) -> Agreement:
    found = Agreement.of(_rows(battles, p), 0)
    assert found is not None
    return found


def test_agreement_counts_every_pair_of_responses_once() -> None:
    found = _found(Battles.from_rows([*_votes("1", "aab"), *_votes("2", "tt"), *_votes("3", "a")]))
    assert (found.pairs, found.votes) == (2, 5)
    assert found.agreement.value == pytest.approx((1 / 3 + 1) / 2)
    assert found.majority.value == pytest.approx(((2 * 0.5 + 0) / 3 + 1) / 2)
    assert found.log_loss.value == pytest.approx(-np.log(2 / 3))
    assert found.brier.value == pytest.approx(1 / 3)
    assert found.accuracy.value == pytest.approx((1 + np.sqrt(2)) / 3)


def test_votes_on_the_other_order_are_swapped_first() -> None:
    rows = _votes("1", "a")
    swapped = rows[0] | {"response_a": rows[0]["response_b"], "response_b": rows[0]["response_a"], "winner": "b"}
    assert _found(Battles.from_rows([rows[0], swapped])).agreement.value == 1


def test_joined_votes_agree_as_much_as_single_ones() -> None:
    rows = [
        row for pair, winners in enumerate(["aab", "abt", "tt", "bbba", "ab"]) for row in _votes(str(pair), winners)
    ]
    single = Battles.from_rows(rows)
    joined = aggregate_votes(single)
    assert len(joined) == 5
    one, other = _found(single), _found(joined)
    assert one.agreement.value == pytest.approx(other.agreement.value)
    assert one.judge.value == pytest.approx(other.judge.value)
    assert one.votes == other.votes


def test_a_soft_label_is_not_several_votes() -> None:
    row = {"prompt": "p", "response_a": "x", "response_b": "y", "probabilities": [0.61, 0.3, 0.09]}
    assert Agreement.of(_rows(Battles.from_rows([row])), 0) is None


def test_without_ties_the_bound_of_the_accuracy_is_that_of_two_outcomes() -> None:
    found = _found(Battles.from_rows([*_votes("1", "aab"), *_votes("2", "bb")]))
    assert found.accuracy.value == pytest.approx((1 + np.sqrt(2 * found.agreement.value - 1)) / 2)


def test_the_truth_itself_stays_within_the_bounds() -> None:
    rng = np.random.default_rng(0)
    truth = rng.dirichlet([0.8, 0.8, 0.8], 400)
    rows, p = [], []
    for number, chances in enumerate(truth):
        winners = [CLASSES[vote] for vote in drawn(np.tile(chances, (3, 1)), number).argmax(axis=1)]
        rows += [row | {"winner": winner} for row, winner in zip(_votes(str(number), "aaa"), winners, strict=True)]
        p += [chances] * 3
    found = _found(Battles.from_rows(rows), np.array(p))
    assert found.agreement.value == pytest.approx(np.square(truth).sum(axis=1).mean(), abs=0.04)
    assert found.accuracy.value > truth.max(axis=1).mean()
    assert found.log_loss.value < -(truth * np.log(truth)).sum(axis=1).mean()
    assert found.brier.value == pytest.approx((1 - np.square(truth).sum(axis=1)).mean(), abs=0.04)
    assert found.judge_log_loss.value > found.log_loss.value
    assert found.log_loss.low < found.log_loss.value < found.log_loss.high
