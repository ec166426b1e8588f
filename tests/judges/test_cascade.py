"""Test cascades: slow judges see few rows, judge invariants hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from votecast import TrainedJudge, simulate
from votecast.data.battles import Battles
from votecast.errors import ConfigError, DataError, UnscoredRowsError
from votecast.jobs.decide import fit_rule
from votecast.judges.cascade import CascadeModel, CascadeSettings, cascade
from votecast.judges.cascade_thresholds import NOTCHES, Goal, Routing, Trial, choose, entropy, fit_routing, frontier
from votecast.judges.recipe import load_recipe
from votecast.models import registry
from votecast.testing import check_judge
from votecast.text.truncation import TruncationReport

PREDICTIONS = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(0.001, 1)).map(
    lambda x: x / ((x[:, 0] + x[:, 1]) + x[:, 2])[:, None]
)


class Inside:
    """A judge that returns given predictions and records its inputs."""

    numbers = ()

    def __init__(self, p: list[float], cut: int | None = None, fails: str | None = None) -> None:
        self.p, self.cut, self.fails = np.array(p), cut, fails
        self.asked: list[list[str]] = []

    def predict_with_truncation(self, battles: Battles) -> tuple[np.ndarray, TruncationReport | None]:
        self.asked.append(battles.ids)
        if self.fails in battles.ids:
            raise UnscoredRowsError({battles.ids.index(self.fails): "it is odd"}, len(battles))
        size = np.full((len(battles), 3), 9)
        cut = None if self.cut is None else TruncationReport(size - self.cut, size)
        sure = np.array([name.startswith("sure") for name in battles.ids])
        return np.where(sure[:, None], [[0.9, 0.05, 0.05]], self.p[None, :]), cut


def battles(*ids: str) -> Battles:
    return Battles.from_rows([{"id": name, "prompt": name, "response_a": "x", "response_b": "y"} for name in ids])


def model(*judges: Any, thresholds: tuple[float | None, ...]) -> CascadeModel:
    return CascadeModel(CascadeSettings(judges=len(judges), thresholds=thresholds), judges=judges)


def test_later_judges_score_only_the_rows_that_need_them() -> None:
    first, second, third = Inside([0.4, 0.3, 0.3]), Inside([0.3, 0.4, 0.3]), Inside([0.2, 0.2, 0.6])
    whole = model(first, second, third, thresholds=(1.0, None))
    p = whole.predict(battles("sure1", "x", "sure2", "y"))
    assert p.tolist() == [[0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]]
    assert (first.asked, second.asked, third.asked) == ([["sure1", "x", "sure2", "y"]], [["x", "y"]], [])
    assert model(first, second, thresholds=(1.0,)).predict(battles()).shape == (0, 3)


def test_a_row_that_cannot_be_scored_is_named_by_its_place_in_the_whole() -> None:
    whole = model(Inside([0.4, 0.3, 0.3]), Inside([0.3, 0.4, 0.3], fails="odd"), thresholds=(1.0,))
    with pytest.raises(UnscoredRowsError) as caught:
        whole.predict(battles("sure1", "x", "odd"))
    assert (caught.value.reasons, caught.value.rows) == ({2: "it is odd"}, 3)


def test_truncation_is_that_of_the_judge_that_predicts() -> None:
    whole = model(Inside([0.4, 0.3, 0.3]), Inside([0.3, 0.4, 0.3], cut=2), thresholds=(1.0,))
    rows = battles("sure1", "x")
    whole.predict(rows)
    cut = whole.truncation(rows)
    assert cut is not None
    assert cut.full.tolist() == [[0, 0, 0], [9, 9, 9]]
    assert cut.rows_cut == 1
    again = whole.truncation(battles("x", "sure1"))
    assert again is not None
    assert again.full.tolist() == [[9, 9, 9], [0, 0, 0]]
    assert model(Inside([0.4, 0.3, 0.3]), Inside([0.3, 0.4, 0.3]), thresholds=(1.0,)).truncation(rows) is None


@given(PREDICTIONS)
def test_the_deciding_judge_does_not_depend_on_response_order(p: np.ndarray) -> None:
    assert np.array_equal(entropy(p), entropy(np.ascontiguousarray(p[:, [1, 0, 2]])))
    routing = fit_routing(np.stack([p, p]), [NOTCHES // 2])
    swapped = np.ascontiguousarray(p[:, [1, 0, 2]])
    assert np.array_equal(routing.passes_on(0, p), routing.passes_on(0, swapped))


@given(PREDICTIONS)
def test_who_answers_a_row_does_not_depend_on_the_rows_beside_it(p: np.ndarray) -> None:
    alone = np.concatenate([entropy(p[row : row + 1]) for row in range(len(p))])
    assert np.array_equal(alone, entropy(p))


@given(PREDICTIONS, st.integers(0, NOTCHES))
def test_a_threshold_holds_back_the_share_it_is_asked_to(p: np.ndarray, notch: int) -> None:
    on = fit_routing(np.stack([p, p]), [notch]).passes_on(0, p)
    distinct = len(np.unique(entropy(p)))
    assert on.all() if notch == 0 else not on.all()
    assert not on.any() if notch == NOTCHES else True
    if distinct == len(p) and 0 < notch < NOTCHES:
        assert int((~on).sum()) == -(-len(p) * notch // NOTCHES)


def asked(rows: int, seconds: tuple[float, ...], quality: tuple[float, ...]) -> Trial:
    """Return judges of increasing quality around true probabilities."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, 3)) * 1.5
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictions = []
    for known in quality:
        seen = logits * known + rng.normal(size=logits.shape) * (1 - known)
        p = np.exp(seen * known)
        predictions.append(p / p.sum(axis=1, keepdims=True))
    votes = [("a", "b", "tie")[rng.choice(3, p=p)] for p in true]
    texts = [
        {"prompt": f"{row}", "response_a": "x", "response_b": "y", "winner": vote} for row, vote in enumerate(votes)
    ]
    return Trial(Battles.from_rows(texts), np.stack(predictions), None, seconds, np.arange(rows))


