"""Simulate small arenas with known strengths."""

from __future__ import annotations

import numpy as np

from votecast.leaderboard import Games

TIES = {"bradley_terry": None, "davidson": -0.2, "rao_kupper": 0.6}


def chances(lead, method="davidson"):
    """Return probabilities of a, b and tie from published formulas."""
    t = TIES[method]
    win, lose = np.exp(lead / 2), np.exp(-lead / 2)
    if method == "rao_kupper":
        a, b = win / (win + np.exp(t) * lose), lose / (lose + np.exp(t) * win)
        return np.stack([a, b, 1 - a - b], axis=1)
    odds = np.stack([win, lose, np.full(len(lead), 0.0 if t is None else np.exp(t))], axis=1)
    return odds / odds.sum(axis=1, keepdims=True)


def strengths_of(models):
    strengths = np.random.default_rng(models).normal(size=models) * 0.7
    return strengths - strengths.mean()


def arena(models=6, votes=600, *, method="davidson", seed=0, prompts=None, style=None, weights=None):
    """Draw games between models m0, m1 ... in prompt clusters."""
    rng = np.random.default_rng(seed)
    strengths = strengths_of(models)
    a = rng.integers(models, size=votes)
    b = (a + rng.integers(1, models, size=votes)) % models
    x = rng.normal(size=(votes, 0 if style is None else len(style)))
    p = chances(strengths[a] - strengths[b] + x @ np.array(style or ()), method)
    outcome = np.eye(3)[(rng.random(votes)[:, None] > p.cumsum(axis=1)[:, :2]).sum(axis=1)]
    clusters = None if prompts is None else rng.integers(prompts, size=votes)
    styled = {} if style is None else {"style": x, "style_names": [f"s{number}" for number in range(len(style))]}
    return Games.of([f"m{each}" for each in range(models)], a, b, outcome, weights, clusters, **styled)
