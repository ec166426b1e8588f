"""Test that audits detect planted faults and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reports.audit.arena import Oracle, drawn, sharpened, tilted

from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.features.style import length_gap
from votecast.metrics.intervals import ClusterDraws
from votecast.reports.audit import audit_judge
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.biases import ModelBiases, Position
from votecast.reports.audit.findings import FAULTS, ClusterSums, correct_findings, list_findings
from votecast.reports.audit.slices import measure_slices
from votecast.reports.audit.style_bias import ResponseStyle, StyleBias
from votecast.types import Probabilities

World = tuple[Battles, Probabilities]


def test_a_judge_that_prefers_the_longer_answer_is_found_out(world: World) -> None:
    battles, p = world
    judge = Oracle(battles, p, lambda shown, q: tilted(q, 0.6 * length_gap(shown) / np.log(2)))
    audit = audit_judge(judge, battles, draws=20)
    assert audit.style is not None
    traits = {trait.name: trait for trait in audit.style.traits}
    assert traits["length"].overrated.above
    assert traits["length"].overrated.value == pytest.approx(0.6, abs=0.2)
    assert traits["length"].unused.below
    assert [name for name, trait in traits.items() if trait.overrated.marked] == ["length"]


def test_a_judge_that_prefers_the_first_answer_is_found_out(world: World) -> None:
    battles, p = world
    audit = audit_judge(Oracle(battles, p, lambda _, q: tilted(q, np.full(len(q), 0.5))), battles, draws=50)
    found = audit.position
    assert found is not None
    assert found.pull.above
    assert found.lean_gap.above
    assert found.averaged_gain.above
    assert found.first_both.value > 0.05
    assert found.second_both.value == 0
    assert found.flips.value > 0.05


def test_a_judge_that_is_too_sure_in_one_language_is_found_out(world: World) -> None:
    battles, p = world
    languages = np.array(battles.column("language").to_pylist())
    q = sharpened(p, np.where(languages == "de", 2.5, 1.0))
    audit = audit_judge(Oracle(battles, q), battles, draws=20)
    marked = {part.name for part in audit.slices if part.kind == "language" and part.excess.marked}
    assert marked == {"de"}


def test_a_judge_that_favours_one_model_is_found_out(world: World) -> None:
    battles, p = world
    sides = [np.array(battles.column(name).to_pylist()) for name in ("model_a", "model_b")]
    names, counts = np.unique(np.concatenate(sides), return_counts=True)
    friend = str(names[counts.argmax()])
    lead = (sides[0] == friend).astype(float) - (sides[1] == friend)
    audit = audit_judge(Oracle(battles, tilted(p, 1.2 * lead)), battles, draws=20)
    assert audit.models is not None
    assert [model.name for model in audit.models.models if model.favoured.marked] == [friend]
    assert next(model for model in audit.models.models if model.name == friend).favoured.value > 0.08


def test_a_judge_that_predicts_too_few_ties_is_detected(world: World) -> None:
    battles, p = world
    q = p * [1, 1, 0.4]
    audit = audit_judge(Oracle(battles, q / q.sum(axis=1, keepdims=True)), battles, draws=50)
    assert audit.ties is not None
    assert audit.ties.gap.below
    assert audit.ties.predicted.high < audit.ties.voted.low


def test_the_true_probabilities_raise_no_finding(world: World) -> None:
    battles, p = world
    audit = audit_judge(Oracle(battles, p), battles, draws=20)
    assert audit.style is not None
    assert audit.models is not None
    assert audit.position is not None
    assert not audit.excess.marked
    assert not any(trait.overrated.marked or trait.unused.marked for trait in audit.style.traits)
    assert not any(model.favoured.marked for model in (*audit.models.models, *audit.models.families))
    assert not any(part.excess.marked or part.gain.below or part.tie_gap.marked for part in audit.slices)
    assert audit.position.flips.value == 0


def null_alarms(world: World, redraws: int) -> float:
    """Return how often an audit of the truth raises an alarm."""
    battles, p = world
    clusters = prompt_clusters(battles, seed=0)
    form, sums = ResponseStyle.of(battles), ClusterSums(np.ones(len(battles)), clusters, ClusterDraws(clusters, 0, 0))
    prior, alarms = np.tile(p.mean(axis=0), (len(p), 1)), 0
    for seed in range(redraws):
        rows = AuditRows(battles, drawn(p, seed), p, p, sums, False, True, None, None, ())
        whole = rows.sums.test_mean(rows.excess), rows.sums.test_mean(rows.tie_gap)
        parts = (
            measure_slices(rows, form, prior, 0),
            StyleBias.of(rows, form),
            ModelBiases.of(rows, ()),
            Position.of(rows),
        )
        found, _ = correct_findings((whole, parts))
        alarms += _has_fault(found)
    return alarms / redraws


def test_false_alarms_are_as_rare_as_the_correction_promises(world: World) -> None:
    battles, p = world
    assert null_alarms((battles[:900], p[:900]), 60) <= 0.15  # 5 % promised; chance of more than 15 % about 0.2 %


def _has_fault(value: object) -> bool:
    return any(one.marked and one.family == FAULTS for one in list_findings(value))