@dataclass(frozen=True)
class FixedLosses(Trial):
    """Judges whose losses differ by a fixed amount per row."""

    more: Any = None

    def cost(self, stage: Any, rows: Any) -> float:
        return float((self.more * (stage == 0)).mean())


TRIAL = asked(600, (0.001, 0.004, 0.02), (0.3, 0.7, 1.0))
ROWS = np.arange(600)
PATH = frontier(TRIAL, ROWS, 0)


def test_the_frontier_runs_from_the_last_judge_to_the_first() -> None:
    notches = [sum(point) for point, _ in PATH]
    assert notches == list(range(2 * NOTCHES + 1))
    assert (PATH[0][1] == 2).all()
    assert (PATH[-1][1] == 0).all()
    assert TRIAL.cost(PATH[0][1], ROWS) == 0
    times = [TRIAL.time(stage) for _, stage in PATH]
    assert times == sorted(times, reverse=True)


def test_an_allowance_takes_the_fastest_point_that_keeps_it_and_more_allowance_is_no_slower() -> None:
    allowed = (0.0, 0.01, 0.03, 0.1, 5.0)
    taken = [PATH[choose(TRIAL, ROWS, PATH, Goal(max_loss=most))][1] for most in allowed]
    times = [TRIAL.time(stage) for stage in taken]
    assert times == sorted(times, reverse=True)
    assert times[-1] == pytest.approx(0.001)
    for stage, most in zip(taken, allowed, strict=True):
        assert TRIAL.cost(stage, ROWS) <= most + 0.005  # the smoothed loss is compared


def test_a_lucky_point_beyond_a_bad_stretch_is_not_taken() -> None:
    answering = [np.repeat([1, 0], [600 - held, held]) for held in range(0, 601, 120)]
    path = [((place,), stage) for place, stage in enumerate(answering)]
    losses = np.repeat([0.001, 0.04, 0.06, 0.05, -0.149], 120)  # running mean: .0002, .0082, .0202, .0302, .0004
    fixed = FixedLosses(TRIAL.battles, TRIAL.predictions[:2], None, (0.001, 0.02), TRIAL.clusters, losses[::-1])
    assert choose(fixed, ROWS, path, Goal(max_loss=0.005)) == 1


