"""Test that predictions tighten a ranking without biasing it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.leaderboard.arenas import chances, strengths_of

from votecast.errors import ConfigError, DataError
from votecast.leaderboard import Games, Predicted, fit_ranking, rank_models

MODELS = 5


def world(voted=500, more=5000, seed=0, *, bias=0.0, noise=0.2, style=None):
    """Simulate votes and a judge with prompt effects and optional bias."""
    rng = np.random.default_rng(seed)
    total, strengths = voted + more, strengths_of(MODELS)
    a = rng.integers(MODELS, size=total)
    b = (a + rng.integers(1, MODELS, size=total)) % MODELS
    x = rng.normal(size=(total, 1))
    suits = rng.normal(size=total) * 2
    lead = strengths[a] - strengths[b] + suits + (0.0 if style is None else style) * x[:, 0]
    p = chances(lead)
    outcome = np.eye(3)[(rng.random(total)[:, None] > p.cumsum(axis=1)[:, :2]).sum(axis=1)]
    judged = chances(lead + noise * rng.normal(size=total) + bias * ((a == 0) * 1.0 - (b == 0)))
    styled = {} if style is None else {"style": x, "style_names": ["form"]}
    games = Games.of([f"m{each}" for each in range(MODELS)], a, b, outcome, **styled)
    part = [_rows(games, np.arange(voted)), _rows(games, np.arange(voted, total))]
    return part[0], Predicted(judged[:voted], replace(part[1], outcome=judged[voted:]))


def _rows(games, rows):
    style = None if games.style is None else games.style[rows]
    return replace(
        games,
        a=games.a[rows],
        b=games.b[rows],
        outcome=games.outcome[rows],
        weights=games.weights[rows],
        clusters=games.clusters[rows],
        style=style,
    )


@pytest.mark.parametrize("method", ["bradley_terry", "davidson", "rao_kupper"])
def test_good_predictions_narrow_the_intervals(method):
    games, predicted = world()
    alone, helped = rank_models(games, method=method), rank_models(games, method=method, predicted=predicted)
    assert np.mean(helped.high - helped.low) < 0.9 * np.mean(alone.high - alone.low)
    assert 0.5 < helped.tuning <= 1
    assert helped.worth > 1.2
    assert (alone.tuning, alone.worth) == (None, None)
    assert helped.battles.sum() == alone.battles.sum() == 1000


@pytest.mark.parametrize("method", ["bradley_terry", "davidson", "rao_kupper"])
@pytest.mark.parametrize("style", [None, 0.5])
def test_a_biased_judge_does_not_move_the_ranking(method, style):
    alone, moved, trusted = [], [], []
    for seed in range(25):
        games, predicted = world(400, 2000, seed, bias=2.0, style=style)
        alone.append(fit_ranking(games, method=method).strengths[0])
        moved.append(fit_ranking(games, method=method, predicted=predicted).strengths[0])
        trusted.append(fit_ranking(predicted.unlabelled, method=method).strengths[0])
    error = np.std(np.subtract(moved, alone)) / 5
    assert abs(np.mean(moved) - np.mean(alone)) < 4 * error
    assert np.std(moved) < np.std(alone)
    assert np.mean(trusted) - np.mean(alone) > 0.5  # believing the judge would have moved it


@pytest.mark.parametrize("style", [None, 0.5])
def test_without_predicted_games_nothing_changes(style):
    games, predicted = world(300, 10, style=style)
    none = Predicted(predicted.labelled, replace(predicted.unlabelled, weights=np.zeros(10)))
    alone, same = fit_ranking(games), fit_ranking(games, predicted=none)
    assert np.array_equal(same.strengths, alone.strengths)
    assert np.array_equal(same.covariance, alone.covariance)
    assert same.tuning == 0
    assert same.worth == 1


def test_useless_predictions_are_hardly_used():
    tunings = []
    for seed in range(10):
        games, predicted = world(500, 3000, seed)
        rng = np.random.default_rng(seed)
        noise = Predicted(
            rng.dirichlet(np.ones(3), size=500),
            replace(predicted.unlabelled, outcome=rng.dirichlet(np.ones(3), size=3000)),
        )
        fit = fit_ranking(games, predicted=noise)
        tunings.append(fit.tuning)
        assert fit.worth == pytest.approx(1, abs=0.1)
    assert np.mean(tunings) < 0.12


def test_predictions_that_depend_only_on_the_models_are_not_used():
    games, predicted = world(400, 2000)
    constant = Predicted(np.full((400, 3), 1 / 3), replace(predicted.unlabelled, outcome=np.full((2000, 3), 1 / 3)))
    fit = fit_ranking(games, predicted=constant)
    assert np.array_equal(fit.strengths, fit_ranking(games).strengths)
    assert any("say nothing" in note for note in fit.notes)


def test_predicted_games_may_be_about_other_pairs_than_votes():
    """Many predicted games of one pair do not bias the fit."""
    games, predicted = world(600, 4000, style=None)
    some = (predicted.unlabelled.a == 0) | (predicted.unlabelled.b == 0)
    crowd = _rows(predicted.unlabelled, np.flatnonzero(some))
    one, alone = fit_ranking(games, predicted=replace(predicted, unlabelled=crowd)), fit_ranking(games)
    assert np.abs(one.strengths - alone.strengths).max() < 3 * np.sqrt(np.diag(alone.covariance).max())
    assert np.diag(one.covariance)[0] < np.diag(alone.covariance)[0]


def test_pairs_without_votes_are_reported():
    games, predicted = world(400, 2000)
    pair = ((games.a == 0) & (games.b == 1)) | ((games.a == 1) & (games.b == 0))
    kept = np.flatnonzero(~pair)
    fit = fit_ranking(_rows(games, kept), predicted=replace(predicted, labelled=predicted.labelled[kept]))
    assert any("predicted games unused" in note for note in fit.notes)


def test_for_two_models_it_is_the_prediction_powered_mean_of_the_papers():
    """Compare with PPI++ for a mean (Angelopoulos et al. 2023)."""
    rng = np.random.default_rng(0)
    voted, more = 400, 3000
    chance = rng.beta(1, 1, size=voted + more) * 0.9
    y = (rng.random(voted) < chance[:voted]) * 1.0
    judged = np.clip(chance + 0.2 * rng.normal(size=voted + more), 0, 1)
    f, extra = judged[:voted], judged[voted:]

    def shares(p):
        return np.stack([p, 1 - p, np.zeros(len(p))], axis=1)

    def games(p):
        return Games.of(["x", "y"], np.zeros(len(p), int), np.ones(len(p), int), shares(p))

    tuning = np.cov(y, f)[0, 1] / ((1 + voted / more) * np.var(judged))
    mean = y.mean() - tuning * (f.mean() - extra.mean())
    variance = np.var(y - tuning * f) / voted + tuning**2 * np.var(extra) / more
    fit = fit_ranking(games(y), predicted=Predicted(shares(f), games(extra)))
    assert fit.tuning / (1 + voted / more) == pytest.approx(tuning, rel=0.03)
    assert 1 / (1 + np.exp(fit.strengths[1] - fit.strengths[0])) == pytest.approx(mean, abs=1e-3)
    error = np.sqrt(variance) / (mean * (1 - mean))
    assert 2 * np.sqrt(fit.covariance[0, 0]) == pytest.approx(error, rel=0.03)


def test_models_go_by_name_and_unknown_ones_are_left_out():
    games, predicted = world(400, 2000)
    more = predicted.unlabelled
    mixed = replace(more, models=("new", *reversed(more.models)), a=5 - more.a, b=5 - more.b)
    one, two = (
        fit_ranking(games, predicted=predicted),
        fit_ranking(games, predicted=replace(predicted, unlabelled=mixed)),
    )
    assert two.strengths == pytest.approx(one.strengths, abs=1e-12)
    assert two.models == games.models


@pytest.mark.parametrize("method", ["bradley_terry", "davidson", "rao_kupper"])
@pytest.mark.parametrize("style", [None, 0.5])
def test_bootstrap_and_sandwich_agree(method, style):
    games, predicted = world(500, 2500, style=style)
    one = rank_models(games, method=method, predicted=predicted)
    two = rank_models(games, method=method, predicted=predicted, intervals="bootstrap", draws=100)
    assert two.score == pytest.approx(one.score)
    assert np.mean(two.high - two.low) == pytest.approx(np.mean(one.high - one.low), rel=0.2)


def test_swapping_a_and_b_changes_nothing():
    games, predicted = world(300, 1000, style=0.5)

    def swapped(each):
        return replace(each, a=each.b, b=each.a, outcome=each.outcome[:, [1, 0, 2]], style=-each.style)

    one = fit_ranking(games, predicted=predicted)
    other = Predicted(predicted.labelled[:, [1, 0, 2]], swapped(predicted.unlabelled))
    two = fit_ranking(swapped(games), predicted=other)
    assert np.array_equal(one.strengths, two.strengths)
    assert np.array_equal(one.covariance, two.covariance)


def test_mismatched_predictions_raise():
    games, predicted = world(100, 100, style=0.5)
    with pytest.raises(DataError, match="99 predictions are given for 100 voted games"):
        fit_ranking(games, predicted=replace(predicted, labelled=predicted.labelled[1:]))
    bare = replace(predicted.unlabelled, style=None, style_names=())
    with pytest.raises(DataError, match="no style form"):
        fit_ranking(games, predicted=replace(predicted, unlabelled=bare))
    with pytest.raises(DataError, match="every value must lie in"):
        fit_ranking(games, predicted=replace(predicted, labelled=predicted.labelled * 2))
    plain, predicted = world(100, 100)
    with pytest.raises(ConfigError, match="takes no predictions"):
        fit_ranking(plain, method="elo", predicted=predicted)
