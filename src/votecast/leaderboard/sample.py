"""What a ranking is fitted on: comparable rows, and a judge's predictions of them and of games without votes.

Called by the fit, the sandwich and the bootstrap of a ranking. Predictions make the votes of people more precise; a
judge that is wrong must not move the ranking, so its predictions of games without votes count only against those of
the voted games (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, eq. 3), to a degree that minimises the variance
(PPI++: Angelopoulos, Duchi & Zrnic 2023, eq. 6). Pair of models by pair of models, so that the games without votes may
have other shares of pairs; within a pair they must be alike, the order of the responses included if the judge reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from votecast.errors import DataError
from votecast.leaderboard.connectivity import comparable, join_names
from votecast.leaderboard.game_rows import Cells, Rows, sum_by_number
from votecast.leaderboard.games import Games, Predicted
from votecast.metrics.checks import check_probabilities
from votecast.types import Floats

_ALIKE: Final = 1e-7
"""Style whose information beyond that of the models is below this share of a vote cannot be distinguished from them."""


class PairVotes(NamedTuple):
    """Weight of the votes of each pair of models."""

    # by people, and of the same games as the judge predicts them, (p, 3)
    voted: Floats
    predicted: Floats
    # of games without votes as the judge predicts them, (p, 3)
    extra: Floats

    def shares(self) -> tuple[Floats, Floats]:
        """Return how much predictions are taken off and added, shape (p,); both weigh the same."""
        # near 1 for a pair with many games without votes beside those with, 0 for one without any (PPI++, eq. 7 with
        # the factor 1 / (1 + n / N))
        here, there = self.voted.sum(axis=1), self.extra.sum(axis=1)
        both = np.maximum(here + there, 1e-300)
        return there / both, here / both

    def blend(self, tuning: float) -> Floats:
        """Return corrected votes of each pair, shape (p, 3), of unchanged total."""
        if tuning == 0:
            return self.voted
        off, on = self.shares()
        return np.asarray(self.voted - tuning * (off[:, None] * self.predicted - on[:, None] * self.extra))


@dataclass(frozen=True)
class Sample:
    """Rows of comparable models, renumbered in the order of the games."""

    names: tuple[str, ...]
    rows: Rows
    # weight of the votes of these rows as the judge predicts them, (n, 3); 0 without a judge
    predicted: Floats
    # rows without votes, with those that the judge predicts; none without a judge
    extra: Rows
    # the pairs of models that people compared
    pairs: Cells
    # root mean square of each feature of style, which is its unit, (k,)
    units: Floats
    style_names: tuple[str, ...]
    notes: tuple[str, ...]

    def pair_votes(self) -> PairVotes:
        """Sum all rows of each pair."""
        number, size = self.pairs.number(self.rows), len(self.pairs)
        extra = sum_by_number(self.pairs.number(self.extra), size, self.extra.votes)
        voted, predicted = (sum_by_number(number, size, votes) for votes in (self.rows.votes, self.predicted))
        return PairVotes(voted, predicted, extra)

    def cells(self, tuning: float, times: Floats | None = None, extra_times: Floats | None = None) -> Cells:
        """Return corrected pairs at a tuning, 0 to 1, or single rows where there is style, each so many times."""
        if not self.units.size:
            return replace(self.pairs, votes=self.pair_votes().blend(tuning))
        rows = self.rows if times is None else self.rows.times(times)
        if tuning == 0:
            return rows
        predicted = self.predicted if times is None else self.predicted * times[:, None]
        extra = self.extra if extra_times is None else self.extra.times(extra_times)
        number, there, size = self.pairs.number(rows), self.pairs.number(extra), len(self.pairs)
        sums = sum_by_number(number, size, rows.votes), predicted, sum_by_number(there, size, extra.votes)
        off, on = PairVotes(*sums).shares()
        votes = [rows.votes - tuning * off[number, None] * predicted, tuning * on[there, None] * extra.votes]
        first, second = np.concatenate([rows.first, extra.first]), np.concatenate([rows.second, extra.second])
        return Cells(rows.models, first, second, np.concatenate(votes), np.concatenate([rows.style, extra.style]))


def sample_of(games: Games, predicted: Predicted | None, disconnected: str) -> Sample:
    """Check games, and keep what can be ranked.

    Raises:
        DataError: If there are fewer than two models or two rows, all votes are ties, models were never compared, or
            style cannot be distinguished from the models.
    """
    if len(games.models) < 2:
        raise DataError(f"the votes are all about {join_names(games.models) or 'no model'}; a ranking needs two models")
    rows, notes = Rows.of(games), []
    if same := int(np.sum((games.a == games.b) & (games.weights > 0))):
        notes.append(f"{same:,} of {len(rows) + same:,} rows left out: a model met itself there")
    _check_votes(rows)
    mask, more = comparable(games.models, rows, disconnected)
    names = tuple(name for name, kept in zip(games.models, mask, strict=True) if kept)
    inside = mask[rows.first]  # both models of a row are of one group
    guesses = np.zeros_like(rows.votes)
    if predicted is not None:
        p = check_probabilities(predicted.labelled, "predictions of the voted games")
        if len(p) != len(games):
            raise DataError(f"{len(p)} predictions are given for {len(games)} voted games; give one for each")
        guesses = Rows.of(replace(games, outcome=p)).votes
    rows, lost = rows.take(inside), int(np.sum(~inside))
    number = np.cumsum(mask) - 1
    rows = replace(rows, models=len(names), first=number[rows.first], second=number[rows.second])
    _check_votes(rows, f" in the largest group of models that met; {lost:,} more between other models" * (lost > 0))
    rows, units, style_names, dull = _scale_style(rows, games.style_names)
    pairs = Cells.pairs_of(rows)
    if predicted is None:
        extra = rows.take(np.zeros(len(rows), dtype=bool))
    else:
        extra, unused = _extra_rows(names, pairs, predicted.unlabelled, style_names, units)
        dull += unused
    notes += [*more, *dull]
    return Sample(names, rows, guesses[inside], extra, pairs, units, style_names, tuple(notes))


def _check_votes(rows: Rows, where: str = "") -> None:
    if len(rows) < 2:
        raise DataError(f"{len(rows)} row of votes between two models counts{where}; a ranking needs at least two")
    if not np.any(rows.votes[:, :2] > 0):
        raise DataError(
            f"all {len(rows):,} votes are ties, so that nothing tells the models apart; give votes with a winner"
        )


def _scale_style(rows: Rows, names: tuple[str, ...]) -> tuple[Rows, Floats, tuple[str, ...], list[str]]:
    """Divide style by its root mean square; return rows, these units, the names of what differs, and notes."""
    if not names:
        return rows, np.zeros(0), (), []
    weight = rows.votes.sum(axis=1)
    largest = np.abs(rows.style).max(axis=0)
    some = np.flatnonzero(largest > 0)
    # the mean stays: it changes sign with the order of the responses
    size = largest[some] * np.sqrt(np.average((rows.style[:, some] / largest[some]) ** 2, axis=0, weights=weight))
    dull = [names[each] for each in np.flatnonzero(largest == 0)]
    notes = [f"style {join_names(dull)} left out: the two responses never differ in it"] if dull else []
    kept = tuple(names[each] for each in some)
    rows = replace(rows, style=rows.style[:, some] / size)
    if kept:
        _check_style(rows, kept)
    return rows, size, kept, notes


def _check_style(rows: Rows, names: tuple[str, ...]) -> None:
    """Raise DataError for style that follows from the models, or features that follow from each other."""
    weight = rows.votes.sum(axis=1)
    weighted = weight[:, None] * rows.style
    # Schur complement: the information on style that is left once the strengths are free to follow it
    cross = np.stack([rows.sum_by_models(column) for column in weighted.T], axis=1)
    known = cross.T @ np.linalg.pinv(rows.laplacian(weight), hermitian=True) @ cross
    sizes, ways = np.linalg.eigh((rows.style.T @ weighted - known) / weight.sum())
    if sizes[0] < _ALIKE:
        blamed = [name for name, share in zip(names, np.abs(ways[:, 0]), strict=True) if share > 0.1]
        raise DataError(
            f"the effect of {join_names(blamed)} cannot be separated from the strengths of the models or each other: "
            "it follows from who the models are, or from the other features; leave such features out"
        )


def _extra_rows(
    names: tuple[str, ...], pairs: Cells, games: Games, style_names: tuple[str, ...], units: Floats
) -> tuple[Rows, list[str]]:
    """Return games without votes on pairs that people compared, with the model numbers of the sample."""
    style, known = None, {name: number for number, name in enumerate(names)}
    if style_names:
        missing = [name for name in style_names if name not in games.style_names]
        if games.style is None or missing:
            raise DataError(
                f"the predicted games have no style {join_names(missing or style_names)}, which the voted games have; "
                "give the same features for both"
            )
        style = np.asarray(games.style[:, [games.style_names.index(name) for name in style_names]] / units)
    number = np.array([known.get(name, -1) for name in games.models], dtype=np.int64)
    a, b = number[games.a], number[games.b]
    weights = np.where((a >= 0) & (b >= 0), games.weights, 0.0)
    a, b = np.maximum(a, 0), np.maximum(b, 0)
    rows = Rows.of(replace(games, models=names, a=a, b=b, weights=weights, style=style, style_names=style_names))
    rows = rows.take(pairs.number(rows) >= 0)
    if unused := len(games) - len(rows):
        note = (
            f"{unused:,} of {len(games):,} predicted games unused: between models that people never compared directly, "
            "where nothing could correct the judge"
        )
        return rows, [note]
    return rows, []
