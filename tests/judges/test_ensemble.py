"""Test ensembles: unbiased metrics, gains and judge folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.data.outputs import write_votes
from votecast.data.simulation import simulate
from votecast.errors import ArtifactError, ConfigError, DataError, LeakError
from votecast.judges.ensemble import ensemble
from votecast.judges.load import load_judge
from votecast.judges.recalibrate import calibrate_judge
from votecast.judges.shared_rows import shared_rows
from votecast.judges.trained import TrainedJudge
from votecast.metrics import group_folds, log_loss, paired_gain
from votecast.models import registry

VOTES, TRUTH = next(simulate(rows=300, seed=5, batch=300))
NEW = next(simulate(rows=120, seed=6, batch=120))[0]
METHODS = [("mean", "logistic"), ("weights", "logistic"), ("greedy", "logistic"), ("stack", "logistic")]
EVERY = [*METHODS, ("stack", "lightgbm")]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")


def judge(seed: int = 0, votes: Battles = VOTES, **overrides: Any) -> TrainedJudge:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return TrainedJudge("cheap", {"folds.n": 3, "seed": seed, "name": f"cheap {seed}"} | given).fit(votes)


def joined(method: str, stacker: str = "logistic", **options: Any) -> TrainedJudge:
    each = [judge(0), judge(1, model__steps=0), judge(2, model__steps=9)]
    return ensemble(each, method=method, stacker=stacker, draws=50, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "stacker"), EVERY)
def test_an_ensemble_is_a_judge_folder_like_any_other(method: str, stacker: str, tmp_path: Path) -> None:
    made = joined(method, stacker, out=tmp_path / "all", name="all of them")
    p = made.predict_proba(NEW)
    again = load_judge(tmp_path / "all")
    assert (again.name, again.hash, again.recipe.family) == ("all of them", made.hash, "ensemble")
    assert np.array_equal(again.predict_proba(NEW), p)
    assert np.array_equal(again.predict_proba(NEW.swapped())[:, [1, 0, 2]], p)
    assert (again.figures, again.notes) == (made.figures, made.notes)
    assert again.fitted.out_of_fold.ids == VOTES.ids
    assert np.array_equal(again.fitted.out_of_fold.raw, made.fitted.out_of_fold.raw)
    card = (tmp_path / "all" / "README.md").read_text()
    assert "An ensemble of 3 judges" in card
    assert "| cheap 1 | cheap | 300 rows |" in card
    assert "cheap 0 is built on weights that are not in this folder: name paper" in card
    again.save_pretrained(tmp_path / "copy")
    assert load_judge(tmp_path / "copy").hash == made.hash


@pytest.mark.parametrize(("method", "stacker"), METHODS)
def test_metrics_are_cross_fitted_by_prompt(method: str, stacker: str) -> None:
    from votecast.judges.combiners import combiner

    made = joined(method, stacker)
    each = {f"cheap {n}": one for n, one in enumerate((judge(0), judge(1, model__steps=0), judge(2, model__steps=9)))}
    rows, held = shared_rows(each), made.fitted.out_of_fold
    assert np.array_equal(held.fold, group_folds(rows.clusters, seed=42))
    for fold in range(5):
        here = held.fold == fold
        parts = (rows.targets[~here], rows.weights[~here], rows.clusters[~here])
        other = combiner(method, stacker)().fit(rows.predictions[:, ~here], *parts, 42)  # type: ignore[arg-type]
        assert np.array_equal(held.raw[here], other.predict(rows.predictions[:, here]))
        assert not set(rows.clusters[here]) & set(rows.clusters[~here])
    assert made.figures["metrics"]["log_loss"]["value"] == pytest.approx(log_loss(rows.targets, held.raw, rows.weights))
    for place, member in enumerate(made.notes["ensemble"]["members"]):
        assert member["metrics"]["log_loss"] == pytest.approx(log_loss(rows.targets, rows.predictions[place]))
        gain = paired_gain(rows.targets, held.raw, rows.predictions[place], groups=rows.clusters, draws=50, seed=42)
        assert tuple(member["gain"].values()) == pytest.approx(gain)


def test_an_ensemble_without_gain_reports_it() -> None:
    made = ensemble([judge(0), judge(1)], method="mean", draws=50)
    found = made.notes["ensemble"]
    assert found["better"] is False
    assert made.notes["limits"][0].startswith(f"no better than {found['best']}, its best judge alone")


def test_an_ensemble_with_gain_reports_it() -> None:
    rng = np.random.default_rng(0)
    noisy = [judge(n) for n in (0, 1, 2)]
    for one in noisy:
        raw = one.fitted.out_of_fold.raw
        one.fitted.out_of_fold.targets[:] = TRUTH.probabilities
        raw[:] = TRUTH.probabilities * np.exp(rng.normal(0, 1.5, raw.shape))
        raw /= raw.sum(axis=1, keepdims=True)
    found = ensemble(noisy, method="mean", draws=50).notes["ensemble"]
    assert found["better"] is True
    best = min(found["members"], key=lambda member: member["metrics"]["log_loss"])
    assert found["best"] == best["label"]


def test_a_judge_without_weight_is_left_out(tmp_path: Path) -> None:
    bad = judge(1, calibration__method="none")
    held = bad.fitted.out_of_fold
    held.raw[:] = held.targets[:, [1, 2, 0]] * 0.9 + 0.1 / 3
    made = ensemble([judge(0), bad], method="weights", draws=50, out=tmp_path / "e")
    assert [member["weight"] for member in made.notes["ensemble"]["members"]] == [1.0, 0.0]
    assert len(made.fitted.members[0].judges) == 1  # type: ignore[attr-defined]
    assert np.allclose(load_judge(tmp_path / "e").predict_proba(NEW), judge(0).predict_proba(NEW), rtol=0, atol=1e-12)
    assert "left out" in (tmp_path / "e" / "README.md").read_text()


def test_prompts_of_every_judge_are_leaks_of_the_ensemble() -> None:
    each = [judge(0, VOTES[:200]), judge(1, VOTES[100:])]
    made = ensemble(each, method="mean", draws=0)
    assert made.notes["ensemble"]["rows"]["common"] == 100
    assert made.prompt_hashes is not None
    assert len(made.prompt_hashes.overlap(VOTES)) == len(VOTES)
    with pytest.raises(LeakError):
        made.prompt_hashes.check(VOTES[:1])
    assert not len(made.prompt_hashes.overlap(NEW))


def test_new_votes_take_the_place_of_shared_rows_and_become_training_prompts(tmp_path: Path) -> None:
    write_votes(NEW, tmp_path / "new.jsonl")
    each = [judge(0, VOTES[:150]), judge(1, VOTES[150:])]
    explained = "no out-of-fold row in common.*'cheap 0' has 150: .*; 'cheap 1' has 150: .*--input"
    with pytest.raises(DataError, match=explained):
        ensemble(each)
    made = ensemble(each, method="stack", votes=tmp_path / "new.jsonl", draws=50)
    assert made.notes["reading"]["rows"] == 120
    assert set(made.figures["slices"]) == {"length", "turns", "language", "source"}
    assert made.prompt_hashes is not None
    assert len(made.prompt_hashes.overlap(NEW)) == 120
    mean = ensemble(each, method="mean", votes=NEW, draws=50)
    assert mean.prompt_hashes is not None
    assert not len(mean.prompt_hashes.overlap(NEW))
    with pytest.raises(DataError, match="has no out-of-fold rows to calibrate on; give votes"):
        calibrate_judge(mean)  # on votes that it would not know as seen
    with pytest.raises(LeakError, match=r"judge 'cheap \d' was trained"):
        ensemble(each, votes=VOTES[200:])
    swapped = ensemble(each, method="stack", votes=NEW.swapped(), draws=0)
    assert np.allclose(swapped.predict_proba(VOTES), made.predict_proba(VOTES), atol=1e-5)


def test_judges_whose_prompts_are_not_known_are_named() -> None:
    one, two = judge(0), judge(1)
    two._fitted = type(two.fitted)(**{**vars(two.fitted), "prompt_hashes": None})
    made = ensemble([one, two], method="mean", draws=0)
    assert made.notes["unknown_prompts"] == ["cheap 1"]
    assert any("the training prompts of cheap 1 are unknown" in limit for limit in made.notes["limits"])
    assert made.prompt_hashes is not None
    nested = ensemble([made, judge(2)], method="mean", draws=0)
    assert nested.notes["unknown_prompts"] == ["ensemble"]


def test_ensembles_of_ensembles_that_see_the_order(tmp_path: Path) -> None:
    biased = judge(0, model__bias_to_a=0.4)
    inner = ensemble([biased, judge(1)], method="mean", draws=50, name="inner")
    assert inner.figures["metrics"]["flip_rate"]["value"] > 0
    assert inner.fitted.out_of_fold.swapped is not None
    outer = ensemble([inner, judge(2)], method="stack", draws=50, out=tmp_path / "outer")
    again = load_judge(tmp_path / "outer")
    assert np.array_equal(again.predict_proba(NEW), outer.predict_proba(NEW))
    assert again.truncation(NEW).rows_cut == inner.truncation(NEW).rows_cut > 0  # type: ignore[union-attr]
    expected = shared_rows({"inner": inner, "other": judge(2)})
    assert np.array_equal(expected.predictions[0], inner.fitted.out_of_fold.raw)
    again.fitted.members[0].release()  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="has no settings of inference; drop precision"):
        again.run_with(precision="bf16")


def test_votes_without_ties_are_measured_as_such() -> None:
    decided = VOTES.take(np.flatnonzero(VOTES.targets()[:, 2] == 0))
    made = ensemble([judge(0, decided), judge(1, decided)], method="stack", draws=20)
    assert made.figures["settings"]["binary"] is True
    assert any("no vote for tie" in limit for limit in made.notes["limits"])
    own, members = made.figures["metrics"]["log_loss"]["value"], made.notes["ensemble"]["members"]
    for member in members:
        assert member["gain"]["value"] == pytest.approx(member["metrics"]["log_loss"] - own)
    assert np.isfinite(made.predict_proba(NEW)).all()


def test_origins_and_limits_of_the_judges_are_kept() -> None:
    one, two = judge(0), judge(1)
    origin = {"source": "mine", "licence": "CC0"}
    one.record(data_sources=[origin], limits=["it is only a test"])
    two.record(data_sources=[origin, {"source": "other", "licence": "MIT"}])
    made = ensemble([one, two], method="mean", draws=0)
    assert [entry["source"] for entry in made.notes["data_sources"]] == ["mine", "other"]
    assert "cheap 0: it is only a test" in made.notes["limits"]


def test_incompatible_judges_are_refused(tmp_path: Path) -> None:
    one, two = judge(0), judge(1)
    for given, error, message in (
        ([one], ConfigError, "at least two judges, and 1 is given"),
        ([one, one], ConfigError, r"'cheap 0' and 'cheap 0 \(2\)' are the same judge"),
        ([one, tmp_path / "absent"], ArtifactError, "absent"),
    ):
        with pytest.raises(error, match=message):
            ensemble(given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="limit is about a file of votes, and none is given"):
        ensemble([one, two], reader={"limit": 3})
    (tmp_path / "there").mkdir()
    with pytest.raises(ArtifactError, match="exists"):
        ensemble([one, two], out=tmp_path / "there")
    with pytest.raises(
        DataError, match=r"stack fits 7 numbers and needs 70 rows .* the smallest has 6 of 8: .*--method weights"
    ):
        ensemble([one, two], method="stack", votes=NEW[:8])
    assert ensemble([one, two], method="mean", votes=NEW[:8], draws=0).figures["rows"] == 8
    same = Battles.from_rows([{**row, "id": str(n), "prompt": "One?"} for n, row in enumerate(_rows(NEW))])
    with pytest.raises(DataError, match="120 rows share one prompt"):
        ensemble([one, two], method="weights", votes=same)
    with pytest.raises(DataError, match="has no vote|no vote"):
        ensemble([one, two], votes=[{"prompt": "p", "response_a": "x", "response_b": "y"}])


def test_an_ensemble_cannot_be_trained_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="made of fitted judges and cannot be trained itself"):
        TrainedJudge("ensemble").fit(VOTES)
    joined("mean", out=tmp_path / "e")
    config = json.loads((tmp_path / "e" / "config.json").read_text())
    assert config["recipe"]["model"] == {"judges": 3, "method": "mean", "stacker": "logistic"}


def _rows(votes: Battles) -> list[dict[str, Any]]:
    names = ("response_a", "response_b", "winner")
    return [{name: row[name] for name in names} for row in votes.table.to_pylist()]


def test_equal_weights_need_no_votes_that_count_in_every_fold() -> None:
    texts = [{"prompt": f"Why {number}?", "response_a": "x", "response_b": "y"} for number in range(9)]
    votes = [row | {"winner": "a", "weight": float(place == 0)} for place, row in enumerate(texts)]
    made = ensemble([judge(0), judge(1)], method="mean", votes=votes, draws=0)
    assert made.notes["ensemble"]["learnt"]["weights"] == [0.5, 0.5]


def test_a_judge_that_was_calibrated_on_its_own_training_prompts_is_named() -> None:
    leaked = calibrate_judge(judge(1), VOTES, method="shift", draws=0, allow_leak=True)
    made = ensemble([judge(0), leaked], method="mean", draws=0)
    assert any(
        "cheap 1 was calibrated on votes with prompts of its own training" in one for one in made.notes["limits"]
    )
    made = ensemble([judge(0), leaked], method="mean", votes=NEW, draws=0)
    assert not any("was calibrated on votes" in one for one in made.notes["limits"])
