"""Covariance of fitted parameters from the scores of clusters of rows (Liang & Zeger 1986, eq. 6).

Called by the fit of a ranking, after the maximum of the likelihood is found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from votecast.leaderboard.game_rows import Cells, Rows, number_clusters, sum_by_number
from votecast.leaderboard.ranking_likelihood import RankingLikelihood, Solution
from votecast.leaderboard.sample import Sample
from votecast.types import Floats, Ints

Scores = tuple[csr_matrix, Floats]
"""Scores summed over each cluster: by strengths, sparse (clusters, models), and by the other parameters, dense."""


class Meat(NamedTuple):
    """Variance of the scores at tuning x: people - x cross + x² judge, each of shape (size, size)."""

    people: Floats
    # from votes and predictions of the same rows
    cross: Floats
    judge: Floats
    # of voted rows
    clusters: int

    def covariance(self, found: Solution, tuning: float) -> Floats:
        """Return the sandwich covariance, times G / (G - 1); strengths are centred."""
        bread = found.likelihood.bread(found.point)
        variance = self.people - tuning * self.cross + tuning**2 * self.judge
        out = bread @ variance @ bread * (self.clusters / max(self.clusters - 1, 1))
        return np.asarray((out + out.T) / 2)

    def best_tuning(self, found: Solution) -> float:
        """Return the tuning of the smallest covariance (PPI++, proposition 2)."""
        bread, m = found.likelihood.bread(found.point), found.likelihood.models
        gain, cost = (float(np.trace((bread @ part @ bread)[:m, :m])) for part in (self.cross, self.judge))
        return float(np.clip(0.5 * gain / cost, 0.0, 1.0)) if cost > 0 else 0.0


def score_variance(sample: Sample, found: Solution) -> Meat:
    """Return the variance of the scores at the fitted parameters."""
    rows, likelihood, point = sample.rows, found.likelihood, found.point
    clusters, count = number_clusters(rows.clusters)
    if count == 1:  # one prompt for all: rows stand for themselves, and a note says so
        clusters, count = np.arange(len(rows)), len(rows)
    # between two of the groups within which all lost or drew no model ever lost: votes there cannot tell their own
    # variance, and get it from the fitted chances; the prior of the strengths stands for so much information
    across = found.level[rows.first] != found.level[rows.second]
    inside = np.where(across, 0.0, 1.0)[:, None]
    people = _sum_scores(rows, clusters, count, _derivatives(likelihood, point, rows) * inside)
    known = np.diag(np.where(np.arange(likelihood.size) < likelihood.models, likelihood.penalty, 0.0))
    if np.any(across):
        votes = rows.votes[across]
        squared = votes * votes.sum(axis=1, keepdims=True)
        some = Cells(rows.models, rows.first[across], rows.second[across], squared, rows.style[across])
        fitted = RankingLikelihood(likelihood.model, some)
        known = fitted.information(fitted.terms(point)) + known
    none = np.zeros_like(known)
    if not len(sample.extra):
        return Meat(_moment(people, people) + known, none, none, count)
    here, there = _judge_derivatives(sample, likelihood, point)
    judge = _sum_scores(rows, clusters, count, here * inside)
    extra = _sum_scores(sample.extra, *number_clusters(sample.extra.clusters), there)
    both = _moment(people, judge)
    return Meat(_moment(people, people) + known, both + both.T, _moment(judge, judge) + _moment(extra, extra), count)


def _derivatives(likelihood: RankingLikelihood, point: Floats, cells: Cells) -> Floats:
    """Return derivatives by lead, by the number for ties if there is one, and by style, shape (c, 1 + others)."""
    terms = RankingLikelihood(likelihood.model, cells).terms(point)
    parts = [terms.d[:, None]] + ([terms.t[:, None]] if likelihood.tie else [])
    parts += [terms.d[:, None] * cells.style] if likelihood.style else []
    return np.concatenate(parts, axis=1)


def _judge_derivatives(sample: Sample, likelihood: RankingLikelihood, point: Floats) -> tuple[Floats, Floats]:
    """Return what predictions add to the scores of voted rows and of the others, less their mean within the pair."""
    rows, extra, size = sample.rows, sample.extra, len(sample.pairs)
    cells = Cells(rows.models, rows.first, rows.second, sample.predicted, rows.style)
    here, there = _derivatives(likelihood, point, cells), _derivatives(likelihood, point, extra)
    number, other = sample.pairs.number(rows), sample.pairs.number(extra)
    weight, extra_weight = rows.votes.sum(axis=1)[:, None], extra.votes.sum(axis=1)[:, None]
    total = sum_by_number(number, size, weight) + sum_by_number(other, size, extra_weight)
    mean = (sum_by_number(number, size, here) + sum_by_number(other, size, there)) / total
    # variance of residuals from a mean of n rows is short by (n - 1) / n, for the mean follows the rows
    count = np.bincount(number, minlength=size) + np.bincount(other, minlength=size)
    factor = np.sqrt(count / np.maximum(count - 1, 1))
    off, on = (part * factor for part in sample.pair_votes().shares())
    return (here - weight * mean[number]) * off[number, None], (there - extra_weight * mean[other]) * on[other, None]


def _sum_scores(rows: Rows, clusters: Ints, count: int, derivatives: Floats) -> Scores:
    # d = strength of first - strength of second: a score counts once for the first and against the second
    entries = np.concatenate([derivatives[:, 0], -derivatives[:, 0]])
    places = (np.concatenate([clusters, clusters]), np.concatenate([rows.first, rows.second]))
    strengths = coo_matrix((entries, places), shape=(count, rows.models)).tocsr()
    return strengths, sum_by_number(clusters, count, derivatives[:, 1:])


def _moment(one: Scores, two: Scores) -> Floats:
    """Sum the outer products over clusters, shape (size, size)."""
    (strengths, others), (strengths_2, others_2) = one, two
    return np.block(
        [
            [(strengths.T @ strengths_2).toarray(), strengths.T @ others_2],
            [others.T @ strengths_2, others.T @ others_2],
        ]
    )
