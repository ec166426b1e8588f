"""From votes, forecasts or both to a leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import ConfigError, DataError
from votecast.judges.asking import cite, numbers_of
from votecast.judges.load import load_judge
from votecast.leaderboard import Games, Predicted, Ranking, rank_models
from votecast.leaderboard.board import FEW_CLUSTERS, Leaderboard
from votecast.leaderboard.both_bad import BothBad, both_bad_shares
from votecast.leaderboard.connectivity import names_of
from votecast.leaderboard.forecasts import forecast, honest_forecasts, seen, voted_on
from votecast.leaderboard.settings import BoardSettings
from votecast.leaderboard.styles import Styles
from votecast.leaderboard.vote_rows import Named, both_bad_of, clusters_of, named, with_battles
from votecast.splits import PromptHashes
from votecast.types import Probabilities, Progress, no_progress

VOTES: Final = "votes"
FORECASTS: Final = "forecasts"
BOTH: Final = "votes and forecasts"
_TURNED: Final = 0.1


def leaderboard(
    votes: Any | None,
    *,
    pairs: Any | None = None,
    judge: Any | None = None,
    reader: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
    **settings: Any,
) -> Leaderboard:
    """Rank models by votes, by a judge's forecasts of votes, or by both.

    With both, the ranking is prediction-powered (Angelopoulos et al. 2023, "PPI++"): the votes keep it unbiased,
    whatever the judge gets wrong, and forecasts of pairs that nobody voted on make it surer as far as the judge is
    right. It takes the pairs to be of the same kind as the voted ones.

    Args:
        votes: Path of a file, battles, a frame or a list of dicts, with the models of every row; None to rank by
            forecasts alone.
        pairs: The same without votes, to be forecast; rows of `votes` without a vote where None and a judge is given.
        judge: A judge, or its folder or name.
        reader: Options of `read_votes` for paths.
        progress: Told of every step.
        **settings: As of `BoardSettings`.

    Raises:
        ConfigError: If a setting is unknown or does not fit the others, or there is nothing to rank by.
        DataError: If the rows cannot be ranked: no models, one model, none that were compared.
        LeakError: If the judge was trained on voted prompts and holds no out-of-fold forecasts of them.

    Example:
        >>> rows = [("x", "y", "a"), ("y", "z", "a"), ("z", "x", "b"), ("y", "x", "a"), ("z", "y", "a")]
        >>> texts = {"prompt": "Hi", "response_a": "1", "response_b": "2"}
        >>> votes = [texts | {"prompt": f"{a}{b}", "model_a": a, "model_b": b, "winner": w} for a, b, w in rows]
        >>> leaderboard(votes).ranking.models[0]
        'x'
    """
    asked = BoardSettings.parse(settings)
    if judge is None and pairs is not None:
        raise ConfigError("pairs without votes are given and no judge to forecast them; name one (--judge, judge)")
    if votes is None and pairs is None:
        raise ConfigError("there is nothing to rank by; give votes (--input), or a judge and pairs (--judge, --pairs)")
    if all(isinstance(source, str) and source == "-" for source in (votes, pairs)):
        raise ConfigError("votes and pairs are both to come from standard input; name a file for one of them")
    judge = load_judge(judge) if isinstance(judge, str | Path) else judge
    job = _Job(asked, judge, dict(reader or {}), progress)
    return job.by_forecasts(pairs) if votes is None else job.by_votes(votes, pairs)


@dataclass
class _Job:
    """One call of `leaderboard`."""

    asked: BoardSettings
    judge: Any
    reader: dict[str, Any]
    progress: Progress
    notes: list[str] = field(default_factory=list)
    reading: list[Mapping[str, Any]] = field(default_factory=list)

    def by_forecasts(self, pairs: Any) -> Leaderboard:
        """Rank by forecasts alone."""
        rows = with_battles(named(self.read(pairs, labels="ignored"), "pairs"), self.asked.min_battles)
        self.notes += rows.notes
        self.note_seen(rows)
        styles = self.styles(rows)
        found = self.games(rows, forecast(self.judge, rows.battles, self.progress), styles)
        self.notes.append(
            "the ranking is that of the judge: its intervals say how far it would differ on other prompts, and not how "
            "far the judge is from people"
        )
        return self.board(FORECASTS, found, {"voted": 0, "forecast": len(rows), "against_both": 0})

    def by_votes(self, votes: Any, pairs: Any) -> Leaderboard:
        """Rank by votes, and by forecasts where there is a judge."""
        battles = self.read(votes, labels="optional")
        cast = battles.labelled
        if not cast.any():
            raise DataError(
                f"none of the {len(battles)} rows has a vote; give votes, or rank by forecasts alone: name the rows as "
                "pairs (--pairs) beside a judge, and no votes (--input)"
            )
        chosen = battles if cast.all() else Battles(battles.take(np.flatnonzero(cast)).table, battles.report)
        voted = named(chosen, "votes")
        against = int(both_bad_of(voted.battles).sum())
        voted, every = self.without_both_bad(voted)
        voted = with_battles(voted, self.asked.min_battles)
        self.notes += voted.notes
        styles = self.styles(voted)
        waiting = self.unvoted(battles, ~cast, pairs)
        counts = {"voted": len(voted), "forecast": 0, "against_both": against}
        predicted = None
        if waiting is not None:
            predicted, counts["forecast"] = self.predicted(voted, waiting, styles)
        found = self.games(voted, voted.battles.targets(), styles)
        board = self.board(VOTES if predicted is None else BOTH, found, counts, predicted)
        return board if every is None else replace(board, both_bad=_shares(every, board.ranking, self.asked))

    def read(self, source: Any, labels: str) -> Battles:
        """Read a file, or take battles as they are."""
        self.progress("reading", 0, 1)
        if not isinstance(source, str | Path):
            battles = as_battles(source, ranking=True)
            told = "the votes of the pairs are not looked at; give them as votes to use them"
            self.notes += [told] * bool(labels == "ignored" and battles.labelled.any())
            return battles
        options = {"labels": labels, "ranking": True} | numbers_of(self.judge) | self.reader
        if self.reading:
            options.pop("quarantine", None)  # the side file that was named is that of the votes
        battles = read_votes(source, **options)
        if not len(battles):
            raise DataError(f"{source} holds no rows; give a file with at least a few hundred")
        if battles.report is not None:
            self.reading.append(battles.report.to_dict())
        return battles

    def without_both_bad(self, voted: Named) -> tuple[Named, Named | None]:
        """The votes to fit on; and all of them, where votes against both answers are an outcome of their own."""
        bad, how = both_bad_of(voted.battles), self.asked.both_bad
        if how == "own" and not bad.any():
            self.notes.append("no vote is marked as against both answers (tie (bothbad), both_bad)")
        if not bad.any():
            return voted, None
        if how != "tie" and self.judge is not None:
            raise ConfigError(
                f"both_bad is {how!r} and a judge takes part, which forecasts votes against both answers as ties; use "
                "both_bad tie, or leave the judge out"
            )
        count = f"{int(bad.sum()):,} of {len(voted):,} votes are against both answers: "
        if how == "tie":
            self.notes.append(count + "they count as ties (--both-bad drop or own does otherwise)")
            return voted, None
        if bad.all():
            raise DataError(f"all {len(voted)} votes are against both answers, so that nothing is left to rank by")
        if how == "drop":
            self.notes.append(count + "they are left out")
            return voted.where(~bad), None
        self.notes.append(count + "scores are of the other votes, and each model's share of these is shown")
        return voted.where(~bad), voted

    def unvoted(self, battles: Battles, rest: NDArray[np.bool_], pairs: Any) -> Named | None:
        """The pairs to forecast; None without a judge."""
        if pairs is not None:
            left, found = int(rest.sum()), self.read(pairs, labels="ignored")
        elif self.judge is not None:
            if not rest.any():
                raise ConfigError(
                    "a judge is given and nothing for it to forecast: every row has a vote; give pairs without votes "
                    "(--pairs), or leave the judge out"
                )
            left, found = 0, Battles(battles.take(np.flatnonzero(rest)).table, battles.report)
        else:
            left, found = int(rest.sum()), None
        if left:
            self.notes.append(f"{left:,} of {len(battles):,} rows have no vote and are left out")
        return None if found is None else named(found, "pairs")

    def predicted(self, voted: Named, waiting: Named, styles: Styles) -> tuple[Predicted, int]:
        """What the judge says of the votes and of the pairs nobody voted on."""
        again = voted_on(voted.battles, waiting.battles)
        told = (
            f"{int(again.sum()):,} of {len(waiting):,} pairs are voted rows once more, which tell nothing new, and are "
        )
        waiting = waiting.where(~again, *[told + "left out"] * bool(again.any()))
        if again.all():
            raise DataError(
                f"all {len(again)} pairs are voted rows once more (the same prompt and answers), so that their "
                "forecasts tell nothing new; give pairs that nobody voted on (--pairs), or leave the judge out"
            )
        honest = honest_forecasts(self.judge, voted.battles, self.progress)
        fresh = np.ones(len(waiting), dtype=bool)
        fresh[seen(self.judge, waiting.battles)[0]] = False
        note = f"{int((~fresh).sum()):,} of {len(waiting):,} pairs have prompts that the judge was trained on and are "
        waiting = waiting.where(fresh, *[note + "left out"] * (not fresh.all()))
        strange = sorted(set(waiting.models) - set(voted.models))
        told = f"pairs of {len(strange)} models that are not ranked are left out: {names_of(strange)}"
        kept = waiting.among(voted.models, *[told] * bool(strange))
        if not len(kept):
            raise DataError(
                f"no pair is left to forecast ({'; '.join(kept.notes)}); give pairs of the voted models on prompts "
                "that the judge has not seen, or leave the judge out"
            )
        self.notes += [*honest.notes, *kept.notes, *_turned(voted, kept), *_met_before(voted, kept)]
        outcome = forecast(self.judge, kept.battles, self.progress)
        return Predicted(honest.probabilities, self.games(kept, outcome, styles)), len(kept)

    def games(self, rows: Named, outcome: Probabilities, styles: Styles) -> Games:
        """The games of rows, with clusters and style."""
        self.progress("clustering prompts", 0, 1)
        clusters, how = clusters_of(rows.battles, self.asked.clusters, self.asked.seed)
        self.notes += [how] * (how not in self.notes)
        weights = rows.battles.weights()
        return Games.of(rows.models, rows.a, rows.b, outcome, weights, clusters, styles.gaps(rows), styles.names)

    def styles(self, rows: Named) -> Styles:
        """The features of style that take part."""
        found = Styles.of(rows, wanted=self.asked.style_control)
        self.notes += found.notes
        return found

    def note_seen(self, rows: Named) -> None:
        """Say how many rows have prompts that the judge was trained on."""
        known, notes = seen(self.judge, rows.battles)
        said = f"{len(known):,} of {len(rows):,} pairs have prompts that the judge was trained on: of these it is surer"
        self.notes += [*notes, *[said] * bool(len(known))]

    def board(
        self, source: str, games: Games, rows: Mapping[str, int], predicted: Predicted | None = None
    ) -> Leaderboard:
        """Rank."""
        self.progress("ranking", 0, 1)
        asked = self.asked
        ranking = rank_models(
            games,
            method=asked.method,
            intervals=asked.intervals,
            draws=asked.draws,
            seed=asked.seed,
            predicted=predicted,
            disconnected=asked.disconnected,
            anchor=asked.anchor,
        )
        who = None if self.judge is None else cite(self.judge)
        few = f"only {ranking.clusters} independent units: intervals are rough, and hold less for other prompts"
        told = [few] * (1 < ranking.clusters < FEW_CLUSTERS)
        notes = tuple(dict.fromkeys([*self.notes, *told, *ranking.notes]))
        counts = dict(rows) | {"forecast" if source == FORECASTS else "voted": ranking.votes}
        return Leaderboard(source, ranking, asked, counts, None, who, notes, tuple(self.reading))


def _shares(every: Named, ranking: Ranking, asked: BoardSettings) -> BothBad:
    """Shares of votes against both answers, in the order of the ranking."""
    rows = every.among(ranking.models)
    clusters, _ = clusters_of(rows.battles, asked.clusters, asked.seed)
    weights = rows.battles.weights()
    return both_bad_shares(len(rows.models), rows.a, rows.b, both_bad_of(rows.battles), weights, clusters)


def _turned(voted: Named, pairs: Named) -> list[str]:
    """A remark where models stand first more or less often among the pairs than among the votes, beyond chance.

    Forecasts are corrected pair of models by pair of models, so that other shares of these do no harm; a judge that
    leans to a side is corrected only if the sides are drawn alike.
    """
    counts = [np.bincount(np.concatenate([rows.a, rows.b]), minlength=len(voted.models)) for rows in (voted, pairs)]
    first = [np.bincount(rows.a, minlength=len(voted.models)) for rows in (voted, pairs)]
    size = [np.maximum(count, 1) for count in counts]
    often = np.where(counts[0] > 0, counts[1], 0) / max(int(counts[1].sum()), 1)
    apart = float(often @ np.abs(first[0] / size[0] - first[1] / size[1]))
    if apart <= _TURNED + float(often @ np.sqrt(0.25 / size[0] + 0.25 / size[1])):
        return []
    told = "models stand first more or less often among the pairs than among the votes: if the judge leans to a side, "
    return [told + "the scores lean with it; draw the order of the answers by lot in both"]


def _met_before(voted: Named, pairs: Named) -> list[str]:
    """A remark where pairs are on voted prompts."""
    again = len(PromptHashes.of(voted.battles).overlap(pairs.battles))
    told = f"{again:,} of {len(pairs):,} pairs are on voted prompts; intervals take votes and pairs to be independent"
    return [told] if again else []
