"""Test the audit: JSON, unchanged inputs, small and odd inputs, errors."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reports.audit.arena import Oracle, arena, tilted

from votecast.data.battles import Battles
from votecast.data.outputs import write_predictions
from votecast.errors import ArtifactError, ConfigError, DataError, LeakError
from votecast.judges.evaluate import Predictions, evaluate
from votecast.judges.trained import TrainedJudge
from votecast.reports.audit import Audit, audit_judge
from votecast.reports.audit import audit_rows as rows_module
from votecast.reports.audit.audit_result import as_json
from votecast.reports.audit.audit_rows import NO_HASHES, NO_JUDGE, NO_PROMPTS
from votecast.text.truncation import TruncationReport
from votecast.types import Probabilities, swap_columns

World = tuple[Battles, Probabilities]


def _some(world: World, rows: int) -> tuple[Battles, Probabilities]:
    return world[0][:rows], world[1][:rows]


def _json(audit: Audit) -> str:
    return json.dumps(audit.to_dict(), allow_nan=False)


@pytest.fixture(scope="module")
def trained(world: World) -> TrainedJudge:
    return TrainedJudge("baseline", {"folds.n": 2}).fit(world[0][:300])


def test_an_audit_is_json_and_the_same_every_time(world: World) -> None:
    battles, p = _some(world, 300)
    first, second = (audit_judge(Oracle(battles, p), battles, draws=20) for _ in range(2))
    assert _json(first) == _json(second)
    assert list(first.to_dict()) == [field.name for field in fields(Audit)]


def test_the_judge_is_asked_once_for_each_order(world: World) -> None:
    battles, p = _some(world, 60)
    judge = Oracle(battles, p)
    audit_judge(judge, battles, draws=5)
    assert judge.asked == 2


def test_headline_and_baselines_are_those_of_evaluate(world: World) -> None:
    battles, p = _some(world, 300)
    audit = audit_judge(Oracle(battles, p), battles, draws=30)
    known = evaluate(Oracle(battles, p), battles, draws=30)
    assert audit.headline == known.metrics
    for baseline in audit.baselines[:3]:
        assert baseline.metrics["log_loss"] == pytest.approx(known.baselines[baseline.name]["log_loss"])
        assert baseline.gain == pytest.approx(known.baselines[baseline.name]["log_loss_gain"])


def test_swapping_responses_changes_only_the_position_results(world: World) -> None:
    battles, p = _some(world, 400)
    judge = Oracle(battles, p, lambda _, q: tilted(q, np.full(len(q), 0.4)))
    one, other = audit_judge(judge, battles, draws=20), audit_judge(judge, battles.swapped(), draws=20)
    assert one.position is not None
    assert other.position is not None
    assert one.position.flips == pytest.approx(other.position.flips)
    assert one.position.pull.value == pytest.approx(other.position.pull.value)
    assert one.position.votes_lean.value == pytest.approx(-other.position.votes_lean.value)
    assert audit_judge(Oracle(battles, p), battles, draws=0).excess.value == pytest.approx(
        audit_judge(Oracle(battles, p), battles.swapped(), draws=0).excess.value
    )
    fair, swapped = (audit_judge(Oracle(battles, p), shown, draws=20) for shown in (battles, battles.swapped()))
    assert fair.style is not None
    assert swapped.style is not None
    for trait, same in zip(fair.style.traits, swapped.style.traits, strict=True):
        assert trait.overrated.value == pytest.approx(same.overrated.value, abs=1e-6)
    for part, same_part in zip(fair.slices, swapped.slices, strict=True):
        assert part.log_loss == pytest.approx(same_part.log_loss)
        assert part.excess.value == pytest.approx(same_part.excess.value)
    assert fair.models is not None
    assert swapped.models is not None
    for model, same_model in zip(fair.models.models, swapped.models.models, strict=True):
        assert model.favoured.value == pytest.approx(same_model.favoured.value)


def test_a_trained_judge_is_described(world: World, trained: TrainedJudge) -> None:
    audit = audit_judge(trained, world[0][300:420], allow_leak=True, draws=10)
    assert (audit.judge.family, audit.judge.rows, audit.judge.folds) == ("baseline", 300, "grouped, 2")
    assert audit.judge.hash == trained.hash
    assert audit.judge.calibration == "temperature"
    assert audit.truncation is None
    assert audit.position is not None
    assert audit.position.flips.value == 0


def test_order_invariant_judges_are_spot_checked_in_the_other_order(
    world: World, trained: TrainedJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    battles = world[0][300:420]
    whole = audit_judge(trained, battles, allow_leak=True, draws=5)
    monkeypatch.setattr(rows_module, "ORDER_ROWS", 10)
    some = audit_judge(trained, battles, allow_leak=True, draws=5)
    assert as_json(some.position) == as_json(whole.position)
    assert any("checked on 10 rows" in note for note in some.notes)
    monkeypatch.setattr(type(trained.fitted.members[0]), "order_matters", True, raising=False)
    assert not any("checked on" in note for note in audit_judge(trained, battles, allow_leak=True, draws=5).notes)


def test_votes_on_training_prompts_are_refused_or_counted(world: World, trained: TrainedJudge) -> None:
    with pytest.raises(LeakError, match="on which the judge was trained"):
        audit_judge(trained, world[0][200:400], draws=0)
    assert (audit_judge(trained, world[0][200:400], allow_leak=True, draws=0).votes.leaks or 0) >= 100


def test_a_judge_without_hashes_is_audited_as_unchecked(world: World) -> None:
    battles, p = _some(world, 40)
    audit = audit_judge(Oracle(battles, p), battles, draws=5)
    assert audit.votes.leaks is None
    assert NO_HASHES in audit.notes


def test_predictions_alone_are_audited_without_the_other_order(world: World, tmp_path: Path) -> None:
    battles, p = _some(world, 120)
    audit = audit_judge(Predictions(battles.ids[::-1], p[::-1], name="mine"), battles, draws=10)
    assert audit.judge.name == "mine"
    assert audit.position is None
    assert NO_JUDGE in audit.notes
    assert audit.headline["log_loss"] == audit_judge(Oracle(battles, p), battles, draws=10).headline["log_loss"]
    write_predictions([(battles.ids, p)], tmp_path / "p.csv", judge={"name": "mine", "hash": "h"})
    assert audit_judge(tmp_path / "p.csv", battles, draws=10).headline["accuracy"] == audit.headline["accuracy"]
    assert _json(audit)


def test_thirty_rows_are_enough_to_be_audited(world: World) -> None:
    battles, p = _some(world, 30)
    audit = audit_judge(Oracle(battles, p), battles, draws=20)
    assert audit.votes.rows == 30
    assert len(audit.baselines) == 4
    assert _json(audit)


@pytest.mark.parametrize("rows", [1, 2])
def test_one_vote_gives_an_audit_without_intervals(world: World, rows: int) -> None:
    battles, p = _some(world, rows)
    audit = audit_judge(Oracle(battles, p), battles, draws=10)
    assert audit.votes.rows == rows
    assert _json(audit)


def test_one_prompt_has_no_intervals_and_no_tests(world: World) -> None:
    rows = [
        {"prompt": "Why?", "response_a": f"Because {i}.", "response_b": "No" * i, "winner": "ab"[i % 2]}
        for i in range(40)
    ]
    battles = Battles.from_rows(rows)
    audit = audit_judge(Oracle(battles, np.full((40, 3), 1 / 3)), battles, draws=20)
    assert audit.votes.prompts == 1
    assert audit.settings["tests"] == {"faults": 0, "differences": 0}
    assert [baseline.name for baseline in audit.baselines] == ["uniform", "prior", "longer"]
    assert _json(audit)


def test_binary_votes_are_audited_without_ties(world: World) -> None:
    battles, p = world
    kept = np.flatnonzero(battles.targets()[:, 2] == 0)[:200]
    audit = audit_judge(Oracle(battles, p), battles.take(kept), draws=10)
    assert audit.votes.binary
    assert audit.ties is None
    assert audit.confusion.classes == ("a", "b")
    assert list(audit.reliability) == ["top", "a", "b"]
    assert all(np.isnan(part.tie_gap.value) for part in audit.slices)
    assert _json(audit)


def test_votes_of_one_kind_only_are_audited(world: World) -> None:
    battles, p = world
    ties = np.flatnonzero(battles.targets()[:, 2] == 1)[:60]
    audit = audit_judge(Oracle(battles, p), battles.take(ties), draws=10)
    assert audit.votes.shares["tie"] == 1
    assert _json(audit)


def test_without_model_names_there_are_no_model_results() -> None:
    rows = [
        {
            "prompt": f"Question {i}?",
            "response_a": "Yes.",
            "response_b": "No, because.",
            "winner": ("a", "b", "tie")[i % 3],
        }
        for i in range(60)
    ]
    battles = Battles.from_rows(rows)
    audit = audit_judge(Oracle(battles, np.full((60, 3), 1 / 3)), battles, draws=10)
    assert audit.models is None
    assert [shown.models for shown in audit.mistakes] in ([], [(None, None)] * len(audit.mistakes))


def test_rows_without_texts_are_audited_row_by_row() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": [], "response_a": [], "response_b": [], "winner": ("a", "b", "tie")[i % 3], "source": "xy"[i % 2]}
        for i in range(90)
    ]
    battles = Battles.from_rows(rows)
    predictions = np.random.default_rng(0).dirichlet([1, 1, 1], 90)

    class Scores:
        name, hash = "scores", ""

        def predict_proba(self, shown: Any) -> Probabilities:
            return predictions if shown is battles else swap_columns(predictions)

    audit = audit_judge(Scores(), battles, draws=10)
    assert NO_PROMPTS in audit.notes
    assert (audit.style, audit.people, audit.mistakes, audit.closest) == (None, None, (), ())
    assert {part.kind for part in audit.slices} == {"source"}
    assert [baseline.name for baseline in audit.baselines] == ["uniform", "prior"]
    assert audit.votes.prompts == 90
    assert _json(audit)


def test_soft_votes_and_weights_count(world: World) -> None:
    battles, p = _some(world, 50)
    rows = [
        battle.model_dump() | {"probabilities": (0.5, 0.25, 0.25), "winner": None, "weight": 2.0} for battle in battles
    ]
    audit = audit_judge(Predictions(battles.ids, p), rows, draws=5)
    assert audit.votes.soft == 50
    assert audit.votes.shares == pytest.approx({"a": 0.5, "b": 0.25, "tie": 0.25})


def test_truncated_rows_are_reported_and_sliced(world: World) -> None:
    battles, p = _some(world, 400)

    class Short(Oracle):
        def predict_with_truncation(self, shown: Any) -> tuple[Probabilities, TruncationReport]:
            full = np.column_stack(
                [[len(text) for text in shown.text(name)] for name in ("prompt", "response_a", "response_b")]
            )
            return self.predict_proba(shown), TruncationReport(np.minimum(full, [10**6, 500, 500]), full)

    audit = audit_judge(Short(battles, p), battles, draws=20)
    longest = np.maximum(
        *(np.array([len(text) for text in battles.text(name)]) for name in ("response_a", "response_b"))
    )
    assert audit.truncation is not None
    assert audit.truncation.rows == int((longest > 500).sum())
    assert 0 < audit.truncation.unread.value < 1
    assert audit.truncation.parts["prompt"] == 0
    assert sum(part.rows for part in audit.slices if part.kind == "truncation") == 400


def test_slices_of_a_kind_are_all_the_rows(world: World) -> None:
    battles, p = _some(world, 400)
    audit = audit_judge(Oracle(battles, p), battles, draws=5)
    for kind in ("length", "turns", "language", "category"):
        parts = [part for part in audit.slices if part.kind == kind]
        assert sum(part.rows for part in parts) == 400
        losses = sum(part.rows * part.log_loss.value for part in parts) / 400
        assert losses == pytest.approx(audit.headline["log_loss"].value)


def test_mistakes_are_the_surest_wrong_decisions_with_their_texts(world: World) -> None:
    battles, p = _some(world, 400)
    audit = audit_judge(Oracle(battles, p), battles, draws=5)
    targets = battles.targets()
    wrong = targets.argmax(axis=1) != p.argmax(axis=1)
    shown = audit.mistakes[0]
    row = battles.ids.index(shown.id)
    assert p[row].max() == p[wrong].max()
    assert shown.prompt.startswith(battles.text("prompt")[row][:100])
    assert shown.models == (battles[row].model_a, battles[row].model_b)
    sureness = [max(each.predicted) for each in audit.mistakes]
    assert sureness == sorted(sureness, reverse=True)
    assert len({each.prompt for each in audit.mistakes}) == len(audit.mistakes)
    entropy = [-sum(x * np.log(x) for x in each.predicted) for each in audit.closest]
    assert entropy == sorted(entropy, reverse=True)


def test_own_family_among_the_models_is_reported() -> None:
    battles, p = arena(200)
    from votecast.reports.audit.audit_rows import predict_audit_rows
    from votecast.reports.audit.biases import ModelBiases

    rows = predict_audit_rows(Oracle(battles, p), battles, allow_leak=False, out_of_fold=False, draws=5, seed=0)
    found = ModelBiases.of(rows, ["somebody/Juniper-7B-base"])
    assert found is not None
    assert (found.own, found.own_among) == (("juniper",), ("juniper",))
    other = ModelBiases.of(rows, ["microsoft/deberta-v3-small"])
    assert other is not None
    assert (other.own, other.own_among) == (("deberta",), ())


def test_invalid_audits_are_refused(world: World, tmp_path: Path) -> None:
    battles, p = _some(world, 10)
    with pytest.raises(DataError, match="no votes to audit on"):
        audit_judge(Oracle(battles, p), [])
    with pytest.raises(DataError, match="has no vote"):
        audit_judge(Oracle(battles, p), [{"prompt": "p", "response_a": "x", "response_b": "y"}])
    with pytest.raises(DataError, match="allowed are a judge"):
        audit_judge(3, battles)
    with pytest.raises(DataError, match="have no prediction"):
        audit_judge(Predictions(["nobody"], [[1, 0, 0]]), battles)
    with pytest.raises(ArtifactError):
        audit_judge(tmp_path / "nothing", battles)
    with pytest.raises(ConfigError, match="draws is -1"):
        audit_judge(Oracle(battles, p), battles, draws=-1)

    class Broken:
        def predict_proba(self, shown: Battles) -> Probabilities:
            return np.full((len(shown), 3), np.nan)

    with pytest.raises(DataError, match="finite"):
        audit_judge(Broken(), battles)
