"""What a ranking is fitted on: comparable rows, and a judge's predictions of them and of games without votes.

Called by the fit, the sandwich and the bootstrap of a ranking.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from votecast.errors import DataError
from votecast.leaderboard.connectivity import comparable, join_names
from votecast.leaderboard.game_rows import ModelPairs, Rows, laplacian, sum_by_models
from votecast.leaderboard.games import Games, Predicted
from votecast.metrics.checks import check_probabilities
from votecast.types import Floats

_ALIKE: Final = 1e-7
"""Style whose information beyond that of the models is below this share of a vote cannot be distinguished from them."""


@dataclass(frozen=True)
class Sample:
    """Rows of comparable models, renumbered.

    Args:
        names: Of the models, in the order of the games.
        rows: What people voted, style in its units.
        predicted: Weight of the votes of `rows` as the judge predicts them, shape (n, 3); None without a judge.
        extra: Rows without votes, with those that the judge predicts; None without a judge.
        pairs: The pairs of models that people compared.
        units: Root mean square of each feature of style, shape (k,).
        style_names: Names of the features.
        notes: What a reader must know.
    """

    names: tuple[str, ...]
    rows: Rows
    predicted: Floats | None
    extra: Rows | None
    pairs: ModelPairs
    units: Floats
    style_names: tuple[str, ...]
    notes: tuple[str, ...]


def sample_of(games: Games, predicted: Predicted | None, disconnected: str) -> Sample:
    """Check games, and keep what can be ranked.

    Args:
        games: Models and votes.
        predicted: A judge's probabilities for prediction-powered ranking.
        disconnected: refuse or largest.

    Raises:
        DataError: If there are fewer than two models or two rows, all votes are ties, models were never compared, or
            style cannot be distinguished from the models.
    """
    if len(games.models) < 2:
        raise DataError(f"the votes are all about {join_names(games.models) or 'no model'}; a ranking needs two models")
    rows = Rows.of(games)
    same = int(np.sum((games.a == games.b) & (games.weights > 0)))
    notes = (f"{same:,} of {len(rows) + same:,} rows left out: a model met itself there",) if same else ()
    _check_votes(rows)
    mask, more = comparable(games, rows, disconnected)
    number = np.cumsum(mask) - 1
    inside = mask[rows.first]  # both models of a row are of one group
    guesses = None if predicted is None else _predicted_votes(games, predicted)[inside]
    names = tuple(name for name, kept in zip(games.models, mask, strict=True) if kept)
    lost = int(np.sum(~inside))
    rows = rows.take(inside, number, len(names))
    _check_votes(rows, f" in the largest group of models that met; {lost:,} more between other models" * (lost > 0))
    rows, units, style_names, dull = _in_units(rows, games.style_names)
    pairs = ModelPairs.of(rows)
    extra, unused = (None, ()) if predicted is None else _extra(names, pairs, predicted.unlabelled, style_names, units)
    return Sample(names, rows, guesses, extra, pairs, units, style_names, (*notes, *more, *dull, *unused))


def _check_votes(rows: Rows, where: str = "") -> None:
    if len(rows) < 2:
        raise DataError(f"{len(rows)} row of votes between two models counts{where}; a ranking needs at least two")
    if not np.any(rows.votes[:, :2] > 0):
        raise DataError(
            f"all {len(rows):,} votes are ties, so that nothing tells the models apart; give votes with a winner"
        )


def _predicted_votes(games: Games, predicted: Predicted) -> Floats:
    p = check_probabilities(predicted.labelled, "predictions of the voted games")
    if len(p) != len(games):
        raise DataError(f"{len(p)} predictions are given for {len(games)} voted games; give one for each")
    return Rows.of(replace(games, outcome=p)).votes


def _in_units(rows: Rows, names: tuple[str, ...]) -> tuple[Rows, Floats, tuple[str, ...], tuple[str, ...]]:
    """Divide style by its root mean square; its mean stays, for it changes sign with the order of the responses."""
    if not names:
        return rows, np.zeros(0), (), ()
    weight = rows.votes.sum(axis=1)
    largest = np.abs(rows.style).max(axis=0)
    some = np.flatnonzero(largest > 0)
    size = largest[some] * np.sqrt(np.average((rows.style[:, some] / largest[some]) ** 2, axis=0, weights=weight))
    dull = [names[each] for each in np.flatnonzero(largest == 0)]
    notes = (f"style {join_names(dull)} left out: the two responses never differ in it",) if dull else ()
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
    cross = np.stack([sum_by_models(rows, column) for column in weighted.T], axis=1)
    known = cross.T @ np.linalg.pinv(laplacian(rows, weight), hermitian=True) @ cross
    sizes, ways = np.linalg.eigh((rows.style.T @ weighted - known) / weight.sum())
    if sizes[0] < _ALIKE:
        blamed = [name for name, share in zip(names, np.abs(ways[:, 0]), strict=True) if share > 0.1]
        raise DataError(
            f"the effect of {join_names(blamed)} cannot be separated from the strengths of the models or each other: "
            "it follows from who the models are, or from the other features; leave such features out"
        )


def _extra(
    names: tuple[str, ...], pairs: ModelPairs, games: Games, style_names: tuple[str, ...], units: Floats
) -> tuple[Rows, tuple[str, ...]]:
    """Return games without votes on pairs that people compared, with the model numbers of the sample."""
    known = {name: number for number, name in enumerate(names)}
    number = np.array([known.get(name, -1) for name in games.models], dtype=np.int64)
    a, b = number[games.a], number[games.b]
    there = (a >= 0) & (b >= 0) & (games.weights > 0)
    style = _style_like(games, style_names, units)
    rows = Rows.of(
        replace(
            games,
            models=names,
            a=np.maximum(a, 0),
            b=np.maximum(b, 0),
            weights=np.where(there, games.weights, 0.0),
            style=style,
            style_names=style_names,
        )
    )
    rows = rows.take(pairs.number(rows) >= 0)
    unused = len(games) - len(rows)
    note = (
        f"{unused:,} of {len(games):,} predicted games unused: between models that people never compared directly, "
        "where nothing could correct the judge"
    )
    return rows, (note,) if unused else ()


def _style_like(games: Games, names: tuple[str, ...], units: Floats) -> Floats | None:
    if not names:
        return None
    missing = [name for name in names if name not in games.style_names]
    if games.style is None or missing:
        raise DataError(
            f"the predicted games have no style {join_names(missing or names)}, which the voted games have; give the "
            "same features for both"
        )
    return np.asarray(games.style[:, [games.style_names.index(name) for name in names]] / units)
