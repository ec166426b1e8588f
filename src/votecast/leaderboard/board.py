"""A leaderboard, and how it is written to a file.

Returned by `votecast.leaderboard.leaderboard`; shown by `votecast rank` and by its page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from votecast.artifacts import atomic_file
from votecast.data.outputs.table_writer import TableWriter, container_of
from votecast.leaderboard.battle_games import BothBad
from votecast.leaderboard.rank_models import Ranking
from votecast.leaderboard.settings import BoardSettings
from votecast.types import Floats, Ints

FEW_CLUSTERS: Final = 30
"""With fewer clusters of prompts, intervals are rough."""

HELPS: Final = 1.05
"""Predictions must be worth so many times the votes to be called a help."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets compute."""


@dataclass(frozen=True)
class Leaderboard:
    """A ranking of models, and what it was made of.

    Args:
        source: "votes", "predictions", or "votes and predictions".
        ranking: Scores, intervals, ranks and rates, best model first.
        settings: How it was made.
        rows: How many rows were voted on, how many predicted, and how many are votes against both responses.
        both_bad: Votes against both responses by model, in the order of the ranking, where they are an outcome of their
            own.
        judge: Name and hash of the judge, if one took part.
        notes: What a reader must know.
        reading: The report on each file that was read.
    """

    source: str
    ranking: Ranking
    settings: BoardSettings
    rows: Mapping[str, int]
    both_bad: BothBad | None = None
    judge: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    reading: tuple[Mapping[str, object], ...] = ()

    def columns(self) -> dict[str, list[Any]]:
        """Return the leaderboard as columns, best model first, rounded to six digits."""
        found, bad = self.ranking, self.both_bad
        won = np.divide(
            found.wins + found.ties / 2, found.battles, out=np.full(len(found.models), np.nan), where=found.battles > 0
        )
        numbers = {
            "score": found.score,
            "low": found.low,
            "high": found.high,
            "rank_low": found.rank_low,
            "rank_high": found.rank_high,
            "battles": found.battles,
            "wins": found.wins,
            "ties": found.ties,
            "losses": found.losses,
            "win_rate": won,
            "expected_win_rate": found.win_rate,
        }
        if bad is not None:
            shares = {"both_bad_share": bad.share, "both_bad_low": bad.low, "both_bad_high": bad.high}
            numbers |= {"both_bad": bad.votes, **shares}
        columns = {name: _readable(values) for name, values in numbers.items()}
        return {"rank": found.rank.tolist(), "model": list(found.models), **columns}

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON-able values."""
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


def _readable(values: Floats | Ints) -> list[int | float | None]:
    """Return whole numbers as such, others to six digits, None for what is not known."""
    known = values[np.isfinite(values)]
    is_whole = len(known) and (known == np.round(known)).all()
    return [
        None if not np.isfinite(value) else int(value) if is_whole else float(f"{value:.6g}")
        for value in values.tolist()
    ]


def write_leaderboard(board: Leaderboard, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a leaderboard atomically, one row a model, best first, in the format of the suffix, such as .csv.

    In CSV and TSV, a name that a spreadsheet would compute, such as `=1+1`, begins with an apostrophe.

    Raises:
        ConfigError: If the suffix is unknown.
        ArtifactError: If the file already exists or the disk is full; nothing is left behind.
    """
    container, _ = container_of(path)
    columns = board.columns()
    if container in ("csv", "tsv"):
        columns["model"] = [f"'{name}" if name.startswith(_FORMULA) else name for name in columns["model"]]
    with atomic_file(path, overwrite=overwrite) as part, TableWriter(part, path) as sink:
        sink.write(pa.table(columns))
