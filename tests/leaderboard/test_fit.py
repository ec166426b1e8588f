"""Test fits: reference values, order independence, optimality, covariances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import logistic
from sklearn.linear_model import LogisticRegression
from tests.leaderboard.arenas import TIES, arena, strengths_of

from votecast.leaderboard import Games, fit_ranking
from votecast.leaderboard.ranking_likelihood import RANKING_MODELS

OWN = list(RANKING_MODELS)


def as_evalica(games):
    evalica = pytest.importorskip("evalica")
    winners = [evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw]
    names = np.array(games.models)
    return names[games.a].tolist(), names[games.b].tolist(), [winners[each] for each in games.outcome.argmax(axis=1)]


def centred_logs(scores, models):
    logs = np.log(scores.reindex(list(models)).to_numpy())
    return logs - logs.mean()


def parameters(fit):
    return np.concatenate([fit.strengths, [] if fit.tie is None else [np.log(fit.tie)], fit.style])


@pytest.mark.parametrize("seed", range(3))
def test_bradley_terry_and_davidson_are_those_of_evalica(seed):
    evalica = pytest.importorskip("evalica")
    games = arena(8, 500, seed=seed)
    table, settings = as_evalica(games), {"tolerance": 1e-13, "limit": 100_000}
    theirs = evalica.bradley_terry(*table, **settings)
    assert fit_ranking(games).strengths == pytest.approx(centred_logs(theirs.scores, games.models), abs=1e-6)
    theirs = evalica.newman(*table, **settings)
    ours = fit_ranking(games, method="davidson")
    assert ours.strengths == pytest.approx(centred_logs(theirs.scores, games.models), abs=1e-6)
    assert ours.tie == pytest.approx(2 * theirs.v, abs=1e-6)


def test_bradley_terry_is_that_of_evalica_with_weights():
    evalica = pytest.importorskip("evalica")
    weights = np.random.default_rng(1).uniform(0.1, 3, size=500)
    games = arena(8, 500, weights=weights)
    theirs = evalica.bradley_terry(*as_evalica(games), weights=weights, tolerance=1e-13, limit=100_000)
    assert fit_ranking(games).strengths == pytest.approx(centred_logs(theirs.scores, games.models), abs=1e-6)


def test_style_control_is_a_logistic_regression():
    games = arena(5, 600, method="bradley_terry", style=[0.6])
    design = np.zeros((600, 5))
    design[np.arange(600), games.a], design[np.arange(600), games.b] = 1, -1
    design = np.column_stack([design, games.style])
    won = games.outcome[:, 0] == 1
    theirs = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-10, max_iter=5000).fit(design, won).coef_[0]
    ours = fit_ranking(games)
    assert ours.strengths == pytest.approx(theirs[:5] - theirs[:5].mean(), abs=1e-4)
    assert ours.style / ours.style_units == pytest.approx(theirs[5:], abs=1e-4)


def _by_the_book(point, games, method):
    """Return the negative log-likelihood as published."""
    m = len(games.models)
    lead = point[games.a] - point[games.b]
    if games.style is not None:
        lead = lead + games.style @ point[m + 1 :]
    if method == "rao_kupper":
        a, b = logistic.cdf(lead - np.exp(point[m])), logistic.cdf(-lead - np.exp(point[m]))
        p = np.stack([a, b, 1 - a - b], axis=1)
    else:
        odds = np.stack([np.exp(lead / 2), np.exp(-lead / 2), np.full(len(lead), np.exp(point[m]))], axis=1)
        p = odds / odds.sum(axis=1, keepdims=True)
    return -float(np.sum(games.weights[:, None] * games.outcome * np.log(np.maximum(p, 1e-300))))


@pytest.mark.parametrize("style", [None, [0.5]])
@pytest.mark.parametrize("method", ["davidson", "rao_kupper"])
def test_ties_are_fitted_by_the_likelihood_of_the_papers(method, style):
    games = arena(4, 300, method=method, style=style)
    ours = fit_ranking(games, method=method)
    tie = np.log(ours.tie) if method == "davidson" else np.log(np.log(ours.tie))
    point = np.concatenate([ours.strengths, [tie], ours.style / ours.style_units])
    found = minimize(_by_the_book, np.zeros(len(point)), args=(games, method), options={"gtol": 1e-7})
    assert _by_the_book(point, games, method) <= found.fun + 1e-9
    assert point[:4] == pytest.approx(found.x[:4] - found.x[:4].mean(), abs=1e-4)


@pytest.mark.parametrize("method", OWN)
@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_swapping_a_and_b_changes_nothing(method, seed):
    games = arena(5, 120, seed=seed, prompts=40, style=[0.3])
    swap = np.random.default_rng(seed).random(120) < 0.5
    swapped = replace(
        games,
        a=np.where(swap, games.b, games.a),
        b=np.where(swap, games.a, games.b),
        outcome=np.where(swap[:, None], games.outcome[:, [1, 0, 2]], games.outcome),
        style=np.where(swap[:, None], -games.style, games.style),
    )
    one, two = fit_ranking(games, method=method), fit_ranking(swapped, method=method)
    assert np.array_equal(parameters(one), parameters(two))
    assert np.array_equal(one.covariance, two.covariance)


@pytest.mark.parametrize("method", OWN)
@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_order_of_rows_and_of_models_does_not_matter(method, seed):
    rng = np.random.default_rng(seed)
    games = arena(5, 120, seed=seed, prompts=40, style=[0.3])
    rows, models = rng.permutation(120), rng.permutation(5)
    number = np.argsort(models)
    mixed = Games.of(
        [games.models[each] for each in models],
        number[games.a[rows]],
        number[games.b[rows]],
        games.outcome[rows],
        clusters=games.clusters[rows],
        style=games.style[rows],
        style_names=games.style_names,
    )
    one, two = fit_ranking(games, method=method), fit_ranking(mixed, method=method)
    assert two.strengths == pytest.approx(one.strengths[models], abs=1e-9)
    assert np.diag(two.covariance)[:5] == pytest.approx(np.diag(one.covariance)[models], rel=1e-6)


@pytest.mark.parametrize("style", [None, [0.3]])
@pytest.mark.parametrize("method", OWN)
def test_weight_two_is_two_rows(method, style):
    games = arena(5, 150, prompts=50, style=style)
    times = np.random.default_rng(0).integers(0, 4, size=150)
    rows = np.repeat(np.arange(150), times)
    repeated = replace(
        games,
        a=games.a[rows],
        b=games.b[rows],
        outcome=games.outcome[rows],
        weights=games.weights[rows],
        clusters=games.clusters[rows],
        style=None if games.style is None else games.style[rows],
    )
    one, two = (
        fit_ranking(replace(games, weights=times.astype(float)), method=method),
        fit_ranking(repeated, method=method),
    )
    assert parameters(one) == pytest.approx(parameters(two), abs=1e-9)
    assert one.covariance == pytest.approx(two.covariance, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("method", OWN)
def test_shares_of_votes_are_votes(method):
    games = arena(4, 200)
    pairs = games.a * 4 + games.b
    sums = np.stack([np.bincount(pairs, column, minlength=16) for column in games.outcome.T], axis=1)
    met = np.flatnonzero(sums.sum(axis=1))
    weights = sums[met].sum(axis=1)
    shared = Games.of(games.models, met // 4, met % 4, sums[met] / weights[:, None], weights)
    one, two = fit_ranking(games, method=method), fit_ranking(shared, method=method)
    assert one.strengths == pytest.approx(two.strengths, abs=1e-9)


@pytest.mark.parametrize("method", OWN)
def test_strengths_have_mean_0_and_no_variance_together(method):
    fit = fit_ranking(arena(7, 300), method=method)
    assert fit.strengths.mean() == pytest.approx(0, abs=1e-12)
    assert fit.covariance[:7].sum(axis=0) == pytest.approx(np.zeros(len(fit.covariance)), abs=1e-12)


@pytest.mark.parametrize("method", ["davidson", "rao_kupper"])
def test_known_parameters_are_recovered(method):
    far = []
    for seed in range(20):
        fit = fit_ranking(arena(6, 1500, method=method, seed=seed), method=method)
        off = np.append(fit.strengths - strengths_of(6), np.log(fit.tie) - TIES[method])
        far.append(np.abs(off) / np.sqrt(np.diag(fit.covariance)) > 3)
    assert np.mean(far) <= 0.02


def test_votes_of_one_prompt_count_as_less():
    games = arena(5, 400)
    twice = Games.of(
        games.models,
        np.tile(games.a, 4),
        np.tile(games.b, 4),
        np.tile(games.outcome, (4, 1)),
        None,
        np.tile(np.arange(400), 4),
    )
    alone = fit_ranking(replace(twice, clusters=np.arange(1600)))
    assert fit_ranking(twice).covariance == pytest.approx(fit_ranking(games).covariance, rel=1e-6, abs=1e-12)
    assert np.diag(alone.covariance) == pytest.approx(np.diag(fit_ranking(games).covariance) / 4, rel=0.01)


def test_style_has_the_same_effect_in_other_units():
    games = arena(5, 400, style=[0.5, 0.1])
    larger = replace(games, style=games.style * np.array([1000.0, 1e-3]))
    one, two = fit_ranking(games), fit_ranking(larger)
    assert two.strengths == pytest.approx(one.strengths, abs=1e-9)
    assert two.style == pytest.approx(one.style, abs=1e-9)
    assert two.style_units == pytest.approx(one.style_units * np.array([1000.0, 1e-3]))
