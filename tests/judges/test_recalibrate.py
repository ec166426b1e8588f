"""Test recalibration on new votes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.judges.scored import scored_votes, with_scores

from votecast.calibration import Chain, make_calibrator
from votecast.data.battles import SCHEMA, Battles
from votecast.data.outputs.score_files import Scores
from votecast.data.simulation import simulate
from votecast.errors import ConfigError, DataError, LeakError
from votecast.judges.ensemble import ensemble
from votecast.judges.link_scores import link_judge
from votecast.judges.recalibrate import calibrate_judge
from votecast.judges.trained import TrainedJudge
from votecast.metrics import log_loss


def arena(rows: int, seed: int) -> Battles:
    battles, _ = next(simulate(rows=rows, seed=seed, batch=rows))
    return battles


def cast(battles: Battles, names: list[str]) -> Battles:
    """Return the same battles with these votes."""
    table = battles.table
    for name, column in (("winner", pa.array(names, pa.large_string())), ("probabilities", None)):
        field = SCHEMA.field(name)
        values = pa.nulls(len(battles), field.type) if column is None else column
        table = table.set_column(table.column_names.index(name), field, values)
    return Battles(table)


TRAIN = arena(400, 0)


@pytest.fixture(scope="module")
def judge() -> TrainedJudge:
    return TrainedJudge("baseline", {"folds.n": 2}).fit(TRAIN)


@pytest.fixture(scope="module")
def others(judge: TrainedJudge) -> Battles:
    """Return votes on unseen prompts by people who mostly tie."""
    battles = arena(900, 5)
    unseen = np.setdiff1d(np.arange(len(battles)), judge.prompt_hashes.overlap(battles))
    battles = battles.take(unseen[:300])
    rng = np.random.default_rng(0)
    names = battles.column("winner").to_pylist()
    return cast(battles, ["tie" if rng.random() < 0.6 else name for name in names])


def test_a_gain_is_measured_on_votes_held_out_from_the_calibrator(judge: TrainedJudge, others: Battles) -> None:
    made = calibrate_judge(judge, others, draws=100)
    entry = made.notes["calibration"][-1]
    assert entry["gain"]["low"] > 0
    before = log_loss(others.targets(), judge.predict_proba(others))
    assert entry["before"]["log_loss"]["value"] == pytest.approx(before)
    own = log_loss(others.targets(), made.predict_proba(others))
    assert own < entry["after"]["log_loss"]["value"] < before
    assert entry["after"]["ece"]["value"] < entry["before"]["ece"]["value"]
    assert entry["rows"] == len(others) and entry["method"] == "auto"
    assert "calibration" not in judge.notes


def test_it_is_the_same_judge_otherwise(judge: TrainedJudge, others: Battles) -> None:
    made = calibrate_judge(judge, others, method="vector", draws=0)
    assert made.fitted.members is judge.fitted.members
    assert made.fitted.out_of_fold is judge.fitted.out_of_fold
    assert isinstance(made.fitted.calibrator, Chain)
    assert made.fitted.calibrator.parts[0] is judge.fitted.calibrator
    p, q = made.predict_proba(others), made.predict_proba(others.swapped())
    assert np.array_equal(q, p[:, [1, 0, 2]])


def test_calibration_prompts_are_recorded(judge: TrainedJudge, others: Battles) -> None:
    made = calibrate_judge(judge, others, method="shift", draws=0)
    assert len(made.prompt_hashes.overlap(others)) == len(others)
    assert len(made.prompt_hashes.overlap(TRAIN)) == len(TRAIN)
    with pytest.raises(LeakError, match="on which the judge was trained"):
        calibrate_judge(made, others)
    with pytest.raises(LeakError):
        calibrate_judge(judge, TRAIN)
    assert (
        calibrate_judge(judge, TRAIN, method="shift", draws=0, allow_leak=True).notes["calibration"][0]["leaked"] == 400
    )


def test_a_judge_of_unknown_training_prompts_stays_one(judge: TrainedJudge, others: Battles) -> None:
    foreign = TrainedJudge.of(judge.recipe, replace(judge.fitted, prompt_hashes=None))
    made = calibrate_judge(foreign, others[:200], method="shift", draws=0)
    assert len(made.prompt_hashes.overlap(others[:200])) == 200
    assert made.notes["unknown_prompts"] == [judge.name]
    twice = calibrate_judge(made, others[200:], method="shift", draws=0, allow_leak=True)
    assert twice.notes["unknown_prompts"] == [judge.name]


@pytest.mark.parametrize("by", [None, "turns", "language", "source"])
def test_a_loaded_judge_predicts_the_same_bits(
    judge: TrainedJudge, others: Battles, tmp_path: Path, by: str | None
) -> None:
    once = calibrate_judge(judge, others[:200], by=by, draws=0)
    twice = calibrate_judge(once, others[200:], method="isotonic", draws=0, allow_leak=True)
    twice.save_pretrained(tmp_path / "judge")
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(others), twice.predict_proba(others))
    assert again.hash == twice.hash
    assert len(again.notes["calibration"]) == 2
    assert [entry["name"] for entry in again.notes["calibration"]] == [e["name"] for e in twice.notes["calibration"]]
    card = (tmp_path / "judge" / "README.md").read_text()
    assert "## Recalibration" in card and "isotonic: 100 votes" in card


def test_the_same_votes_give_the_same_judge(judge: TrainedJudge, others: Battles) -> None:
    one, two = (calibrate_judge(judge, others, by="turns", draws=50) for _ in range(2))
    assert one.hash == two.hash


def test_without_votes_the_calibrator_is_refitted_on_its_own_rows(judge: TrainedJudge, others: Battles) -> None:
    made = calibrate_judge(judge, method="vector", draws=50)
    held = judge.fitted.out_of_fold
    assert made.fitted.calibrator.method == "vector"
    assert made.recipe.calibration.method == "vector"
    by_hand = make_calibrator("vector").fit(held.raw, held.targets, held.weights)
    assert np.array_equal(made.fitted.calibrator.transform(held.raw), by_hand.transform(held.raw))
    entry = made.notes["calibration"][-1]
    assert (entry["on"], entry["replaced"]) == ("out_of_fold", "temperature")
    assert made.figures["metrics"]["log_loss"]["value"] == pytest.approx(entry["after"]["log_loss"]["value"])
    further = calibrate_judge(made, others, method="shift", draws=0)
    assert [entry["on"] for entry in further.notes["calibration"]] == ["out_of_fold", "votes"]


def test_votes_without_ties_fit_only_a_temperature(judge: TrainedJudge, others: Battles) -> None:
    names = ["ab"[row % 2] for row in range(len(others))]
    decided = cast(others, names)
    with pytest.raises(DataError, match=r"none of the 300 votes is a tie.*method temperature"):
        calibrate_judge(judge, decided)
    with pytest.raises(DataError, match=r"1 of the 300 votes are ties, all in one fold.*method temperature"):
        calibrate_judge(judge, cast(others, [*names[:-1], "tie"]))
    made = calibrate_judge(judge, decided, method="temperature", draws=0)
    assert made.notes["calibration"][0]["binary"]
    p = made.predict_proba(others)
    assert np.abs(p[:, 0] - p[:, 1]).mean() < 0.1  # such votes are tosses
    assert p[:, 2].mean() > 0.1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no votes to calibrate on"),
        (range(19), "19 votes that count are given, and at least 20 are needed"),
        ([0] * 40, "on one prompt"),
    ],
)
def test_too_little_is_refused(judge: TrainedJudge, others: Battles, rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        calibrate_judge(judge, others.take(list(rows)))


def test_insufficient_votes_are_reported(judge: TrainedJudge, others: Battles) -> None:
    with pytest.raises(DataError, match="all 300 votes are ties"):
        calibrate_judge(judge, cast(others, ["tie"] * len(others)))
    with pytest.raises(ConfigError, match="no calibration method 'platt'"):
        calibrate_judge(judge, others, method="platt")
    with pytest.raises(ConfigError, match="cannot be grouped by 'model'"):
        calibrate_judge(judge, others, by="model")
    with pytest.raises(ConfigError, match="have no source; give votes"):
        calibrate_judge(judge, by="source")
    column = others.table.column_names.index("weight")
    idle = Battles(others.table.set_column(column, SCHEMA.field("weight"), pa.array(np.zeros(len(others)))))
    with pytest.raises(DataError, match="weights of all votes are 0"):
        calibrate_judge(judge, idle)


def test_a_judge_of_scores_is_calibrated_on_rows_without_texts(tmp_path: Path) -> None:
    scores, votes = scored_votes(200)
    linked, _ = link_judge(scores, votes)
    more, other = scored_votes(240, seed=3)
    gap = Scores(more.ids, 3 * more.a, 3 * more.b)  # a scorer that has become three times as sure
    rows = with_scores(other, gap)
    bare = rows.table
    empty = pa.array([[]] * len(rows), SCHEMA.field("prompt").type)
    for name in ("prompt", "response_a", "response_b"):
        bare = bare.set_column(bare.column_names.index(name), SCHEMA.field(name), empty)
    for given in (rows, Battles(bare)):
        made = calibrate_judge(linked, given, method="shift", draws=50)
        entry = made.notes["calibration"][-1]
        assert entry["gain"]["low"] > 0 and entry["clusters"] == 240
        made.save_pretrained(tmp_path / "judge", overwrite=True)
        again = TrainedJudge.from_pretrained(tmp_path / "judge")
        assert np.array_equal(again.predict_proba(given), made.predict_proba(given))


def test_a_judge_made_of_judges_is_calibrated_like_any_other(
    judge: TrainedJudge, others: Battles, tmp_path: Path
) -> None:
    other = calibrate_judge(judge, others[:100], method="shift", draws=0)
    both = ensemble([judge, other], method="mean")
    made = calibrate_judge(both, others[100:], method="vector", draws=50, allow_leak=True)
    assert made.notes["calibration"][-1]["gain"]["value"] > 0
    assert len(made.prompt_hashes.overlap(others)) == len(others)
    made.save_pretrained(tmp_path / "judge")
    assert np.array_equal(
        TrainedJudge.from_pretrained(tmp_path / "judge").predict_proba(TRAIN), made.predict_proba(TRAIN)
    )


@pytest.mark.parametrize(
    ("method", "gain", "message"),
    [
        ("shift", (0.02, 0.03), "Its probabilities are now calibrated to people like those who cast these votes"),
        ("shift", (-0.02, 0.03), "The gain is within chance"),
        ("shift", (-0.03, -0.02), "the calibration made the predictions worse"),
        ("none", (0.0, 0.0), "The probabilities were left as they were"),
    ],
)
def test_the_card_describes_calibration_and_its_gain(
    judge: TrainedJudge, others: Battles, tmp_path: Path, method: str, gain: tuple[float, float], message: str
) -> None:
    made = calibrate_judge(judge, others[:100], method=method, draws=0)
    made.notes["calibration"][-1]["gain"] = {"value": sum(gain) / 2, "low": gain[0], "high": gain[1]}
    made.save_pretrained(tmp_path / "judge")
    card = (tmp_path / "judge" / "README.md").read_text()
    assert message in card
    assert ("are now calibrated" in card) == (gain[0] > 0)
