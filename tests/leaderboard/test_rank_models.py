"""Test rankings: ranks, ties, intervals, win rates, anchors, evalica."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.leaderboard.arenas import arena

from votecast.errors import ConfigError, MissingExtraError
from votecast.leaderboard import METHODS, Games, fit_ranking, rank_models
from votecast.leaderboard.settings import EVALICA

UNIT = 400 / np.log(10)


def level_models(models=4, times=40):
    """Return games in which all models win equally often."""
    a, b = np.triu_indices(models, 1)
    first, second = np.tile(a, 2 * times), np.tile(b, 2 * times)
    outcome = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], len(a) * times, axis=0)
    return Games.of([f"m{each}" for each in range(models)], first, second, outcome)


def test_models_come_best_first_with_their_counts():
    games = arena(6, 800)
    ranking = rank_models(games)
    assert sorted(ranking.models) == sorted(games.models)
    assert list(ranking.score) == sorted(ranking.score, reverse=True)
    assert ranking.score.mean() == pytest.approx(1000)
    assert np.all((ranking.low < ranking.score) & (ranking.score < ranking.high))
    assert ranking.battles == pytest.approx(ranking.wins + ranking.losses + ranking.ties)
    assert ranking.battles.sum() == 1600
    assert ranking.wins.sum() == ranking.losses.sum() == games.outcome[:, :2].sum()
    assert ranking.met.sum(axis=1) == pytest.approx(ranking.battles)
    for name, wins in zip(ranking.models, ranking.wins, strict=True):
        number = games.models.index(name)
        won = games.outcome[games.a == number, 0].sum() + games.outcome[games.b == number, 1].sum()
        assert wins == won


def test_scores_are_elo_units_of_log_strengths():
    games = arena(5, 500)
    ranking, fit = rank_models(games), fit_ranking(games)
    for name, score, low in zip(ranking.models, ranking.score, ranking.low, strict=True):
        number = games.models.index(name)
        assert score == pytest.approx(1000 + UNIT * fit.strengths[number])
        assert score - low == pytest.approx(UNIT * 1.9647 * np.sqrt(fit.covariance[number, number]), rel=1e-3)


def test_equal_models_share_the_first_rank():
    ranking = rank_models(level_models())
    assert ranking.rank.tolist() == ranking.rank_low.tolist() == [1] * 4
    assert ranking.rank_high.tolist() == [4] * 4
    assert ranking.separability == 0
    assert not ranking.better.any()


def test_clearly_different_models_have_distinct_ranks():
    rng = np.random.default_rng(0)
    a, b = np.tile(np.array([(0, 1), (0, 2), (1, 2)]), (400, 1)).T
    won = rng.random(1200) < 1 / (1 + np.exp(-1.5 * (b - a)))
    ranking = rank_models(Games.of(["x", "y", "z"], a, b, np.where(won[:, None], [1.0, 0, 0], [0, 1.0, 0])))
    assert ranking.models == ("x", "y", "z")
    assert ranking.rank.tolist() == ranking.rank_low.tolist() == ranking.rank_high.tolist() == [1, 2, 3]
    assert ranking.separability == 1


@pytest.mark.parametrize("intervals", ["sandwich", "bootstrap"])
def test_ranks_follow_from_who_is_better(intervals):
    ranking = rank_models(arena(8, 700, prompts=200), intervals=intervals, draws=100)
    assert ranking.rank.tolist() == (1 + ranking.better.sum(axis=0)).tolist()
    assert ranking.separability == pytest.approx(ranking.better.sum() / 28)
    assert np.all(ranking.rank_low <= ranking.rank)
    assert np.all(ranking.rank <= ranking.rank_high)
    assert 0 < ranking.separability < 1


@pytest.mark.parametrize("method", ["bradley_terry", "davidson", "rao_kupper"])
@pytest.mark.parametrize("style", [None, [0.4]])
def test_bootstrap_and_sandwich_agree(method, style):
    games = arena(4, 900, method=method, prompts=250, style=style)
    one = rank_models(games, method=method)
    two = rank_models(games, method=method, intervals="bootstrap", draws=150)
    assert (two.intervals, two.draws) == ("bootstrap", 150)
    assert two.score == pytest.approx(one.score)
    assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.35)
    assert two.low == pytest.approx(one.low, abs=12)
    assert two.win_rate_low == pytest.approx(one.win_rate_low, abs=0.02)
    for estimate, other in zip((one.tie, *one.style), (two.tie, *two.style), strict=True):
        if estimate is not None:
            assert other.low == pytest.approx(estimate.low, abs=0.1)
            assert estimate.low < estimate.value < estimate.high


def test_the_same_seed_gives_the_same_ranking():
    games = arena(4, 300, prompts=100)
    one, two, other = (rank_models(games, intervals="bootstrap", draws=30, seed=seed).to_dict() for seed in (1, 1, 2))
    assert json.dumps(one) == json.dumps(two)
    assert json.dumps(one) != json.dumps(other)


@pytest.mark.parametrize("intervals", ["sandwich", "bootstrap"])
def test_swapping_a_and_b_changes_nothing(intervals):
    games = arena(4, 300, prompts=100)
    swapped = replace(games, a=games.b, b=games.a, outcome=games.outcome[:, [1, 0, 2]])
    one, two = (rank_models(each, method="davidson", intervals=intervals, draws=20) for each in (games, swapped))
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())


def test_the_anchor_has_1000_and_differences_stay():
    games = arena(5, 500)
    plain = rank_models(games)
    for intervals in ("sandwich", "bootstrap"):
        held = rank_models(games, anchor="m2", intervals=intervals, draws=30)
        place = held.models.index("m2")
        assert held.score[place] == held.low[place] == held.high[place] == 1000
        assert np.diff(held.score) == pytest.approx(np.diff(plain.score))
        assert held.rank[0] == plain.rank[0]


def test_intervals_widen_with_the_level():
    games = arena(5, 500)
    for intervals in ("sandwich", "bootstrap"):
        narrow, wide = (rank_models(games, level=level, intervals=intervals, draws=40) for level in (0.8, 0.99))
        assert np.all(wide.high - wide.low > narrow.high - narrow.low)


@pytest.mark.parametrize("method", ["bradley_terry", "davidson", "rao_kupper", "elo", "newman"])
def test_win_rates_are_chances(method):
    ranking = rank_models(arena(5, 500), method=method, draws=20)
    assert np.isnan(np.diag(ranking.expected)).all()
    both = ranking.expected + ranking.expected.T
    assert both[~np.eye(5, dtype=bool)] == pytest.approx(np.ones(20))
    assert ranking.win_rate == pytest.approx(np.nanmean(ranking.expected, axis=1))
    assert np.all((ranking.win_rate_low < ranking.win_rate) & (ranking.win_rate < ranking.win_rate_high))
    met = ranking.met > 0
    assert (ranking.observed + ranking.observed.T)[met] == pytest.approx(np.ones(met.sum()))
    if method in {"bradley_terry", "davidson"}:  # at the maximum each model wins as often as expected
        gap = np.nansum((np.nan_to_num(ranking.observed) - ranking.expected) * ranking.met, axis=1)
        assert gap == pytest.approx(np.zeros(5), abs=1e-6)


def test_models_that_never_met_have_no_observed_rate():
    games = Games.of(["x", "y", "z"], [0, 1, 0, 1], [1, 2, 1, 2], [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    ranking = rank_models(games)
    x, z = ranking.models.index("x"), ranking.models.index("z")
    assert np.isnan(ranking.observed[x, z])
    assert 0 < ranking.expected[x, z] < 1
    assert ranking.met[x, z] == 0


def test_style_is_reported_with_its_unit():
    games = arena(5, 900, style=[0.6, 0.0])
    long, other = rank_models(games).style
    assert (long.name, other.name) == ("s0", "s1")
    assert long.low > 0
    assert other.low < 0 < other.high
    assert long.unit == pytest.approx(np.sqrt(np.mean(games.style[:, 0] ** 2)))


def test_everything_can_be_written_as_json():
    for method in ("rao_kupper", "counting"):
        found = json.loads(json.dumps(rank_models(arena(4, 200), method=method, draws=20).to_dict(), allow_nan=False))
        assert found["models"] == list(rank_models(arena(4, 200), method=method, draws=20).models)
    assert found["expected"][0][1] is None


@pytest.mark.parametrize("method", EVALICA)
def test_fits_of_evalica_have_bootstrap_intervals(method):
    pytest.importorskip("evalica")
    ranking = rank_models(arena(5, 400), method=method, draws=40)
    assert ranking.intervals == "bootstrap"
    assert f"{method} has no covariance: its intervals are those of the bootstrap" in ranking.notes
    assert list(ranking.score) == sorted(ranking.score, reverse=True)
    assert np.all(ranking.low <= ranking.high)
    assert np.mean((ranking.low <= ranking.score) & (ranking.score <= ranking.high)) >= 0.8
    assert ranking.rank.min() == 1


@pytest.mark.parametrize("method", ["counting", "average_win_rate", "pagerank", "eigen"])
def test_scores_of_evalica_are_its_own(method):
    evalica = pytest.importorskip("evalica")
    games = arena(5, 400)
    winners = np.array([evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw])[games.outcome.argmax(axis=1)]
    names = np.array(games.models)
    settings = {"tolerance": 1e-12, "limit": 10_000} if method in {"pagerank", "eigen"} else {}
    theirs = getattr(evalica, method)(names[games.a].tolist(), names[games.b].tolist(), list(winners), **settings)
    ours = rank_models(games, method=method, draws=20)
    assert ours.score == pytest.approx(theirs.scores.reindex(list(ours.models)).to_numpy(), abs=1e-6)


def test_elo_is_that_of_evalica_row_by_row():
    evalica = pytest.importorskip("evalica")
    games = arena(5, 400)
    winners = np.array([evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw])[games.outcome.argmax(axis=1)]
    theirs = evalica.elo(games.a.tolist(), games.b.tolist(), list(winners))
    ours = rank_models(games, method="elo", draws=20)
    order = [games.models.index(name) for name in ours.models]
    assert ours.score == pytest.approx(theirs.scores.reindex(order).to_numpy(), abs=1e-6)
    assert any("order of the rows" in note for note in ours.notes)
    swapped = replace(games, a=games.b, b=games.a, outcome=games.outcome[:, [1, 0, 2]])
    assert np.array_equal(rank_models(swapped, method="elo", draws=20).score, ours.score)


def test_without_evalica_its_fits_name_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "evalica", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[rank\]'"):
        rank_models(arena(4, 100), method="newman")
    assert rank_models(arena(4, 100)).models


def test_settings_that_are_none_raise():
    games = arena(4, 100)
    for wrong, message in (
        ({"method": "bradley-terry"}, "did you mean bradley_terry"),
        ({"intervals": "sandwhich"}, "did you mean sandwich"),
        ({"disconnected": "drop"}, "allowed are refuse, largest"),
        ({"level": 95}, "such as 0.95"),
        ({"intervals": "bootstrap", "draws": 5}, "at least 20"),
        ({"seed": -1}, "from 0 up"),
        ({"anchor": "gpt"}, "none of the ranked models: m0, m1, m2, m3"),
        ({"method": "counting", "anchor": "m0"}, "no anchor"),
        ({"style_ridge": -1.0}, "at least 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            rank_models(games, **wrong)
    assert len(METHODS) == 9
