"""What a ranking says: scores, intervals and ranks of models, who beats whom, what ties and style are worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.types import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Args:
        name: What it is: nu or theta for ties, or the name of a feature of style.
        value: The estimate.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end of its interval.
        unit: How much of a feature of style one unit is (its root mean square); 1 for all else.
    """

    name: str
    value: float
    low: float
    high: float
    unit: float = 1.0


@dataclass(frozen=True)
class Ranking:
    """Models from best to worst, all columns in that order.

    Args:
        method: The fit.
        intervals: sandwich or bootstrap.
        level: Of the intervals, such as 0.95.
        draws: Of the bootstrap; 0 for the sandwich.
        models: Names, best first.
        score: 400 / ln 10 for each unit of log strength, 1000 on average or at the anchor; for counting,
            average_win_rate, eigen and pagerank the score that evalica gives.
        low: Lower end of its interval, shape (m,).
        high: Upper end, shape (m,).
        rank: 1 + how many models are significantly better, shape (m,).
        rank_low: Best place that the votes leave open, all others considered at once, shape (m,).
        rank_high: Worst such place, shape (m,).
        battles: Weight of the votes that a model took part in, shape (m,).
        wins: Of these won, shape (m,).
        losses: Of these lost, shape (m,).
        ties: Of these tied, shape (m,).
        win_rate: Chance to win against one of the other models at random, a tie counting half, shape (m,); NaN where
            the fit has no chances.
        win_rate_low: Lower end of its interval, shape (m,).
        win_rate_high: Upper end, shape (m,).
        observed: Share that the row's model won against the column's, a tie counting half; NaN where they never met,
            shape (m, m).
        expected: The same by the fit, without regard to style, shape (m, m); NaN on the diagonal.
        met: Weight of the votes between two models, shape (m, m).
        better: Whether the row's model is significantly better than the column's, shape (m, m).
        separability: Share of the pairs of models whose interval of the difference excludes 0.
        votes: Rows that count.
        clusters: Clusters among them.
        tie: The parameter for ties, where the fit has one.
        style: Coefficients of style, log odds for each unit (its root mean square), where style is controlled for.
        tuning: How far the predictions were trusted, 0 to 1, in a prediction-powered ranking; else None.
        worth: How many times as many votes without predictions would give the same variance; None without predictions.
        notes: What a reader must know: models left out, fallbacks taken.
    """

    method: str
    intervals: str
    level: float
    draws: int
    models: tuple[str, ...]
    score: Floats
    low: Floats
    high: Floats
    rank: Ints
    rank_low: Ints
    rank_high: Ints
    battles: Floats
    wins: Floats
    losses: Floats
    ties: Floats
    win_rate: Floats
    win_rate_low: Floats
    win_rate_high: Floats
    observed: Floats
    expected: Floats
    met: Floats
    better: NDArray[np.bool_]
    separability: float
    votes: int
    clusters: int
    tie: Estimate | None = None
    style: tuple[Estimate, ...] = ()
    tuning: float | None = None
    worth: float | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ranking as JSON-able values; NaN becomes None."""
        plain: dict[str, Any] = _jsonable(asdict(self))
        return plain


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
