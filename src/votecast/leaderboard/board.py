"""A leaderboard, and what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from votecast.leaderboard import Ranking
from votecast.leaderboard.both_bad import BothBad
from votecast.leaderboard.settings import BoardSettings

FEW_CLUSTERS: Final = 30
"""With fewer clusters of prompts, intervals are rough."""

HELPS: Final = 1.05
"""How many times the votes forecasts must be worth to be called a help."""


@dataclass(frozen=True)
class Leaderboard:
    """A ranking of models, and what it was made of.

    Args:
        source: "votes", "forecasts", or "votes and forecasts".
        ranking: Scores, intervals, ranks and rates, best model first.
        settings: How it was made.
        rows: How many rows were voted on, forecast, and votes against both answers.
        both_bad: Votes against both answers by model, in the order of the ranking, where they are an outcome of their
            own.
        judge: Name and hash of the judge, if one took part.
        notes: What a reader must know.
        reading: What the reader found in each file.
    """

    source: str
    ranking: Ranking
    settings: BoardSettings
    rows: Mapping[str, int]
    both_bad: BothBad | None = None
    judge: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    reading: tuple[Mapping[str, Any], ...] = ()

    def columns(self) -> dict[str, list[Any]]:
        """The leaderboard as columns, best model first, rounded to what can be read."""
        found = self.ranking
        won = np.divide(
            found.wins + found.ties / 2, found.battles, out=np.full(len(found.models), np.nan), where=found.battles > 0
        )
        columns: dict[str, Any] = {"rank": found.rank, "model": found.models}
        columns |= {name: getattr(found, name) for name in ("score", "low", "high", "rank_low", "rank_high")}
        columns |= {name: getattr(found, name) for name in ("battles", "wins", "ties", "losses")}
        columns |= {"win_rate": won, "expected_win_rate": found.win_rate}
        if self.both_bad is not None:
            bad = self.both_bad
            columns |= {"both_bad": bad.votes, "both_bad_share": bad.share}
            columns |= {"both_bad_low": bad.low, "both_bad_high": bad.high}
        return {name: _readable(values) for name, values in columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        columns = self.columns()
        return {
            "source": self.source,
            "settings": self.settings.dump(),
            "judge": None if self.judge is None else dict(self.judge),
            "rows": dict(self.rows),
            "leaderboard": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            "ranking": self.ranking.to_dict(),
            "notes": list(self.notes),
            "reading": [dict(each) for each in self.reading],
        }


def _readable(values: Any) -> list[Any]:
    """Whole numbers as such, others to six digits, None for what is not known."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        return list(values)
    known = array[np.isfinite(array)]
    if len(known) and (known == np.round(known)).all():
        return [int(value) if np.isfinite(value) else None for value in array.tolist()]
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in array.tolist()]
