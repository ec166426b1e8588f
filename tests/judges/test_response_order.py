"""Test predictions in the shown order, swapped and both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from votecast.calibration.scalers import Identity
from votecast.data.battles import Battles
from votecast.judges.cascade import CascadeModel, CascadeSettings
from votecast.judges.cascade_thresholds import entropy
from votecast.judges.combiners import Mean
from votecast.judges.ensemble import EnsembleModel, EnsembleSettings
from votecast.judges.out_of_fold import Fitted, OutOfFold
from votecast.judges.response_order import predict_both_orders, predict_in_order, reads_shown_order
from votecast.judges.trained import TrainedJudge
from votecast.models.average import AverageModel, AverageSettings
from votecast.types import swap_columns

TINY = {
    "folds.n": 2,
    "folds.only": 0,
    "model.name": "tiny:bert",
    "model.text.max_length": 64,
    "model.training.learning_rate": 1e-2,
    "model.training.precision": "fp32",
    "model.training.epochs": 1,
}


@pytest.fixture(scope="module")
def averaging(arena: Battles) -> TrainedJudge:
    return TrainedJudge("cross_encoder", TINY).fit(arena[:80])


@pytest.fixture(scope="module")
def shown(arena: Battles) -> TrainedJudge:
    return TrainedJudge("cross_encoder", TINY | {"model.orders": "shown"}).fit(arena[:80])


def apart(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.abs(p - q).max())


def test_both_matches_a_judge_that_already_averages_orders(averaging: TrainedJudge, arena: Battles) -> None:
    p, cut = predict_in_order(averaging, arena[:12])
    assert (p == averaging.predict_proba(arena[:12])).all() and cut is not None and len(cut) == 12


def test_given_is_one_of_the_two_orders_it_reads(averaging: TrainedJudge, arena: Battles) -> None:
    rows = arena[:12]
    given, swapped = predict_both_orders(averaging, rows)
    assert apart(predict_in_order(averaging, rows, "given")[0], given) == 0
    assert apart(swap_columns(predict_in_order(averaging, rows.swapped(), "given")[0]), swapped) == 0
    assert apart(given, swapped) > 1e-5
    member: Any = averaging.fitted.members[0]
    views = member.predict_views(member.prepare(rows))
    raw = [
        averaging.with_shown_order().fitted.members[0].predict(member.prepare(part)) for part in (rows, rows.swapped())
    ]
    assert apart(views[:, 0], raw[0]) < 1e-6 and apart(views[:, 1], swap_columns(raw[1])) < 1e-6


def test_of_a_judge_that_goes_by_the_shown_order_both_is_the_mean(shown: TrainedJudge, arena: Battles) -> None:
    rows = arena[:12]
    assert reads_shown_order(shown)
    given, swapped = predict_both_orders(shown, rows)
    assert (predict_in_order(shown, rows, "given")[0] == shown.predict_proba(rows)).all()
    both = predict_in_order(shown, rows)[0]
    assert (both == (given + swapped) / 2).all() and apart(given, swapped) > 1e-5
    assert (swap_columns(predict_in_order(shown, rows.swapped())[0]) == both).all()


def test_order_invariant_judges_predict_the_same_in_every_order(judge: TrainedJudge, arena: Battles) -> None:
    expected = judge.predict_proba(arena[:20])
    given, swapped = predict_both_orders(judge, arena[:20])
    for found in (
        given,
        swapped,
        predict_in_order(judge, arena[:20])[0],
        predict_in_order(judge, arena[:20], "given")[0],
    ):
        assert (found == expected).all()
    assert judge.with_shown_order() is judge and not reads_shown_order(judge)


def of(model: Any, like: TrainedJudge) -> TrainedJudge:
    """Return a judge around a given model."""
    return TrainedJudge.of(like.recipe, Fitted([model], Identity(), OutOfFold.none(), None))


def test_an_average_asks_its_members_for_the_shown_order(averaging: TrainedJudge, arena: Battles) -> None:
    rows = arena[:12]
    tiny = {"family": "cross_encoder", "model": averaging.recipe.model.dump()}
    model = AverageModel(AverageSettings.parse({"members": [tiny, tiny]}))
    model.members = [averaging.fitted.members[0], averaging.fitted.members[0]]
    pooled = of(model, averaging)
    raw = of(averaging.fitted.members[0], averaging).with_shown_order().predict_proba(rows)
    assert apart(predict_in_order(pooled, rows, "given")[0], raw) < 1e-7
    assert (predict_in_order(pooled, rows)[0] == pooled.predict_proba(rows)).all() and not reads_shown_order(pooled)
    assert apart(pooled.predict_proba(rows), raw) > 1e-5


def test_an_ensemble_asks_its_judges_for_the_shown_order(
    averaging: TrainedJudge, judge: TrainedJudge, arena: Battles
) -> None:
    rows = arena[:12]
    joined = Mean(np.array([0.5, 0.5]))
    made = of(EnsembleModel(EnsembleSettings(judges=2), judges=[averaging, judge], combiner=joined), averaging)
    expected = joined.predict(np.stack([predict_in_order(averaging, rows, "given")[0], judge.predict_proba(rows)]))
    given, swapped = predict_both_orders(made, rows)
    assert (given == expected).all() and apart(given, swapped) > 1e-5
    assert (predict_in_order(made, rows)[0] == made.predict_proba(rows)).all()


def test_a_cascade_passes_on_rows_uncertain_in_the_shown_order(
    averaging: TrainedJudge, judge: TrainedJudge, arena: Battles
) -> None:
    rows = arena[:12]
    first, last = predict_in_order(averaging, rows, "given")[0], judge.predict_proba(rows)
    least = float(np.median(entropy(first)))
    model = CascadeModel(CascadeSettings(judges=2, thresholds=(least,)), judges=[averaging, judge])
    p, cut = predict_in_order(of(model, averaging), rows, "given")
    goes_on = entropy(first) >= least
    assert 0 < goes_on.sum() < 12 and (p == np.where(goes_on[:, None], last, first)).all()
    assert cut is not None and len(cut) == 12


def test_where_one_judge_inside_goes_by_the_shown_order_both_is_the_mean(
    averaging: TrainedJudge, shown: TrainedJudge, arena: Battles
) -> None:
    rows = arena[:12]
    joined = Mean(np.array([0.5, 0.5]))
    made = of(EnsembleModel(EnsembleSettings(judges=2), judges=[averaging, shown], combiner=joined), averaging)
    both = predict_in_order(made, rows)[0]
    assert reads_shown_order(made) and (swap_columns(predict_in_order(made, rows.swapped())[0]) == both).all()
