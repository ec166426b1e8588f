"""Covariance of fitted parameters from the scores of clusters of rows (Liang & Zeger 1986, eq. 6)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from votecast.leaderboard.curves import Curve
from votecast.leaderboard.games import Ints
from votecast.leaderboard.newton import Problem, Shape, held, information, terms_of
from votecast.leaderboard.predicted import pair_sums, shares
from votecast.leaderboard.rows import Cells, Rows, sums_by
from votecast.leaderboard.sample import Sample, numbered
from votecast.types import Floats


class Scores(NamedTuple):
    """Derivatives of the log-likelihood summed over each cluster.

    Args:
        strengths: By strengths, sparse, shape (clusters, models).
        others: By the number for ties and by style, shape (clusters, size - models).
    """

    strengths: csr_matrix
    others: Floats


class Meat(NamedTuple):
    """Variance of the scores at tuning x: people - x cross + x² judge, each of shape (size, size)."""

    people: Floats
    cross: Floats
    judge: Floats

    def at(self, tuning: float) -> Floats:
        """The variance at this tuning."""
        return np.asarray(self.people - tuning * self.cross + tuning**2 * self.judge)


class Spread(NamedTuple):
    """What a covariance is made of.

    Args:
        meat: Variance of the scores.
        clusters: How many clusters of voted rows there are.
    """

    meat: Meat
    clusters: int


def spread(sample: Sample, curve: Curve, shape: Shape, point: Floats, *, level: Ints, prior: Floats) -> Spread:
    """Variance of the scores at fitted parameters.

    Args:
        sample: The rows.
        curve: From leads to chances.
        shape: Of the parameters.
        point: The fitted parameters.
        level: Groups of models within which all lost or drew; rows across tell their variance by the fitted chances
            alone, for nobody ever lost there.
        prior: Precision of the prior of each parameter, which stands for so much information.
    """
    rows = sample.rows
    clusters, count = numbered(rows.clusters)
    if count == 1:  # one prompt for all: rows stand for themselves, and a note says so
        clusters, count = np.arange(len(rows)), len(rows)
    across = level[rows.first] != level[rows.second]
    inside = np.where(across, 0.0, 1.0)[:, None]
    people = _scores(rows, clusters, count, shape, _derivatives(curve, shape, point, rows.cells) * inside)
    known = _of_the_model(curve, shape, point, rows.cells, across) + np.diag(prior)
    none = np.zeros_like(known)
    if sample.guessed is None or sample.extra is None:
        return Spread(Meat(_moment(people, people) + known, none, none), count)
    here, there = _of_the_judge(sample, curve, shape, point)
    judge = _scores(rows, clusters, count, shape, here * inside)
    extra_clusters, extra_count = numbered(sample.extra.clusters)
    extra = _scores(sample.extra, extra_clusters, extra_count, shape, there)
    both = _moment(people, judge)
    meat = Meat(_moment(people, people) + known, both + both.T, _moment(judge, judge) + _moment(extra, extra))
    return Spread(meat, count)


def covariance_of(problem: Problem, point: Floats, found: Spread, tuning: float) -> Floats:
    """Sandwich covariance, times G / (G - 1); strengths are centred."""
    bread = bread_of(problem, point)
    factor = found.clusters / max(found.clusters - 1, 1)
    out = bread @ found.meat.at(tuning) @ bread * factor
    return np.asarray((out + out.T) / 2)


def bread_of(problem: Problem, point: Floats) -> Floats:
    """Inverse information, strengths centred, shape (size, size)."""
    out = np.linalg.inv(held(problem.shape, information(problem, terms_of(problem, point))))
    m = problem.shape.models
    out[:m] -= out[:m].mean(axis=0)
    out[:, :m] -= out[:, :m].mean(axis=1, keepdims=True)
    return np.asarray(out)


def best_tuning(bread: Floats, meat: Meat, models: int) -> float:
    """The tuning in [0, 1] with the least trace of the covariance of the strengths (PPI++, proposition 2)."""
    gain, cost = (float(np.trace((bread @ part @ bread)[:models, :models])) for part in (meat.cross, meat.judge))
    return float(np.clip(0.5 * gain / cost, 0.0, 1.0)) if cost > 0 else 0.0


def _derivatives(curve: Curve, shape: Shape, point: Floats, cells: Cells) -> Floats:
    """By lead, by the number for ties if there is one, and by each coefficient of style, shape (c, 1 + others)."""
    terms = terms_of(Problem(curve, shape, cells, np.zeros(shape.size)), point)
    parts = [terms.d[:, None]] + ([terms.t[:, None]] if shape.tie else [])
    parts += [terms.d[:, None] * cells.style] if shape.style else []
    return np.concatenate(parts, axis=1)


def _of_the_judge(sample: Sample, curve: Curve, shape: Shape, point: Floats) -> tuple[Floats, Floats]:
    """What forecasts add to the scores of voted rows and of the others, less their mean within the pair of models.

    Means of few rows follow the rows themselves; rows / (rows - 1) of the variance makes up for it.
    """
    rows, extra = sample.rows, sample.extra
    assert sample.guessed is not None
    assert extra is not None
    cells = Cells(rows.models, rows.first, rows.second, sample.guessed, rows.style)
    here, there = _derivatives(curve, shape, point, cells), _derivatives(curve, shape, point, extra.cells)
    number, other, size = sample.pairs.number(rows), sample.pairs.number(extra), len(sample.pairs)
    weight, extra_weight = rows.votes.sum(axis=1)[:, None], extra.votes.sum(axis=1)[:, None]
    total = sums_by(number, size, weight) + sums_by(other, size, extra_weight)
    mean = (sums_by(number, size, here) + sums_by(other, size, there)) / total
    count = np.bincount(number, minlength=size) + np.bincount(other, minlength=size)
    factor = np.sqrt(count / np.maximum(count - 1, 1))
    off, on = (part * factor for part in shares(pair_sums(sample)))
    return (here - weight * mean[number]) * off[number, None], (there - extra_weight * mean[other]) * on[other, None]


def _of_the_model(curve: Curve, shape: Shape, point: Floats, cells: Cells, mask: NDArray[np.bool_]) -> Floats:
    """Variance of the scores of some rows by the fitted chances."""
    if not np.any(mask):
        return np.zeros((shape.size, shape.size))
    votes = cells.votes[mask]
    squared = votes * votes.sum(axis=1, keepdims=True)
    some = Cells(cells.models, cells.first[mask], cells.second[mask], squared, cells.style[mask])
    problem = Problem(curve, shape, some, np.zeros(shape.size))
    return information(problem, terms_of(problem, point))


def _scores(rows: Rows, clusters: Ints, count: int, shape: Shape, derivatives: Floats) -> Scores:
    entries = np.concatenate([derivatives[:, 0], -derivatives[:, 0]])
    places = (np.concatenate([clusters, clusters]), np.concatenate([rows.first, rows.second]))
    strengths = coo_matrix((entries, places), shape=(count, shape.models)).tocsr()
    return Scores(strengths, sums_by(clusters, count, derivatives[:, 1:]))


def _moment(one: Scores, two: Scores) -> Floats:
    """Sum over clusters of the outer products, shape (size, size)."""
    return np.block(
        [
            [(one.strengths.T @ two.strengths).toarray(), one.strengths.T @ two.others],
            [one.others.T @ two.strengths, one.others.T @ two.others],
        ]
    )
