"""Test cross-validation: folds, sampling, both orders, truncation, weight averaging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.judges.cheap import CheapModel

import votecast
from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.errors import ConfigError, DataError
from votecast.judges.cross_validation import sample_rows
from votecast.judges.evaluate import evaluate_out_of_fold
from votecast.judges.out_of_fold import OutOfFold, calibration_folds
from votecast.judges.trained import TrainedJudge
from votecast.metrics import group_folds
from votecast.models import registry
from votecast.splits import Folds


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")


@pytest.fixture(scope="module")
def votes() -> Battles:
    return next(simulate(rows=120, seed=1, batch=120))[0]


def test_a_single_fold_equals_that_fold_of_all(votes: Battles) -> None:
    every = TrainedJudge("cheap", {"folds.n": 4, "final": "average"}).fit(votes)
    one = TrainedJudge("cheap", {"folds.n": 4, "folds.only": 2}).fit(votes)
    held, theirs = one.fitted.out_of_fold, every.fitted.out_of_fold
    assert np.array_equal(held.rows, theirs.rows[theirs.fold == 2])
    assert np.array_equal(held.raw, theirs.raw[theirs.fold == 2])
    assert set(held.fold) == {2}
    assert len(one.fitted.members) == 1
    assert np.array_equal(one.fitted.members[0].weights, every.fitted.members[2].weights)  # type: ignore[attr-defined]
    assert one.fitted.facts["folds"]["only"] == 2
    assert np.array_equal(calibration_folds(held, 42), group_folds(held.clusters, seed=42))
    assert evaluate_out_of_fold(one, votes, draws=0).rows == len(held)


def test_a_fold_that_there_is_not_is_refused(votes: Battles) -> None:
    folds = Folds(np.arange(len(votes)) % 2, 2, "mine")
    with pytest.raises(ConfigError, match="folds.only is 2, and there are 2 folds"):
        TrainedJudge("cheap", {"folds.only": 2}).fit(votes, folds=folds)


def test_the_single_fold_of_another_judge_is_held_out_again(votes: Battles, tmp_path) -> None:
    one = votecast.train("cheap", votes, out=tmp_path / "one", overrides={"folds.n": 4, "folds.only": 2})
    again = votecast.train("cheap", votes, folds_from=tmp_path / "one", overrides={"final": "average", "seed": 3})
    assert np.array_equal(again.fitted.out_of_fold.rows, one.fitted.out_of_fold.rows)


def test_drawn_rows_keep_the_shares_of_labels_and_their_places(votes: Battles) -> None:
    drawn = sample_rows(votes, 40, seed=3)
    assert len(drawn) == 40
    assert (np.diff(drawn) > 0).all()
    assert np.abs(votes.targets()[drawn].sum(axis=0) - votes.targets().sum(axis=0) / 3).max() < 1
    assert not np.array_equal(drawn, sample_rows(votes, 40, seed=4))
    for rows in (None, len(votes), 10**9):
        assert np.array_equal(sample_rows(votes, rows, seed=3), np.arange(len(votes)))
    judge = TrainedJudge("cheap", {"folds.n": 2, "rows": 40, "seed": 3}).fit(votes)
    held = judge.fitted.out_of_fold
    assert np.array_equal(held.rows, drawn)
    assert held.ids == votes.take(drawn).ids
    assert judge.fitted.facts["rows"] == 40
    folds = Folds(np.arange(len(votes)) % 2, 2, "mine")
    given = TrainedJudge("cheap", {"rows": 40, "seed": 3}).fit(votes, folds=folds)
    assert np.array_equal(given.fitted.out_of_fold.fold, drawn % 2)


def test_drawn_rows_are_noted_and_their_folds_can_be_those_of_a_judge_on_all_rows(votes: Battles, tmp_path) -> None:
    every = votecast.train("cheap", votes, out=tmp_path / "judge", overrides={"folds.n": 2})
    few = votecast.train("cheap", votes, folds_from=tmp_path / "judge", overrides={"rows": 40})
    assert few.notes["drawn"] == {"rows": 40, "of": 120}
    fold = dict(zip(every.fitted.out_of_fold.ids, every.fitted.out_of_fold.fold, strict=True))
    assert [fold[name] for name in few.fitted.out_of_fold.ids] == few.fitted.out_of_fold.fold.tolist()
    assert "drawn" not in every.notes


@pytest.mark.parametrize("declares_order", [True, False])
def test_the_flip_rate_of_a_family_that_sees_the_order_is_measured(votes: Battles, declares_order: bool) -> None:
    overrides = {"folds.n": 2, "model.bias_to_a": 0.3, "model.declares_order": declares_order}
    judge = TrainedJudge("cheap", overrides).fit(votes)
    held = judge.fitted.out_of_fold
    assert held.swapped is not None
    assert (held.swapped[:, 0] > held.raw[:, 1]).all()
    rate = evaluate_out_of_fold(judge, votes, draws=0).metrics["flip_rate"].value
    assert rate is not None
    assert rate > 0.1
    table_of_it = held.to_table()
    assert np.array_equal(OutOfFold.from_table(table_of_it).swapped, held.swapped)
    old = table_of_it.select([name for name in table_of_it.column_names if not name.startswith("swapped")])
    assert OutOfFold.from_table(old).swapped is None


def test_the_flip_rate_of_a_family_that_does_not_see_the_order_is_nought(votes: Battles) -> None:
    judge = TrainedJudge("cheap", {"folds.n": 2}).fit(votes)
    assert judge.fitted.out_of_fold.swapped is None
    assert evaluate_out_of_fold(judge, votes, draws=0).metrics["flip_rate"].value == 0
    assert "swapped_a" not in judge.fitted.out_of_fold.to_table().column_names


def test_truncation_is_recorded_and_returned(votes: Battles) -> None:
    judge = TrainedJudge("cheap", {"folds.n": 2}).fit(votes)
    cut = judge.truncation(votes)
    assert cut is not None
    assert len(cut) == 120
    assert judge.fitted.facts["cut"] == cut.to_dict()
    assert votecast.load_judge("bundled:baseline").truncation(votes) is None
    assert len(judge.truncation(votes[:0])) == 0  # type: ignore[arg-type]


def test_weights_can_be_averaged_where_the_family_can(votes: Battles) -> None:
    members = TrainedJudge("cheap", {"folds.n": 3, "final": "average"}).fit(votes).fitted.members
    soup = TrainedJudge("cheap", {"folds.n": 3, "final": "average_weights"}).fit(votes).fitted.members
    assert len(soup) == 1
    assert np.array_equal(soup[0].weights, CheapModel.averaged(members).weights)  # type: ignore[attr-defined, arg-type]
    with pytest.raises(ConfigError, match="weights of BaselineModel .* cannot be averaged; use average"):
        TrainedJudge("baseline", {"final": "average_weights"}).fit(votes)


def test_a_family_may_watch_rows_of_the_held_out_fold(votes: Battles, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[np.ndarray] = []
    plain = TrainedJudge("cheap", {"folds.n": 2}).fit(votes).fitted.out_of_fold
    monkeypatch.setattr(CheapModel, "eval_rows", 5)
    monkeypatch.setattr(CheapModel, "watch", lambda self, prepared, targets, weights: watched.append(targets))
    held = TrainedJudge("cheap", {"folds.n": 2}).fit(votes).fitted.out_of_fold
    assert [targets.shape for targets in watched] == [(5, 3), (5, 3)]  # the refit on all rows has none
    for number, targets in enumerate(watched):
        theirs = {tuple(row) for row in held.targets[held.fold == number]}
        assert {tuple(row) for row in targets} <= theirs
    assert np.array_equal(held.raw, plain.raw)


def test_members_give_their_accelerator_back(votes: Battles) -> None:
    judge = TrainedJudge("cheap", {"folds.n": 2, "final": "average"}).fit(votes)
    assert all(member.released for member in judge.fitted.members)  # type: ignore[attr-defined]


def test_too_few_rows_and_a_missing_class_fail_before_training(votes: Battles) -> None:
    with pytest.raises(ConfigError, match="3 rows cannot be divided into 5 folds"):
        TrainedJudge("cheap").fit(votes[:3])
    a = np.flatnonzero(votes.targets()[:, 0])
    rest = np.flatnonzero(votes.targets()[:, 0] == 0)
    with pytest.raises(DataError, match="every vote for a .1 in all. lies in fold"):
        TrainedJudge("cheap").fit(votes.take([*a[:1], *rest]))
    judge = TrainedJudge("cheap", {"folds.n": 2}).fit(votes.take(rest))
    assert replace(judge.fitted).facts["labels"]["a"] == 0