def test_a_budget_takes_the_best_point_within_it() -> None:
    place = choose(TRIAL, ROWS, PATH, Goal(budget=8.0))
    assert TRIAL.time(PATH[place][1]) <= 0.008
    costs = [TRIAL.cost(stage, ROWS) for _, stage in PATH if TRIAL.time(stage) <= 0.008]
    assert TRIAL.cost(PATH[place][1], ROWS) <= min(costs) + 0.005
    with pytest.raises(ConfigError, match=r"budget is 0\.5 s for 1,000 rows, and the first judge alone takes 1 s"):
        choose(TRIAL, ROWS, PATH, Goal(budget=0.5))


def test_thresholds_are_those_of_a_judge_each() -> None:
    with pytest.raises(ConfigError, match="3 judges have 1 thresholds"):
        load_recipe({"family": "cascade", "model": {"judges": 3, "thresholds": [0.5]}})
    assert Routing((None,)).passes_on(0, np.full((2, 3), 1 / 3)).tolist() == [False, False]


class Fast(TrainedJudge):
    """A cascade of two judges trained on halves of the votes."""

    def fit(self, battles: Any, valid: Any = None, **options: Any) -> Self:  # type: ignore[override]
        half = len(battles) // 2
        parts = [battles[:half], battles[half:]]
        judges = [TrainedJudge("baseline", {"folds.n": 2, "seed": n}).fit(part) for n, part in enumerate(parts)]
        made = cascade(judges, battles, budget=10.0, seconds=[0.004, 0.012], allow_leak=True, draws=10)
        self.recipe, self.name, self._fitted, self._hash = made.recipe, made.name, made.fitted, ""
        self.figures, self.notes = made.figures, made.notes
        return self


def test_a_cascade_keeps_every_promise_of_a_judge(tmp_path: Path) -> None:
    votes, _ = next(simulate(rows=150, seed=0, batch=150))
    check_judge(lambda: Fast({"family": "cascade"}), votes)


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> list[TrainedJudge]:
    """Return two cheap judges; the first has position bias."""
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")
    votes, _ = next(simulate(rows=120, seed=1, batch=120))
    biased = {"folds.n": 2, "name": "leaning", "model.bias_to_a": 0.4}
    return [TrainedJudge("cheap", biased).fit(votes), TrainedJudge("cheap", {"folds.n": 2, "seed": 1}).fit(votes)]


def test_swapped_battles_go_where_their_own_predictions_send_them(judges: list[TrainedJudge]) -> None:
    votes, _ = next(simulate(rows=100, seed=2, batch=100))
    both = Battles.concat([votes, votes.swapped()])
    held = cascade(judges, both, max_loss=0.02, seconds=[0.001, 0.01], draws=0).fitted.out_of_fold
    assert held.swapped is not None
    assert np.array_equal(held.swapped[:100], held.raw[100:])
    assert held.swapped_content is not None
    assert held.swapped_content[:100] == held.content[100:]


def test_votes_that_do_not_count_are_left_out_and_unknown_prompts_are_named(judges: list[TrainedJudge]) -> None:
    judges[1]._fitted = replace(judges[1].fitted, prompt_hashes=None)
    votes, _ = next(simulate(rows=100, seed=2, batch=100))
    options: dict[str, Any] = {"max_loss": 0.02, "seconds": [0.001, 0.01], "draws": 0}
    idle = [row | {"weight": 0.0} for row in (battle.model_dump() for battle in votes[:40])]
    counted = [battle.model_dump() for battle in votes[40:]]
    made = cascade(judges, idle + counted, **options)
    assert made.recipe.model == cascade(judges, counted, **options).recipe.model
    assert made.fitted.out_of_fold.ids == votes[40:].ids
    assert "40 calibration votes of weight 0 are left out" in made.notes["limits"]
    assert made.notes["unknown_prompts"] == [judges[1].name]
    rule = fit_rule(made, next(simulate(rows=60, seed=3, batch=60))[0], error=0.4, confidence=0.9)
    assert any("leaks are checked in part" in note for note in rule.notes)
    with pytest.raises(DataError, match="49 calibration votes are too few"):
        cascade(judges, idle + counted[:49], **options)
